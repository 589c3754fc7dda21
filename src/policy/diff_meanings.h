// The table behind semantic_diff(): what a difference at a place of the canonical form means.
#pragma once

#include <string_view>
#include <vector>

#include "policy/diff.h"

namespace casemate::policy::internal {

enum class Happening { kAdded, kRemoved, kChanged };

struct RawChange {
  std::vector<std::string> path;
  Happening happening = Happening::kChanged;
  Value before, after;  // null where there is none; of sets: the element
  bool set_was_empty = false, set_gets_empty = false;
};

// False: nothing to say at this place, because its parts are told one by one.
bool explain(const RawChange& change, Difference& difference);

}  // namespace casemate::policy::internal
