// Certificates and revocation lists with throw-away keys: written by hand in DER, so that tests can also make those
// that no authority would issue.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "attest/moment.h"
#include "crypto/certificate.h"
#include "crypto/signature.h"

namespace casemate::attest::testing {

using crypto::Bytes;

struct CertificateTemplate {
  std::string subject, issuer;  // common names
  Bytes serial = {std::byte{1}};
  Moment not_before = 0, not_after = 0;
  bool is_authority = false;
  std::optional<std::uint64_t> path_length;
  std::optional<std::uint8_t> key_usage;  // first octet of the bits: 0x80 digital signature, 0x04 and 0x02 authorities
  std::vector<crypto::CertificateExtension> extensions;  // more
};

struct RevocationListTemplate {
  std::string issuer;
  Moment this_update = 0;
  std::optional<Moment> next_update;
  std::vector<Bytes> serials;
  std::vector<crypto::CertificateExtension> extensions;
};

inline constexpr std::uint8_t kUsageSign = 0x80, kUsageAuthority = 0x06;

// `scheme` fits `issuer_key`.
Bytes build_certificate(const CertificateTemplate& fields, const crypto::PublicKey& subject_key,
                        const crypto::PrivateKey& issuer_key, crypto::SignatureScheme scheme);
Bytes build_revocation_list(const RevocationListTemplate& fields, const crypto::PrivateKey& issuer_key,
                            crypto::SignatureScheme scheme);

// The value of a Result that a test expects to have one.
template <typename T>
T must(Result<T> result) {
  if (!result.has_value()) {
    std::fprintf(stderr, "unexpected error: %s\n", result.error().message().c_str());
    std::abort();
  }
  return std::move(result).value();
}

}  // namespace casemate::attest::testing
