#include "casemate/run_options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>

#include "base/result.h"
#include "casemate/program_search.h"
#include "casemate/reference/tools.h"
#include "casemate/subcommands.h"
#include "crypto/bytes.h"
#include "protocol/las.h"

namespace casemate::cli {
namespace {

constexpr const char* kHelp = R"(Casemate: runs unmodified Linux programs confidentially

Usage: casemate run [OPTIONS] -- PROGRAM [ARGUMENTS]
       casemate run --doctor [--json]
       casemate --version | --help

`casemate run --help` explains the options.
)";

constexpr const char* kRunHelp = R"(Runs PROGRAM, found as a shell finds it, under the Casemate runtime.

Usage: casemate run [OPTIONS] -- PROGRAM [ARGUMENTS]

  --trace             print every system call with arguments, result and time
  --trace=summary     print counts and times per system call at the end
  --trace-file FILE   write the trace to FILE instead of to standard error
  --fs FILE           give PROGRAM the files that the run description FILE names: encrypted volumes and other regions
  --net FILE          make PROGRAM's TCP connections TLS 1.3 as the rules FILE says; what no rule names is denied
  --no-patching       let every system call trap: slow, for diagnosis
  --quiet             no warnings about refused calls
  --attest[=SOCKET]   prove which runtime starts: ask the attestation service there (`casemate las serve`), or one of
                      this run's own, which is a simulation
  --nonce HEX         for --attest: what makes the evidence fresh, 1 to 64 bytes from whoever will verify it
  --evidence FILE     for --attest: where the evidence goes (`casemate quote verify`)
  --policy FILE       attest the program to your own CAS and run it as the policy (session) FILE says; `casemate session
                      init` writes one. --service NAME chooses among its services; PROGRAM and ARGUMENTS may be left
                      out, they are @@0, @@1 ... of the policy's command
  --cas ADDR          the same with the CAS at ADDR (IP:PORT or unix:PATH), for --session SESSION/SERVICE, with the
                      attestation service at --las SOCKET; --cas-key HEX goes on only with that key of the CAS.
                      CASEMATE_CAS_ADDR, CASEMATE_CONFIG_ID (the session) and CASEMATE_LAS_ADDR, or the same with
                      SCONE_, stand for these options
  --state DIR         where your own CAS, its keys and volumes are (default ~/.local/state/casemate)
  --doctor            show what this host offers and what follows; with --json for machines
  --help, --version

Options end at -- or at the first word that is not one.

Without --fs no file is encrypted, without --net no connection: the program sees the host's as they are. In any case
its memory is protected against nobody who has root (process engine, simulation).

Exit codes: the program's own; 125 Casemate itself failed, 126 PROGRAM cannot be executed, 127 it was not found.
)";

struct Parsed {
  std::string trace;
  RunProgram run;
  bool doctor = false, json = false, no_patching = false, quiet = false;
  std::string attest, nonce;  // attest: kOwnService or a socket
  EvidenceRequest evidence;
};

constexpr const char* kOwnService = "own";

void describe_run(CLI::App& run, Parsed& parsed) {
  run.prefix_command();
  run.add_flag("--trace{calls}", parsed.trace)->check(CLI::IsMember({"calls", "summary"}));
  run.add_option("--trace-file", parsed.run.trace_file);
  run.add_option("--fs", parsed.run.description)
      ->check(CLI::Validator(
          [](std::string& text) { return text.empty() ? std::string("needs a file") : std::string(); }, "FILE"));
  run.add_option("--net", parsed.run.rules)
      ->check(CLI::Validator(
          [](std::string& text) { return text.empty() ? std::string("needs a file") : std::string(); }, "FILE"));
  run.add_flag("--no-patching", parsed.no_patching);
  run.add_flag("--quiet", parsed.quiet);
  CLI::Option* attest = run.add_flag("--attest{own}", parsed.attest);
  CLI::Option* nonce = run.add_option("--nonce", parsed.nonce)->needs(attest);
  CLI::Option* evidence = run.add_option("--evidence", parsed.evidence.file)->needs(attest);
  attest->needs(nonce)->needs(evidence);
  CLI::Option* policy = run.add_option("--policy", parsed.run.policy);
  run.add_option("--service", parsed.run.service)->needs(policy);
  run.add_option("--cas", parsed.run.cas)->excludes(policy);
  run.add_option("--session", parsed.run.session)->excludes(policy);
  run.add_option("--cas-key", parsed.run.cas_key)->excludes(policy);
  run.add_option("--las", parsed.run.las)->excludes(policy);
  run.add_option("--state", parsed.run.state);
  CLI::Option* doctor = run.add_flag("--doctor", parsed.doctor);
  run.add_flag("--json", parsed.json)->needs(doctor);
}

PrintAndExit mistake(const std::string& text) {
  return {"casemate run: " + text + "; see `casemate run --help`\n", kExitOwnFailure};
}

// CLI11 sees our own words only: it has its own idea of `--`.
std::vector<std::string> take_program_words(std::vector<std::string>& words) {
  const auto separator = std::find(words.begin(), words.end(), "--");
  std::vector<std::string> program(separator, words.end());
  words.erase(separator, words.end());
  return program;
}

// Which words are the program: what CLI11 left over (then a later `--` belongs to the program), or what follows `--`.
void set_program_words(Parsed& parsed, std::vector<std::string> left_over, std::vector<std::string> behind) {
  if (left_over.empty() && !behind.empty()) behind.erase(behind.begin());
  parsed.run.words = std::move(left_over);
  parsed.run.words.insert(parsed.run.words.end(), behind.begin(), behind.end());
}

