// `casemate log …`: everything offline, on exported files or on a store directory.
//
// What whoever sent the files can do here -> what we answer: see cas/log/proof_files.h. Text of entries reaches the
// terminal; it cannot hold control characters (the decoder refuses them).
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <ctime>

#include "casemate/log/describe.h"
#include "casemate/log/log_options.h"
#include "casemate/log/log_source.h"
#include "casemate/program_search.h"
#include "casemate/reference/tools.h"
#include "casemate/subcommands.h"

namespace casemate::log_tool {
namespace {

constexpr const char* kHelp =
    "Reads and checks the transparency log of a CAS, offline.\n"
    "\n"
    "Usage: casemate log COMMAND ...\n"
    "\n"
    "  head SOURCE            print the newest signed head\n"
    "  prove SOURCE INDEX     print a receipt: the proof that entry INDEX is in the log\n"
    "  prove SOURCE --since FILE\n"
    "                         print the proof that the log continues the older head in FILE\n"
    "  verify FILE            check an export, a receipt or a consistency proof; exit code 1 when it is not right\n"
    "  export STORE           print the whole log, for others to verify\n"
    "\n"
    "SOURCE is an exported file, or the directory of a store with --key-file or --passphrase-file.\n"
    "\n"
    "  --log-id HEX           the log that you trust; without it the one that the file claims\n"
    "  --since FILE           verify: the log must also continue the older head in FILE (a head, or any proof file)\n"
    "  --entries              verify: print the disclosed entries\n"
    "  --session NAME         export: disclose the entries of this session only; may be repeated\n"
    "  --hashes-only          export: disclose only what verification needs\n"
    "  -o, --output FILE      write to a new file instead of standard output\n";

std::string time_text(std::uint64_t milliseconds) {
  const auto seconds = static_cast<std::time_t>(milliseconds / 1000);
  std::tm broken{};
  std::array<char, 64> text{};
  if (::gmtime_r(&seconds, &broken) == nullptr || std::strftime(text.data(), text.size(), "%FT%TZ", &broken) == 0) {
    return std::to_string(milliseconds) + " ms";
  }
  return text.data();
}

void print_entry(std::uint64_t index, const cas::Entry& entry) {
  std::printf("%llu %s %s epoch %llu\n", static_cast<unsigned long long>(index), time_text(entry.time).c_str(),
              cas::entry_type_name(entry), static_cast<unsigned long long>(entry.epoch));
  for (const auto& [name, value] : cas::describe_entry(entry)) std::printf("  %s: %s\n", name.c_str(), value.c_str());
}

Result<void> show_head(const Options& options) {
  const cas::LogExport log = CASEMATE_TRY(read_log_source(options.operands[0], options));
  return write_text(options.output, cas::to_note(log.head));
}

Result<std::uint64_t> parse_index(const std::string& text) {
  std::uint64_t index = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), index);
  if (code != std::errc() || end != text.data() + text.size()) return misuse("'" + text + "' is no index of an entry");
  return index;
}

Result<void> prove(const Options& options) {
  const bool is_consistency = !options.since.empty();
  if (is_consistency == (options.operands.size() == 2)) return misuse("prove needs either INDEX or --since");
  const cas::LogExport log = CASEMATE_TRY(read_log_source(options.operands[0], options));
  if (!is_consistency) {
    const std::uint64_t index = CASEMATE_TRY(parse_index(options.operands[1]));
    const cas::Receipt receipt = CASEMATE_TRY(cas::receipt_from(log, index));
    return write_text(options.output, cas::to_text(receipt));
  }
  cas::ConsistencyProof proof{log.keys, {}, log.head, {}};
  proof.older = CASEMATE_TRY(read_head(options.since));
  if (auto continues = cas::verify_continues(log, proof.older); !continues) return continues;
  proof.path = CASEMATE_TRY(cas::consistency_path_from(log, proof.older.head.size));
  return write_text(options.output, cas::to_text(proof));
}

Result<void> verify_receipt_file(const std::string& text, const Options& options) {
  const cas::Receipt receipt = CASEMATE_TRY(cas::parse_receipt(text));
  const cas::Digest id = CASEMATE_TRY(trusted_log_id(options, receipt.head.head.log_id));
  const cas::Entry entry = CASEMATE_TRY(cas::verify_receipt(receipt, id));
  print_entry(receipt.index, entry);
  std::printf("verified: in log %s of %llu entries, head of %s\n", crypto::to_hex(id).c_str(),
              static_cast<unsigned long long>(receipt.head.head.size), time_text(receipt.head.head.time).c_str());
  return {};
}

Result<void> verify_consistency_file(const std::string& text, const Options& options) {
  const cas::ConsistencyProof proof = CASEMATE_TRY(cas::parse_consistency_proof(text));
  const cas::Digest id = CASEMATE_TRY(trusted_log_id(options, proof.newer.head.log_id));
  if (auto verified = cas::verify_consistency_proof(proof, id); !verified) return verified;
  std::printf("verified: log %s grew from %llu to %llu entries and kept the first\n", crypto::to_hex(id).c_str(),
              static_cast<unsigned long long>(proof.older.head.size),
              static_cast<unsigned long long>(proof.newer.head.size));
  return {};
}

