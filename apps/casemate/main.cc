// casemate: parses the command line, then becomes the runtime (`run`) or answers by itself (`--doctor`, `--help`).
// One clear line on failure: what, where, what to do. Exit codes 125, 126 and 127 as in env(1).
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

#include "casemate/doctor/report.h"
#include "casemate/launch.h"
#include "casemate/program_search.h"
#include "casemate/run_options.h"

namespace {

using namespace casemate;
using namespace casemate::cli;

int complain(const Error& error, int exit_code) {
  std::fprintf(stderr, "casemate: %s\n", error.message().c_str());
  return exit_code;
}

int execute(const PrintAndExit& request) {
  std::fputs(request.text.c_str(), request.exit_code == 0 ? stdout : stderr);
  return std::fflush(stdout) == 0 ? request.exit_code : kExitOwnFailure;
}

int execute(const ShowDoctor& request) {
  const HostReport report = examine_host();
  const std::string text = request.form == ReportForm::kJson ? to_json(report) : to_table(report);
  std::fputs(text.c_str(), stdout);
  if (std::fflush(stdout) != 0) return kExitOwnFailure;
  return can_run_programs(report) ? 0 : 1;
}

// Only for eyes: scripts and tests compare what programs write to standard error.
void say_what_is_unprotected(const RunProgram& request) {
  if (request.noise == Noise::kQuiet || isatty(STDERR_FILENO) != 1) return;
  std::fputs("casemate: no policy: files, network and memory of this program are NOT protected (--quiet hides this)\n",
             stderr);
}

int execute(const RunProgram& request) {
  const char* path = std::getenv("PATH");
  Result<Program> program =
      find_program(request.words.front(), path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin");
  if (!program.has_value()) return complain(program.error(), exit_code_of(program.error()));
  if (Result<void> kernel = check_kernel(); !kernel.has_value()) return complain(kernel.error(), kExitOwnFailure);
  say_what_is_unprotected(request);
  return complain(launch(request, program.value(), UniqueFd(), environ), kExitOwnFailure);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const RunRequest request = parse_command_line(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
    return std::visit([](const auto& chosen) { return execute(chosen); }, request);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "casemate: %s; this host is short of memory, or this is a defect worth a report\n",
                 error.what());
    return casemate::cli::kExitOwnFailure;
  }
}