// Nothing when the words of --attest make sense.
std::optional<PrintAndExit> set_evidence(Parsed& parsed) {
  if (parsed.attest.empty()) return std::nullopt;
  const Result<crypto::Bytes> nonce = crypto::from_hex(parsed.nonce);
  if (!nonce.has_value() || nonce.value().empty() || nonce.value().size() > protocol::kLasNonceCapacity) {
    return mistake("--nonce takes 2 to 128 hexadecimal digits, two for each byte");
  }
  if (parsed.evidence.file.empty()) return mistake("--evidence takes the name of a file");
  parsed.evidence.nonce = crypto::as_text(nonce.value());
  if (parsed.attest != kOwnService) parsed.evidence.las = parsed.attest;
  parsed.run.evidence = parsed.evidence;
  return std::nullopt;
}

// What the host may choose by variables instead of options; SCONE's names are aliases. All of it selects, and
// authorises nothing.
struct VariableRow {
  const char *name, *alias;
  std::string RunProgram::*field;
};
constexpr VariableRow kVariables[] = {{"CASEMATE_CONFIG_ID", "SCONE_CONFIG_ID", &RunProgram::session},
                                      {"CASEMATE_CAS_ADDR", "SCONE_CAS_ADDR", &RunProgram::cas},
                                      {"CASEMATE_LAS_ADDR", "SCONE_LAS_ADDR", &RunProgram::las}};

// Only where a session is chosen: whoever has a CAS's address in the environment still runs plain programs.
std::optional<PrintAndExit> take_variables(RunProgram& run) {
  if (!run.policy.empty()) return std::nullopt;
  for (const VariableRow& row : kVariables) {
    for (const char* const name : {row.name, row.alias}) {
      const char* const value = std::getenv(name);
      if (value != nullptr && (run.*row.field).empty()) run.*row.field = value;
    }
    if (run.session.empty()) break;
  }
  const bool is_incomplete = run.session.empty() != run.cas.empty();
  if (is_incomplete) {
    return mistake(run.cas.empty() ? "session " + run.session +
                                         " is chosen, but no CAS: give --cas IP:PORT, or set CASEMATE_CAS_ADDR"
                                   : "--cas needs --session SESSION/SERVICE, or CASEMATE_CONFIG_ID");
  }
  if (run.cas.empty() && !(run.cas_key.empty() && run.las.empty())) {
    return mistake("--cas-key and --las belong to --cas and --session");
  }
  return std::nullopt;
}

RunRequest judge(Parsed parsed, const std::vector<std::string>& left_over) {
  if (!left_over.empty() && left_over.front().starts_with('-')) return mistake("unknown option " + left_over.front());
  if (parsed.doctor) {
    if (!parsed.run.words.empty()) return mistake("--doctor takes no program");
    return ShowDoctor{parsed.json ? ReportForm::kJson : ReportForm::kTable};
  }
  if (std::optional<PrintAndExit> wrong = take_variables(parsed.run); wrong.has_value()) return *wrong;
  if (parsed.run.words.empty() && !parsed.run.is_attested()) return mistake("no program given");
  if (std::optional<PrintAndExit> wrong = set_evidence(parsed); wrong.has_value()) return *wrong;
  const bool traces = !parsed.trace.empty() || !parsed.run.trace_file.empty();
  if (parsed.run.is_attested() &&
      (traces || !parsed.run.description.empty() || !parsed.run.rules.empty() || parsed.run.evidence.has_value())) {
    return mistake("--policy and --cas leave no room for --fs, --net, --attest and --trace: the policy decides");
  }
  const bool traced = !parsed.trace.empty() || !parsed.run.trace_file.empty();
  if (parsed.trace == "summary") {
    parsed.run.trace = runtime::TraceMode::kSummary;
  } else if (traced) {
    parsed.run.trace = runtime::TraceMode::kCalls;
  }
  parsed.run.patching = parsed.no_patching ? Patching::kOff : Patching::kOn;
  parsed.run.noise = parsed.quiet ? Noise::kQuiet : Noise::kNormal;
  return parsed.run;
}

}  // namespace

CommandText describe_run() {
  Parsed parsed;
  CLI::App run;
  run.set_version_flag("--version", "");
  describe_run(run, parsed);
  CommandText text = read_words(run, "run", kRunHelp);
  text.runs_program = true;
  return text;
}

RunRequest parse_command_line(const std::vector<std::string>& words) {
  std::vector<std::string> own = words;
  std::vector<std::string> behind = take_program_words(own);
  std::reverse(own.begin(), own.end());  // what CLI::App::parse asks for

  Parsed parsed;
  CLI::App app("", "casemate");
  app.set_version_flag("--version", "casemate " CASEMATE_VERSION);
  app.require_subcommand(1);
  CLI::App* run = app.add_subcommand("run");
  run->set_version_flag("--version", "casemate " CASEMATE_VERSION);
  describe_run(*run, parsed);
  try {
    app.parse(own);
  } catch (const CLI::CallForHelp&) {
    return PrintAndExit{run->parsed() ? kRunHelp : kHelp, 0};
  } catch (const CLI::CallForVersion& version) {
    return PrintAndExit{std::string(version.what()) + "\n", 0};
  } catch (const CLI::ParseError& error) {
    if (run->parsed() || (!words.empty() && words.front() == "run")) return mistake(error.what());
    return PrintAndExit{"casemate: " + std::string(error.what()) + "; see `casemate --help`\n", kExitOwnFailure};
  }
  const std::vector<std::string> left_over = run->remaining();
  set_program_words(parsed, left_over, std::move(behind));
  return judge(std::move(parsed), left_over);
}

}  // namespace casemate::cli