Result<void> verify_export_file(const std::string& text, const Options& options) {
  const cas::LogExport log = CASEMATE_TRY(cas::parse_export(text));
  const cas::Digest id = CASEMATE_TRY(trusted_log_id(options, log.head.head.log_id));
  if (auto verified = cas::verify_export(log, id); !verified) return verified;
  if (!options.since.empty()) {
    const cas::SignedHead older = CASEMATE_TRY(read_head(options.since));
    if (auto continues = cas::verify_continues(log, older); !continues) return continues;
  }
  std::size_t disclosed = 0;
  for (std::size_t index = 0; index < log.leaves.size(); ++index) {
    if (!log.leaves[index].disclosed) continue;
    ++disclosed;
    if (options.entries) print_entry(index, CASEMATE_TRY(cas::decode_entry(log.leaves[index].disclosed->entry)));
  }
  std::printf("verified: log %s, %zu entries (%zu disclosed), epoch %llu, head of %s%s\n", crypto::to_hex(id).c_str(),
              log.leaves.size(), disclosed, static_cast<unsigned long long>(log.head.head.epoch),
              time_text(log.head.head.time).c_str(), options.since.empty() ? "" : ", continues the older head");
  return {};
}

Result<void> verify(const Options& options) {
  const std::string text = CASEMATE_TRY(read_text(options.operands[0]));
  const auto kind = cas::kind_of_proof_file(text);
  if (!kind) return Error(ErrorCategory::kFormat, options.operands[0] + " is no export, receipt or consistency proof");
  if (!options.since.empty() && *kind != cas::ProofFileKind::kExport) {
    return misuse("--since is checked against exports; a consistency proof has its older head inside");
  }
  switch (*kind) {
    case cas::ProofFileKind::kReceipt:
      return verify_receipt_file(text, options);
    case cas::ProofFileKind::kConsistency:
      return verify_consistency_file(text, options);
    case cas::ProofFileKind::kExport:
      return verify_export_file(text, options);
  }
  return {};
}

Result<void> export_log(const Options& options) {
  const cas::LogExport log = CASEMATE_TRY(read_log_source(options.operands[0], options));
  return write_text(options.output, cas::to_text(log));
}

struct Command {
  const char* name;
  std::size_t least_operands, most_operands;
  Result<void> (*run)(const Options& options);
};

constexpr Command kCommands[] = {
    {"head", 1, 1, show_head},
    {"prove", 1, 2, prove},
    {"verify", 1, 1, verify},
    {"export", 1, 1, export_log},
};

int log_exit_code(const Error& error) {
  switch (error.category()) {
    case ErrorCategory::kUsage:
      return cli::kExitUsage;
    case ErrorCategory::kFormat:
      return cli::kExitNo;
    default:
      return cli::kExitOwnFailure;
  }
}

Result<void> execute(const Command& command, const std::vector<std::string>& words) {
  const Options options = CASEMATE_TRY(parse_options(words));
  if (options.help) return write_text("", kHelp);
  if (options.operands.size() < command.least_operands || options.operands.size() > command.most_operands) {
    return misuse(std::string(command.name) + ": wrong number of operands");
  }
  if (auto done = command.run(options); !done) return done;
  if (std::fflush(stdout) != 0) return Error::from_errno("standard output cannot be written", errno);
  return {};
}

}  // namespace
}  // namespace casemate::log_tool

namespace casemate::cli {

CommandText describe_log() {
  CommandText text{"log", "", log_tool::kHelp, {{{"--help", "-h"}, false, ""}}, {}};
  for (const log_tool::Command& command : log_tool::kCommands) {
    text.commands.push_back({command.name, "", log_tool::kHelp, log_tool::option_texts(), {}});
  }
  return text;
}

int log_command(const std::vector<std::string>& words) {
  using namespace log_tool;
  const std::string name = words.empty() ? "" : words.front();
  if (name == "--help" || name == "-h" || name == "help") {
    std::fputs(kHelp, stdout);
    return std::fflush(stdout) == 0 ? 0 : kExitOwnFailure;
  }
  for (const Command& command : kCommands) {
    if (name != command.name) continue;
    const auto done = execute(command, std::vector<std::string>(words.begin() + 1, words.end()));
    if (done) return 0;
    std::fflush(stdout);
    std::fprintf(stderr, "casemate log: %s\n", done.error().message().c_str());
    return log_exit_code(done.error());
  }
  std::fprintf(stderr, "casemate log: %s; see `casemate log --help`\n",
               name.empty() ? "no command given" : ("there is no command '" + name + "'").c_str());
  return kExitUsage;
}

}  // namespace casemate::cli
