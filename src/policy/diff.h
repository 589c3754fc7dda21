// What a change of a session means: not which lines differ, but who may now do what.
//
// Both versions are compared in their canonical forms with defaults filled in. Every difference of the forms is told:
// what no row of the table of meanings knows appears as it is. Pure; threads: any.
#pragma once

#include <string>
#include <vector>

#include "policy/session.h"
#include "policy/value.h"

namespace casemate::policy {

enum class Effect {
  kAllowsMore,
  kAllowsLess,
  kDiffers,  // neither more nor less, or it depends
};

struct Difference {
  Effect effect = Effect::kDiffers;
  std::string path;     // "services/web/attestation"
  std::string meaning;  // one sentence
};

// Those that allow more come first.
std::vector<Difference> semantic_diff(const Session& before, const Session& after);

// One line each: "+ ..." allows more, "- ..." allows less, "~ ..." differs.
std::string to_text(const std::vector<Difference>& differences);

}  // namespace casemate::policy
