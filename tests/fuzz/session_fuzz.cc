// Fuzzes the session language: variables, parser, checker, canonical form, substitution, difference, explanation. A
// finding is a crash, a sanitizer report, or a session for which the parts contradict each other.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "policy/canonical.h"
#include "policy/check.h"
#include "policy/diff.h"
#include "policy/explain.h"
#include "policy/parse.h"
#include "policy/substitute.h"
#include "policy/variables.h"

namespace {

using namespace casemate;
using namespace casemate::policy;

void require(const char* property, bool holds) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", property);
  std::abort();
}

// Every secret is the same text, which looks like a reference: it must never be filled in again.
class Source : public SecretSource {
 public:
  Source() { material_.value = std::make_shared<const SecretText>("$$CASEMATE::again$$"); }
  const SecretMaterial* find(std::string_view) const override { return &material_; }

 private:
  SecretMaterial material_;
};

void check_substitution(const Session& session) {
  const Source source;
  const std::string arguments[] = {"$$CASEMATE::host$$", "@@0"};
  for (const Service& service : session.services) {
    for (const std::string& word : service.command) {
      const Result<SharedSecretText> filled = substitute_word(word, session, source, arguments);
      if (filled) require("a filled-in word is bounded", filled.value()->expose().size() <= 64 * (word.size() + 1));
    }
    for (const EnvironmentVariable& variable : service.environment) {
      static_cast<void>(substitute_variable(variable.value, session, source).has_value());
    }
  }
}

void check_consistency(const Session& session, std::string_view text) {
  Diagnostics again, findings;
  const std::optional<Session> twin = parse_session(text, {}, again);
  require("a text that parses parses again", twin.has_value());
  require("the hash depends on the text only", session_hash(session) == session_hash(*twin));
  require("a session does not differ from itself", semantic_diff(session, *twin).empty());
  check_session(session, {}, findings);
  for (const Diagnostic& finding : findings.all()) require("findings say something", !finding.message.empty());
  if (findings.has_errors()) return;
  require("every section is explained",
          explain_session(session, {}).size() ==
              1 + session.services.size() + session.volumes.size() + session.secrets.size());
  check_substitution(session);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Diagnostics diagnostics, filling;
  const std::optional<Session> session = parse_session(text, {}, diagnostics);
  require("either a session or errors", session.has_value() != diagnostics.has_errors());
  for (const Diagnostic& one : diagnostics.all()) require("places are in the text", one.where.line <= size + 1);
  if (session) check_consistency(*session, text);
  fill_in_variables(
      text, [](std::string_view name) { return std::optional<std::string>(name); }, filling);
  return 0;
}
