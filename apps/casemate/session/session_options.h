// The words behind `casemate session`, and what its commands have in common.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "casemate/reference/command_text.h"

namespace casemate::session_tool {

struct Options {
  std::string command;
  std::vector<std::string> files;
  std::vector<std::string> variables;  // NAME=VALUE
  std::vector<std::string> others;     // files of other sessions, for imports
  bool use_environment = false;
  bool literal = false;
  bool json = false;
  bool canonical = false;
  bool reject = false;
  bool show_key = false;
  bool quiet = false;
  std::string name;
  std::string secret;
  std::string key, log_id, not_after, stored, output;
  std::string creator_key, proposed_at, now;
  std::string cas, client_directory;  // commands that talk to a CAS
  bool break_glass = false;
  bool chain = false;
};

// What ends the command at once: help, or a mistake in the words.
struct Ending {
  std::string text;
  int exit_code = 0;
};

std::variant<Options, Ending> parse_options(const std::vector<std::string>& words);
cli::CommandText describe_words();  // without `init`, which has its own parser

// Exit code, after the work is done and printed; errors are the caller's to print.
Result<int> check_sessions(const Options& options);
Result<int> hash_session(const Options& options);
Result<int> show_difference(const Options& options);
Result<int> explain_session(const Options& options);
Result<int> sign_change(const Options& options);
Result<int> verify_approval(const Options& options);
// With a CAS; command_remote.cc.
Result<int> create_session(const Options& options);
Result<int> update_session(const Options& options);
Result<int> read_session(const Options& options);
Result<int> delete_session(const Options& options);
Result<int> show_certificate(const Options& options);
Result<int> list_sessions(const Options& options);
Result<int> propose_change(const Options& options);
Result<int> list_proposals(const Options& options);
Result<int> approve_proposal(const Options& options);
Result<int> apply_proposal(const Options& options);
Result<int> withdraw_proposal(const Options& options);

}  // namespace casemate::session_tool
