// casemate-keeper DESCRIPTION [RULES], --provision or --rejoin: started by `casemate run`, never by hand. src/keeper is
// the work.
#include <cstdio>
#include <exception>
#include <string_view>

#include "casemate-keeper/service_start.h"
#include "crypto/host_configuration.h"
#include "keeper/process.h"

// "Hosted": no program ever runs in this executable's address space (docs/las.md). Inside of what is measured.
__asm__(
    ".pushsection .note.casemate, \"a\", @note\n"
    ".balign 4\n"
    ".long 9\n"
    ".long 0\n"
    ".long 1\n"
    ".asciz \"Casemate\"\n"
    ".balign 4\n"
    ".popsection\n");

int main(int argc, char** argv) {
  if (argc != 2 && argc != 3) {
    std::fputs("casemate-keeper is started by `casemate run`\n", stderr);
    return 2;
  }
  casemate::crypto::ignore_host_configuration();
  try {
    if (std::string_view(argv[1]) == "--provision") return casemate::keeper_app::start_service();
    if (std::string_view(argv[1]) == "--rejoin") return casemate::keeper_app::rejoin_service();
    return casemate::keeper::run_keeper(argv[1], argc == 3 ? argv[2] : "");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "casemate: keeper: %s; this host is short of memory, or this is a defect worth a report\n",
                 error.what());
    return 1;
  }
}
