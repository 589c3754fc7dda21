// Times of approvals: seconds since 1970-01-01T00:00:00Z, written as RFC 3339 in UTC ("2026-11-23T17:00:00Z").
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace casemate::policy {

// Errors: kFormat for anything but that form; years 1970 to 9999.
Result<std::uint64_t> parse_moment(std::string_view text);
std::string moment_text(std::uint64_t seconds);

}  // namespace casemate::policy
