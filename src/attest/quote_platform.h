// What a DCAP quote says about the platform that it comes from: what collateral is asked for and kept by. Nothing here
// is verified; a wrong answer finds collateral that then does not fit.
#pragma once

#include "base/result.h"
#include "crypto/bytes.h"
#include "evidence/byte_reader.h"

namespace casemate::attest {

// Which of Intel's two authorities issued the PCK certificate, and so whose revocation list counts.
enum class PckAuthority { kProcessor, kPlatform };

struct QuotePlatform {
  bool is_tdx = false;
  evidence::FixedBytes<6> fmspc{};
  PckAuthority authority = PckAuthority::kPlatform;
};

// Errors: kFormat for bytes that are no quote, or a quote that brings no PCK certificate.
Result<QuotePlatform> platform_of_quote(crypto::ByteView quote);

}  // namespace casemate::attest
