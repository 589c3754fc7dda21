// `casemate session diff` and `explain`.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "casemate/session/session_files.h"
#include "casemate/subcommands.h"
#include "policy/diff.h"
#include "policy/explain.h"

namespace casemate::session_tool {

Result<int> show_difference(const Options& options) {
  const OtherSessions others = CASEMATE_TRY(OtherSessions::load(options));
  Options quiet = options;
  quiet.quiet = true;
  const policy::Session before = CASEMATE_TRY(require_session(options.files[0], quiet, others.known()));
  const policy::Session after = CASEMATE_TRY(require_session(options.files[1], quiet, others.known()));
  const std::vector<policy::Difference> differences = policy::semantic_diff(before, after);
  if (options.json) {
    constexpr const char* kEffects[] = {"allows-more", "allows-less", "differs"};
    nlohmann::json report = nlohmann::json::array();
    for (const policy::Difference& one : differences) {
      report.push_back(
          {{"effect", kEffects[static_cast<std::size_t>(one.effect)]}, {"path", one.path}, {"meaning", one.meaning}});
    }
    std::printf("%s\n", report.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
  } else {
    std::fputs(policy::to_text(differences).c_str(), stdout);
  }
  return differences.empty() ? 0 : cli::kExitNo;
}

Result<int> explain_session(const Options& options) {
  const OtherSessions others = CASEMATE_TRY(OtherSessions::load(options));
  Options quiet = options;
  quiet.quiet = true;
  const policy::Session session = CASEMATE_TRY(require_session(options.files.front(), quiet, others.known()));
  std::vector<policy::Explanation> explanations;
  if (options.secret.empty()) {
    explanations = policy::explain_session(session, others.known());
  } else if (session.find_secret(options.secret) == nullptr) {
    return Error(ErrorCategory::kNotFound, options.files.front() + " has no secret `" + options.secret + "`");
  } else {
    explanations.push_back(policy::explain_secret(session, options.secret, others.known()));
  }
  std::fputs(policy::to_text(explanations).c_str(), stdout);
  return 0;
}

}  // namespace casemate::session_tool
