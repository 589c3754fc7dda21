#include "crypto/self_signed.h"

#include "crypto/asn1.h"
#include "crypto/certificate_issuing.h"

namespace casemate::crypto {

Result<Bytes> self_signed_certificate(const PrivateKey& key, std::string_view common_name, std::int64_t not_before,
                                      std::int64_t not_after) {
  if (key.public_key().kind() != KeyKind::kEcP256) return Error(ErrorCategory::kUsage, "the key is not of curve P-256");
  if (common_name.empty()) return Error(ErrorCategory::kUsage, "a certificate's name is 1 to 64 ASCII characters");
  const Bytes name = CASEMATE_TRY(distinguished_name(common_name));
  const Bytes validity = der(der_tag::kSequence, {der_time(not_before), der_time(not_after)});
  return sign_certificate(key, name, name, validity, key.public_key().to_subject_public_key_info(), {});
}

}  // namespace casemate::crypto
