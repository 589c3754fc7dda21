// SHA-384 (FIPS 180-4): what TDX and SEV-SNP measure with.
#pragma once

#include <array>

#include "crypto/bytes.h"

namespace casemate::crypto {

using Sha384Digest = std::array<std::byte, 48>;

Sha384Digest sha384(ByteView data);

}  // namespace casemate::crypto
