// Time-based one-time passwords (RFC 6238 over RFC 4226): HMAC-SHA-1, six digits, steps of 30 seconds since 1970, as
// authenticator applications make them.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "crypto/bytes.h"

namespace casemate::crypto {

inline constexpr std::uint64_t kOneTimePasswordStepSeconds = 30;
inline constexpr std::size_t kOneTimePasswordDigits = 6;

// The password of one step: seconds since 1970 divided by kOneTimePasswordStepSeconds. Errors: kSystem.
Result<std::string> one_time_password(ByteView key, std::uint64_t step);

}  // namespace casemate::crypto
