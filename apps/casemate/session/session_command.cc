// `casemate session ...`: the table of its commands, and how their errors become words and exit codes.
#include <cstdio>

#include "casemate/provision/init_session.h"
#include "casemate/reference/tools.h"
#include "casemate/session/session_options.h"
#include "casemate/subcommands.h"

namespace casemate::session_tool {
namespace {

constexpr int kExitFailure = 125;

struct CommandRow {
  const char* name;
  Result<int> (*run)(const Options& options);
};
constexpr CommandRow kCommands[] = {
    {"check", check_sessions},
    {"hash", hash_session},
    {"diff", show_difference},
    {"explain", explain_session},
    {"sign", sign_change},
    {"verify-approval", verify_approval},
    {"create", create_session},
    {"update", update_session},
    {"read", read_session},
    {"delete", delete_session},
    {"list", list_sessions},
    {"propose", propose_change},
    {"proposals", list_proposals},
    {"approve", approve_proposal},
    {"apply", apply_proposal},
    {"withdraw", withdraw_proposal},
    {"certificate", show_certificate},
};

int finish(const Result<int>& result) {
  if (result.has_value()) return std::fflush(stdout) == 0 ? result.value() : kExitFailure;
  std::fprintf(stderr, "casemate session: %s\n", result.error().message().c_str());
  if (result.error().category() == ErrorCategory::kUsage) return cli::kExitUsage;
  return result.error().category() == ErrorCategory::kSystem ? kExitFailure : cli::kExitNo;
}

}  // namespace
}  // namespace casemate::session_tool

namespace casemate::cli {

CommandText describe_session() {
  CommandText text = session_tool::describe_words();
  text.commands.insert(text.commands.begin(), describe_session_init());
  return text;
}

int session_command(const std::vector<std::string>& words) {
  using namespace session_tool;
  if (!words.empty() && words.front() == "init") return init_session({words.begin() + 1, words.end()});
  const std::variant<Options, Ending> parsed = parse_options(words);
  if (const auto* ending = std::get_if<Ending>(&parsed)) {
    std::fputs(ending->text.c_str(), ending->exit_code == 0 ? stdout : stderr);
    return ending->exit_code;
  }
  const auto& options = std::get<Options>(parsed);
  for (const CommandRow& row : kCommands) {
    if (options.command == row.name) return finish(row.run(options));
  }
  return kExitUsage;
}

}  // namespace casemate::cli
