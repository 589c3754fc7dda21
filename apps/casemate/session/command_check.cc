// `casemate session check` and `hash`.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "casemate/session/session_files.h"
#include "casemate/subcommands.h"
#include "crypto/bytes.h"
#include "policy/canonical.h"

namespace casemate::session_tool {
namespace {

nlohmann::json to_json(const policy::Diagnostics& diagnostics, const std::string& path) {
  nlohmann::json findings = nlohmann::json::array();
  for (const policy::Diagnostic& diagnostic : diagnostics.all()) {
    findings.push_back({{"severity", diagnostic.severity == policy::Severity::kError ? "error" : "warning"},
                        {"line", diagnostic.where.line},
                        {"column", diagnostic.where.column},
                        {"message", diagnostic.message},
                        {"advice", diagnostic.advice}});
  }
  return {{"file", path}, {"errors", diagnostics.error_count()}, {"findings", findings}};
}

}  // namespace

Result<int> check_sessions(const Options& options) {
  const OtherSessions others = CASEMATE_TRY(OtherSessions::load(options));
  nlohmann::json report = nlohmann::json::array();
  bool all_good = true;
  for (const std::string& path : options.files) {
    const LoadedSession loaded = CASEMATE_TRY(load_session(path, options, others.known(), Depth::kCheck));
    const bool good = loaded.session && !loaded.diagnostics.has_errors();
    all_good = all_good && good;
    if (options.json) {
      report.push_back(to_json(loaded.diagnostics, path));
      continue;
    }
    print(loaded.diagnostics, path, options);
    if (good) std::printf("%s: session %s is right\n", path.c_str(), loaded.session->name.c_str());
  }
  if (options.json) {
    std::printf("%s\n", report.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
  }
  return all_good ? 0 : cli::kExitNo;
}

Result<int> hash_session(const Options& options) {
  const OtherSessions others = CASEMATE_TRY(OtherSessions::load(options));
  Options quiet = options;
  quiet.quiet = true;
  const policy::Session session = CASEMATE_TRY(require_session(options.files.front(), quiet, others.known()));
  const policy::Value form = policy::canonical_form(session);
  if (options.canonical) {
    std::printf("%s\n", policy::to_json(form).c_str());
  } else {
    std::printf("%s\n", crypto::to_hex(policy::hash_of_form(form)).c_str());
  }
  return 0;
}

}  // namespace casemate::session_tool
