#include "casemate/session/session_options.h"

#include <CLI/CLI.hpp>

namespace casemate::session_tool {
namespace {

void add_text_options(CLI::App& command, Options& options) {
  command.add_option("-e", options.variables, "NAME=VALUE: fill in $NAME or ${NAME}")->allow_extra_args(false);
  command.add_flag("--use-env", options.use_environment, "fill in other variables from the environment");
  command.add_flag("--literal", options.literal, "fill in nothing: a dollar is a dollar, as CAS reads it");
  command.add_option("--name", options.name, "the session's name, instead of the one in the text");
  command.add_option("--with", options.others, "file of another session, to follow imports; may be repeated")
      ->allow_extra_args(false);
  command.add_flag("-q,--quiet", options.quiet, "no warnings");
}

void add_check(CLI::App& tool, Options& options) {
  CLI::App* command = tool.add_subcommand("check", "what is wrong with a session, with line, column and advice");
  command->add_option("FILE", options.files, "session files")->required();
  command->add_flag("--json", options.json, "output for programs");
  add_text_options(*command, options);
}

void add_hash(CLI::App& tool, Options& options) {
  CLI::App* command = tool.add_subcommand("hash", "the hash that names this version of a session");
  command->add_option("FILE", options.files, "session file")->required()->expected(1);
  command->add_flag("--canonical", options.canonical, "print the canonical form that is hashed");
  add_text_options(*command, options);
}

void add_diff(CLI::App& tool, Options& options) {
  CLI::App* command = tool.add_subcommand("diff", "what a change of a session means; exit code 1 when there is one");
  command->add_option("OLD NEW", options.files, "two versions of a session")->required()->expected(2);
  command->add_flag("--json", options.json, "output for programs");
  add_text_options(*command, options);
}

void add_explain(CLI::App& tool, Options& options) {
  CLI::App* command = tool.add_subcommand("explain", "who may start what, and who can ever obtain which secret");
  command->add_option("FILE", options.files, "session file")->required()->expected(1);
  command->add_option("--secret", options.secret, "only this secret");
  add_text_options(*command, options);
}

void add_sign(CLI::App& tool, Options& options) {
  CLI::App* command = tool.add_subcommand("sign", "approve or reject a version of a session, offline");
  command->add_option("FILE", options.files, "the new version")->expected(1);
  command->add_option("--key", options.key, "file with the private key (PEM: Ed25519 or ECDSA P-256, P-384)")
      ->required();
  command->add_option("--log-id", options.log_id,
                      "id of the CAS's log, 64 hex digits (`casemate cas status` shows it)");
  command->add_option("--not-after", options.not_after, "until when the signature counts: 2026-12-31T00:00:00Z");
  command->add_option("--stored", options.stored,
                      "file with the stored version: its hash must be the predecessor, and the "
                      "difference is shown");
  command->add_option("-o,--output", options.output, "where the signature goes (standard output)");
  command->add_flag("--reject", options.reject, "sign an objection instead of an approval");
  command->add_flag("--show-key", options.show_key, "only print the public key and its hash");
  add_text_options(*command, options);
}

void add_verify(CLI::App& tool, Options& options) {
  CLI::App* command =
      tool.add_subcommand("verify-approval", "do these signatures carry a change? The stored version's rule decides");
  command->add_option("NEW SIGNATURE", options.files, "the new version, then files of signatures")
      ->required()
      ->expected(1, 200);
  command->add_option("--stored", options.stored, "file with the stored version")->required();
  command->add_option("--log-id", options.log_id, "id of the CAS's log, 64 hex digits")->required();
  command->add_option("--now", options.now, "the time that counts (default: now)");
  command->add_option("--proposed-at", options.proposed_at,
                      "when the change was proposed, for time locks (default: now)");
  command->add_option("--creator-key", options.creator_key,
                      "hash of the creator's key, 64 hex digits: their signature counts as CREATOR");
  add_text_options(*command, options);
}

// ---- with a CAS -----------------------------------------------------------------------------------------------------

void add_cas_options(CLI::App& command, Options& options) {
  command.add_option("--cas", options.cas, "IP:PORT of the CAS (default: the only one this client knows)");
  command.add_option("--client-dir", options.client_directory, "this client's state (~/.local/state/casemate)");
}

void add_create(CLI::App& tool, Options& options) {
  CLI::App* command = tool.add_subcommand("create", "store a new session in a CAS");
  command->add_option("FILE", options.files, "session file")->required()->expected(1);
  command->add_option("-o,--output", options.output, "where the log's receipt goes");
  add_text_options(*command, options);
  add_cas_options(*command, options);
}

void add_update(CLI::App& tool, Options& options) {
  CLI::App* command = tool.add_subcommand("update", "replace the version that the file names as `predecessor`");
  command->add_option("FILE SIGNATURE", options.files, "the new version, then files of signatures")
      ->required()
      ->expected(1, 65);
  command->add_option("-o,--output", options.output, "where the log's receipt goes");
  command->add_flag("--break-glass", options.break_glass, "by the session's break_glass rule; the log says so");
  add_text_options(*command, options);
  add_cas_options(*command, options);
}

void add_read(CLI::App& tool, Options& options) {
  CLI::App* command = tool.add_subcommand("read", "the stored version; its hash goes to standard error");
  command->add_option("NAME", options.secret, "the session")->required();
  command->add_option("-o,--output", options.output, "where the text goes (standard output)");
  add_cas_options(*command, options);
}

void add_delete(CLI::App& tool, Options& options) {
  CLI::App* command = tool.add_subcommand("delete", "remove a session with its secrets and volume keys, for good");
  command->add_option("NAME", options.secret, "the session")->required();
  command->add_option("--hash", options.stored, "hash of the stored version, so that you know what you remove")
      ->required();
  add_cas_options(*command, options);
}

void add_certificate(CLI::App& tool, Options& options) {
  CLI::App* command = tool.add_subcommand("certificate", "a certificate that its session gives to everybody, as PEM");
  command->add_option("NAME", options.secret, "SESSION/SECRET, which has `export_public: true`")->required();
  command->add_flag("--chain", options.chain, "with the certificates of its issuers");
  command->add_option("-o,--output", options.output, "where it goes (standard output)");
  add_cas_options(*command, options);
}

void add_list(CLI::App& tool, Options& options) {
  CLI::App* command = tool.add_subcommand("list", "names of the sessions that this client may read");
  add_cas_options(*command, options);
}

void add_propose(CLI::App& tool, Options& options) {
  CLI::App* command = tool.add_subcommand("propose", "let a version wait at the CAS for the approvals that it needs");
  command->add_option("FILE SIGNATURE", options.files, "the new version, then files of signatures")
      ->required()
      ->expected(1, 65);
  add_text_options(*command, options);
  add_cas_options(*command, options);
}

void add_proposals(CLI::App& tool, Options& options) {
  CLI::App* command = tool.add_subcommand("proposals", "changes that wait, and what they lack");
  command->add_option("NAME", options.secret, "only those of this session");
  command->add_flag("--json", options.json, "output for programs");
  add_cas_options(*command, options);
}

void add_approve(CLI::App& tool, Options& options) {
  CLI::App* command = tool.add_subcommand("approve", "bring signatures of `casemate session sign` to the CAS");
  command->add_option("SIGNATURE", options.files, "signature files: approvals or objections")
      ->required()
      ->expected(1, 64);
  add_cas_options(*command, options);
}

void add_apply(CLI::App& tool, Options& options) {
  CLI::App* command = tool.add_subcommand("apply", "make a proposed change whose time lock is over");
  command->add_option("ID", options.secret, "hash of the proposed version")->required();
  add_cas_options(*command, options);
}

void add_withdraw(CLI::App& tool, Options& options) {
  CLI::App* command = tool.add_subcommand("withdraw", "take a proposal back");
  command->add_option("ID", options.secret, "hash of the proposed version")->required();
  add_cas_options(*command, options);
}

constexpr const char* kDescription =
    "Sessions (policies): what may run, with which secrets, and who may change that.\n"
    "The language: docs/formats/session.md. `casemate session init -- PROGRAM` writes a first one.";

void add_commands(CLI::App& tool, Options& options) {
  tool.require_subcommand(1);
  for (const auto& add :
       {add_check, add_hash, add_diff, add_explain, add_sign, add_verify, add_create, add_update, add_read, add_delete,
        add_certificate, add_list, add_propose, add_proposals, add_approve, add_apply, add_withdraw})
    add(tool, options);
}

}  // namespace

cli::CommandText describe_words() {
  Options options;
  CLI::App tool(kDescription, "casemate session");
  add_commands(tool, options);
  return cli::read_words(tool, "session");
}

std::variant<Options, Ending> parse_options(const std::vector<std::string>& words) {
  Options options;
  CLI::App tool(kDescription, "casemate session");
  add_commands(tool, options);
  try {
    std::vector<std::string> reversed(words.rbegin(), words.rend());
    tool.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    const auto chosen = tool.get_subcommands();
    return Ending{chosen.empty() ? tool.help() : chosen.front()->help(), 0};
  } catch (const CLI::ParseError& error) {
    return Ending{std::string("casemate session: ") + error.what() + "; see `casemate session --help`\n", 2};
  }
  options.command = tool.get_subcommands().front()->get_name();
  return options;
}

}  // namespace casemate::session_tool
