// The words behind `casemate run`.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "runtime/boot/launch_state.h"

namespace casemate::cli {

enum class Noise { kNormal, kQuiet };
enum class Patching { kOn, kOff };
enum class ReportForm { kTable, kJson };

// Evidence about the runtime, obtained before the program is mapped (docs/las.md).
struct EvidenceRequest {
  std::string las;    // socket of the attestation service; empty: one that serves this run only, as a simulation
  std::string nonce;  // 1 to 64 bytes
  std::string file;   // where the evidence goes
};

struct RunProgram {
  runtime::TraceMode trace = runtime::TraceMode::kOff;
  std::string trace_file;   // empty: standard error
  std::string description;  // of regions (--fs); empty: the program sees the host's files
  std::string rules;        // of the network shield (--net); empty: connections are the host's
  Patching patching = Patching::kOn;
  Noise noise = Noise::kNormal;
  std::optional<EvidenceRequest> evidence;
  // Attested runs: with the user's own CAS (policy), or another one (cas). Then `words` may be empty.
  std::string policy, service, state;
  std::string cas, cas_key, session, las;
  bool is_attested() const { return !policy.empty() || !cas.empty(); }
  std::vector<std::string> words;  // the program and its arguments; empty in attested runs only
};

struct ShowDoctor {
  ReportForm form = ReportForm::kTable;
};

// Something to print and to end with: help, version, or a mistake in the words.
struct PrintAndExit {
  std::string text;
  int exit_code;
};

using RunRequest = std::variant<RunProgram, ShowDoctor, PrintAndExit>;

// `words`: everything behind `casemate`. Our options end at `--` or at the first word that is not an option.
RunRequest parse_command_line(const std::vector<std::string>& words);

}  // namespace casemate::cli
