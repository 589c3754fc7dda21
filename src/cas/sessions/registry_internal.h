// What registry.cc and proposals.cc share.
#pragma once

#include <list>

#include "cas/sessions/registry.h"

namespace casemate::cas {

// A new version that is right in itself and fits what is stored.
struct SessionRegistry::Candidate {
  std::string name, text;
  policy::Session session;
  std::vector<policy::Diagnostic> warnings;
  Digest hash{};
  StoredSessionPointer stored;      // null: the session is created
  std::vector<RowCheck> relied_on;  // sessions that it imports from
  bool is_stored_already = false;   // this very version is the current one
  std::list<StoredSessionPointer> exporters;
};

// Who decides about it.
struct SessionRegistry::Authority {
  policy::AccessRule rule;
  std::string creator;                // who CREATOR is in this rule: key hash, 64 hex digits
  std::optional<RowCheck> relied_on;  // where the rule stands
  BreakGlass break_glass = BreakGlass::kNo;
};

namespace internal {

inline constexpr int kTries = 5;
inline constexpr std::size_t kMostDecisions = 64;

// Whether a signature or a connection of this key can count in the rule.
bool names_key(const policy::AccessRule& rule, const std::string& key_hash, const std::string& creator);
Refusal refusal_of(const policy::Verdict& verdict, const std::string& what);
// As if it had never existed: what callers who may not know are told.
Refusal no_such_session(const std::string& name);
std::string hex(const Digest& digest);

// Repeats what lost a race.
template <typename Attempt>
auto again_after_races(const Attempt& attempt) {
  for (int tries = 1;; ++tries) {
    auto outcome = attempt();
    if (outcome || outcome.error().kind != RefusalKind::kRace || tries == kTries) return outcome;
  }
}

}  // namespace internal
}  // namespace casemate::cas
