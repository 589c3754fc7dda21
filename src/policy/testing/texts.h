// Sessions for unit tests, from their texts; a text that is wrong fails the test with its findings.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "policy/check.h"
#include "policy/parse.h"

namespace casemate::policy::testing {

inline const std::string kMeasurement(64, 'a');
inline const std::string kOtherMeasurement(64, 'b');

inline std::string all_findings(const Diagnostics& diagnostics) {
  std::string text;
  for (const Diagnostic& one : diagnostics.all()) text += to_text(one, "text") + "\n";
  return text;
}

inline Session session_of(const std::string& text) {
  Diagnostics diagnostics;
  std::optional<Session> session = parse_session(text, {}, diagnostics);
  EXPECT_TRUE(session.has_value()) << all_findings(diagnostics) << text;
  return session ? *session : Session();
}

inline std::string findings_of(const Session& session, const KnownSessions& known = {}) {
  Diagnostics diagnostics;
  check_session(session, known, diagnostics);
  return all_findings(diagnostics);
}

}  // namespace casemate::policy::testing
