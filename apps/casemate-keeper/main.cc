// casemate-keeper DESCRIPTION: started by `casemate run --fs`, never by hand. src/keeper is the work.
#include <cstdio>
#include <exception>

#include "crypto/host_configuration.h"
#include "keeper/process.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("casemate-keeper is started by `casemate run --fs FILE`\n", stderr);
    return 2;
  }
  casemate::crypto::ignore_host_configuration();
  try {
    return casemate::keeper::run_keeper(argv[1]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "casemate: keeper: %s; this host is short of memory, or this is a defect worth a report\n",
                 error.what());
    return 1;
  }
}
