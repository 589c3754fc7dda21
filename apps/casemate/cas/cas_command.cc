// `casemate cas ...` and `casemate identity`: the table of commands, their words and exit codes.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "casemate/cas/cas_options.h"
#include "casemate/cas/client_state.h"
#include "casemate/reference/tools.h"
#include "casemate/subcommands.h"
#include "crypto/host_configuration.h"

namespace casemate::cas_tool {
namespace {

constexpr int kExitFailure = 125;

void add_client_directory(CLI::App& command, Options& options) {
  command.add_option("--client-dir", options.client_directory, "this client's state (~/.local/state/casemate)");
}

void add_client_words(CLI::App& command, Options& options) {
  command.add_option("--cas", options.address, "IP:PORT of the CAS (default: the only one known)");
  add_client_directory(command, options);
}

void add_store_words(CLI::App& command, Options& options) {
  command.add_option("--state", options.state, "directory of the CAS; made on the first start")->required();
  command.add_option("--key-file", options.key_file, "32 bytes that unseal the store (STATE/unseal.key)");
  command.add_option("--passphrase-file", options.passphrase_file, "file with a passphrase instead of a key");
  command.add_option("--anchor", options.anchor,
                     "freshness anchor: a file, on another disk (STATE/anchor), or tpm[:DEVICE[@INDEX]]");
}

void add_serve(CLI::App& tool, Options& options) {
  CLI::App* command = tool.add_subcommand("serve", "serve until SIGTERM or SIGINT; reads no environment");
  add_store_words(*command, options);
  command->add_option("--listen", options.listen, "IP:PORT of the client API (127.0.0.1:8900; port 0: any)");
  command->add_option(
      "--runtime-listen", options.runtime_listen,
      "IP:PORT where services get their configuration (none: this CAS starts no services; port 0: any)");
  command
      ->add_option("--collateral", options.collateral,
                   "file by which evidence of machines is judged, read at the start: DCAP collateral (JSON), AMD's "
                   "certificates and revocation lists; may be repeated")
      ->allow_extra_args(false);
  command->add_option("--anchor-seconds", options.anchor_seconds, "at most this much can be rolled back unnoticed (10)")
      ->check(CLI::Range(1, 3600));
  command->add_option("--top-level", options.top_level, "who creates sessions without a namespace: owner or anyone")
      ->check(CLI::IsMember({"owner", "anyone"}));
  command
      ->add_option("--requests-per-second", options.requests_per_second, "of one client key; four times that at once")
      ->check(CLI::Range(1.0, 1e9));
  command->add_flag("--public-metrics", options.public_metrics, "everybody may read /v1/metrics, not only the owner");
}

void add_claim(CLI::App& tool, Options& options) {
  CLI::App* command = tool.add_subcommand("claim", "become the owner of a CAS, with its claim token, and trust it");
  command->add_option("ADDRESS", options.address, "IP:PORT")->required();
  command->add_option("--token-file", options.token_file, "STATE/claim-token of the CAS, brought here safely")
      ->required();
  add_client_directory(*command, options);
}

void add_trust(CLI::App& tool, Options& options) {
  CLI::App* command = tool.add_subcommand("trust", "trust a CAS by the key and log that its owner tells you");
  command->add_option("ADDRESS", options.address, "IP:PORT")->required();
  command->add_option("--server-key", options.server_key, "64 hex digits")->required();
  command->add_option("--log-id", options.log_id, "64 hex digits")->required();
  add_client_directory(*command, options);
}

void add_status(CLI::App& tool, Options& options) {
  CLI::App* command = tool.add_subcommand("status", "who a CAS is and what its promises rest on");
  command->add_option("ADDRESS", options.address, "IP:PORT (default: the only one known)");
  command->add_flag("--json", options.json, "output for programs");
  add_client_directory(*command, options);
}

void add_backup(CLI::App& tool, Options& options) {
  CLI::App* command = tool.add_subcommand("backup", "have the CAS make a backup that some of its holders can open");
  command->add_option("--holder", options.holders, "key of a holder (casemate cas share-key); repeat it")
      ->required()
      ->allow_extra_args(false);
  command->add_option("--threshold", options.threshold, "how many holders are needed")->required();
  add_client_words(*command, options);
}

void add_restore(CLI::App& tool, Options& options) {
  CLI::App* command = tool.add_subcommand("restore", "make a CAS out of a backup, or go on with an older state");
  add_store_words(*command, options);
  command->add_option("--from", options.from, "the backup");
  command->add_option("--holder-key", options.holder_keys, "key file of a holder; repeat it")->allow_extra_args(false);
  command->add_flag("--accept", options.accept, "go on with the state as it is, though it is older than its anchor");
}

void add_audit(CLI::App& tool, Options& options) {
  CLI::App* command = tool.add_subcommand("audit", "fetch the log, verify it, show what this client may see");
  command->add_option("-o,--output", options.output, "keep the export in this file instead");
  add_client_words(*command, options);
}

void add_why(CLI::App& tool, Options& options) {
  CLI::App* command = tool.add_subcommand("why", "say why a service was refused; only to the owner of its session");
  command->add_option("REFERENCE", options.reference, "16 hex digits, which the service was told")->required();
  command->add_flag("--json", options.json, "output for programs");
  add_client_words(*command, options);
}

void add_share_key(CLI::App& tool, Options& options) {
  CLI::App* command =
      tool.add_subcommand("share-key", "make a key for a holder of backup shares; prints its public half");
  command->add_option("FILE", options.output, "where the private half goes")->required();
}

constexpr const char* kDescription = "The configuration and attestation service, and what its owner and clients do.";
constexpr const char* kIdentityDescription =
    "Prints the hash of this client's key, which access rules name; makes the key when there is none.";

struct CommandRow {
  const char* name;
  void (*add)(CLI::App& tool, Options& options);
  Result<int> (*run)(const Options& options);  // null for serve, which starts again with its words
};
constexpr CommandRow kCommands[] = {
    {"serve", add_serve, nullptr},  {"claim", add_claim, claim},
    {"trust", add_trust, trust},    {"status", add_status, status},
    {"backup", add_backup, backup}, {"restore", add_restore, restore},
    {"audit", add_audit, audit},    {"share-key", add_share_key, share_key},
    {"why", add_why, why},
};

void add_commands(CLI::App& tool, Options& options) {
  tool.require_subcommand(1);
  for (const CommandRow& row : kCommands) row.add(tool, options);
}

int finish(const Result<int>& result, const char* tool) {
  if (result) return std::fflush(stdout) == 0 ? result.value() : kExitFailure;
  std::fprintf(stderr, "%s: %s\n", tool, result.error().message().c_str());
  switch (result.error().category()) {
    case ErrorCategory::kUsage:
      return cli::kExitUsage;
    case ErrorCategory::kSystem:
    case ErrorCategory::kExhausted:
      return kExitFailure;
    default:
      return cli::kExitNo;
  }
}

Result<int> show_identity(const Options& options) {
  const std::string directory =
      options.client_directory.empty() ? CASEMATE_TRY(default_client_directory()) : options.client_directory;
  bool is_new = false;
  const Identity identity = CASEMATE_TRY(load_or_make_identity(directory, is_new));
  if (is_new) std::fprintf(stderr, "casemate identity: made a key in %s\n", directory.c_str());
  std::printf("%s\n", identity.key_hash.c_str());
  return 0;
}

// The words, or what ends the command at once.
std::optional<int> parse(CLI::App& tool, const std::vector<std::string>& words, const char* name) {
  std::vector<std::string> reversed(words.rbegin(), words.rend());
  try {
    tool.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    const auto chosen = tool.get_subcommands();
    std::fputs((chosen.empty() ? tool.help() : chosen.front()->help()).c_str(), stdout);
    return 0;
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "%s: %s; see `%s --help`\n", name, error.what(), name);
    return cli::kExitUsage;
  }
  return std::nullopt;
}

}  // namespace
}  // namespace casemate::cas_tool

