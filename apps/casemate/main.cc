// casemate: finds the subcommand, which becomes the runtime (`run`) or does its work by itself.
// One clear line on failure: what, where, what to do. `run` exits with 125, 126 and 127 as env(1) does; the exit codes
// of the other subcommands stand in subcommands.h.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

#include "casemate/doctor/report.h"
#include "casemate/keeper_start.h"
#include "casemate/las/command.h"
#include "casemate/launch.h"
#include "casemate/program_search.h"
#include "casemate/provision/attested_run.h"
#include "casemate/reference/tools.h"
#include "casemate/run_options.h"
#include "casemate/subcommands.h"
#include "crypto/host_configuration.h"

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
  const bool has_files = !request.description.empty(), has_network = !request.rules.empty();
  const char* const what = has_files ? (has_network ? "memory" : "network and memory")
                                     : (has_network ? "files and memory" : "files, network and memory");
  std::fprintf(stderr, "casemate: no policy: %s of this program are NOT protected (--quiet hides this)\n", what);
}

// With a shield the program is looked for among the shielded files, by the runtime.
Result<Program> choose_program(const RunProgram& request) {
  if (!request.description.empty()) return Program{request.words.front(), UniqueFd()};
  const char* path = std::getenv("PATH");
  return find_program(request.words.front(), path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin");
}

int execute_attested(const RunProgram& request) {
  if (Result<void> kernel = check_kernel(); !kernel.has_value()) return complain(kernel.error(), kExitOwnFailure);
  return complain(run_attested(request), kExitOwnFailure);
}

int execute(const RunProgram& request) {
  if (request.is_attested()) return execute_attested(request);
  Result<Program> program = choose_program(request);
  if (!program.has_value()) return complain(program.error(), exit_code_of(program.error()));
  if (Result<void> kernel = check_kernel(); !kernel.has_value()) return complain(kernel.error(), kExitOwnFailure);
  say_what_is_unprotected(request);
  KeeperEnds shield;
  if (!request.description.empty() || !request.rules.empty()) {
    Result<KeeperEnds> members = start_keeper(request.description, request.rules);
    if (!members.has_value()) return complain(members.error(), kExitOwnFailure);
    shield = std::move(members).value();
  }
  return complain(launch(request, program.value(), shield, environ), kExitOwnFailure);
}

using Words = std::vector<std::string>;

int print_completion(const Words& words);
int print_manual(const Words& words);

struct SubcommandRow {
  const char* name;
  Subcommand run;       // null for `run`, whose words and --version, --help stay with parse_command_line()
  const char* summary;  // null for what only Casemate itself starts
  CommandText (*describe)();
};

constexpr SubcommandRow kSubcommands[] = {
    {"run", nullptr, "run an unmodified program under the runtime", describe_run},
    {"volume", volume_command, "make, fill, check and export encrypted volumes", describe_volume},
    {"quote", quote_command, "show, check and compare evidence of trusted hardware", describe_quote},
    {"measure", measure_command, "compute what trusted hardware will measure", describe_measure},
    {"sign", sign_command, "sign what was measured", describe_sign},
    {"log", log_command, "read and check the transparency log of a CAS, offline", describe_log},
    {"las", las_command, "attest the programs of this machine, as its service", describe_las},
    {"net", net_command, "explain and try the rules of the network shield", describe_net},
    {"session", session_command, "check, compare, explain sessions (policies); store and approve them in a CAS",
     describe_session},
    {"cas", cas_command, "the configuration and attestation service: serve, claim, audit, back up", describe_cas},
    {"identity", identity_command, "this client's key, by which a CAS knows it", describe_identity},
    {"completion", print_completion, "print a script that completes these words in bash or zsh", describe_completion},
    {"manual", print_manual, "print man pages", describe_manual},
    {"cas-embedded", cas_embedded_command, nullptr, nullptr},
};

std::string help_text() {
  std::string text = "Casemate: runs unmodified Linux programs confidentially\n\nUsage: casemate COMMAND ...\n\n";
  for (const SubcommandRow& row : kSubcommands) {
    if (row.summary == nullptr) continue;
    text += "  " + std::string(row.name) + std::string(12 - std::string(row.name).size(), ' ') + row.summary + "\n";
  }
  return text +
         "\n`casemate COMMAND --help` explains one; `casemate run --doctor` shows what this host offers; --version.\n";
}

CommandText describe_all() {
  CommandText root{"casemate", "run unmodified Linux programs confidentially", help_text(), {}, {}};
  root.options = {{{"-h", "--help"}, false, "explain the commands"},
                  {{"--version"}, false, "say which version this is"}};
  for (const SubcommandRow& row : kSubcommands) {
    if (row.summary == nullptr) continue;
    root.commands.push_back(row.describe());
    root.commands.back().summary = row.summary;
  }
  return root;
}

int print_completion(const Words& words) { return completion_command(describe_all(), words); }
int print_manual(const Words& words) { return manual_command(describe_all(), words); }

int dispatch(const Words& words) {
  const std::string first = words.empty() ? "" : words.front();
  if (first == "--help" || first == "-h" || first == "help") return execute(PrintAndExit{help_text(), 0});
  for (const SubcommandRow& row : kSubcommands) {
    if (row.run != nullptr && first == row.name) return row.run(Words(words.begin() + 1, words.end()));
  }
  return std::visit([](const auto& chosen) { return execute(chosen); }, parse_command_line(words));
}

}  // namespace

int main(int argc, char** argv) {
  casemate::crypto::ignore_host_configuration();
  try {
    return dispatch(Words(argv + (argc > 0 ? 1 : 0), argv + argc));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "casemate: %s; this host is short of memory, or this is a defect worth a report\n",
                 error.what());
    return casemate::cli::kExitOwnFailure;
  }
}
