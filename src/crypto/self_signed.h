// Certificates that only say "this is my key": what TLS wants around the keys of the CAS and of its clients, who know
// each other by the hashes of their keys.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "crypto/bytes.h"
#include "crypto/signature.h"

namespace casemate::crypto {

// X.509 version 3 (RFC 5280) in DER, with a random serial number. `common_name`: 1 to 64 printable ASCII characters.
// Times in seconds since 1970. Errors: kUsage for keys other than P-256 and for other names; kSystem.
Result<Bytes> self_signed_certificate(const PrivateKey& key, std::string_view common_name, std::int64_t not_before,
                                      std::int64_t not_after);

}  // namespace casemate::crypto