namespace casemate::cli {

CommandText describe_cas() {
  cas_tool::Options options;
  CLI::App tool(cas_tool::kDescription, "casemate cas");
  cas_tool::add_commands(tool, options);
  return read_words(tool, "cas");
}

CommandText describe_identity() {
  cas_tool::Options options;
  CLI::App tool(cas_tool::kIdentityDescription, "casemate identity");
  cas_tool::add_client_directory(tool, options);
  return read_words(tool, "identity");
}

int cas_command(const std::vector<std::string>& words) {
  using namespace cas_tool;
  Options options;
  CLI::App tool(kDescription, "casemate cas");
  add_commands(tool, options);
  if (const auto ended = parse(tool, words, "casemate cas")) return *ended;
  crypto::ignore_host_configuration();
  const std::string chosen = tool.get_subcommands().front()->get_name();
  for (const CommandRow& row : kCommands) {
    if (chosen != row.name) continue;
    return finish(row.run == nullptr ? serve(options, words) : row.run(options), "casemate cas");
  }
  return kExitUsage;
}

int identity_command(const std::vector<std::string>& words) {
  using namespace cas_tool;
  Options options;
  CLI::App tool(kIdentityDescription, "casemate identity");
  add_client_directory(tool, options);
  if (const auto ended = parse(tool, words, "casemate identity")) return *ended;
  crypto::ignore_host_configuration();
  return finish(show_identity(options), "casemate identity");
}

}  // namespace casemate::cli
