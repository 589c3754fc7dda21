// The checker's parts, one file per section of a session.
#pragma once

#include <string>
#include <vector>

#include "policy/check.h"

namespace casemate::policy::internal {

class Checker {
 public:
  Checker(const Session& checked, const KnownSessions& others, Diagnostics& diagnostics)
      : session(checked), known(others), out(diagnostics) {}

  // An error in our own version, a warning in SCONE's.
  void own_error(Position where, std::string message, std::string advice) {
    const bool is_own = session.version == Version::kCasemate1;
    out.add({is_own ? Severity::kError : Severity::kWarning, where, std::move(message), std::move(advice)});
  }

  const Session& session;
  const KnownSessions& known;
  Diagnostics& out;
};

void check_services(Checker& checker);
void check_images(Checker& checker);
void check_volumes(Checker& checker);
void check_networks(Checker& checker);
void check_secrets(Checker& checker);
void check_secret_uses(Checker& checker);
void check_sharing(Checker& checker);
void check_access(Checker& checker);
void check_security(Checker& checker);

template <typename T>
std::vector<std::string_view> names_of(const std::vector<T>& all) {
  std::vector<std::string_view> names;
  names.reserve(all.size());
  for (const T& one : all) names.push_back(one.name);
  return names;
}

}  // namespace casemate::policy::internal
