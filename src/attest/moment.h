// Moments as verification uses them: seconds since 1970, always an argument, never read from a clock here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace casemate::attest {

using Moment = std::int64_t;

// ISO 8601 as collateral and people write it: "2025-07-04T10:16:31Z", also with a space for the T, a fraction (dropped)
// and an offset ("+00:00"); or a date alone. Errors: kFormat.
Result<Moment> parse_moment(std::string_view text);
// "2025-07-04T10:16:31Z"
std::string to_text(Moment moment);

// When something may be used, both ends included.
struct ValidityWindow {
  Moment begin = INT64_MIN;
  Moment end = INT64_MAX;
  std::string begin_set_by, end_set_by;  // which part is the tightest

  bool contains(Moment now) const { return begin <= now && now <= end; }
  void narrow(Moment other_begin, Moment other_end, const std::string& part);
};

}  // namespace casemate::attest
