#include "crypto/self_signed.h"

#include <algorithm>
#include <array>

#include "crypto/asn1.h"
#include "crypto/random.h"

namespace casemate::crypto {
namespace {

constexpr const char* kEcdsaWithSha256 = "1.2.840.10045.4.3.2";
constexpr const char* kCommonName = "2.5.4.3";

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 64 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

Bytes name_of(std::string_view common_name) {
  const Bytes attribute =
      der(der_tag::kSequence, {der_object_identifier(kCommonName), der_text(der_tag::kUtf8String, common_name)});
  return der(der_tag::kSequence, {der(der_tag::kSet, {attribute})});
}

}  // namespace

Result<Bytes> self_signed_certificate(const PrivateKey& key, std::string_view common_name, std::int64_t not_before,
                                      std::int64_t not_after) {
  if (key.public_key().kind() != KeyKind::kEcP256) return Error(ErrorCategory::kUsage, "the key is not of curve P-256");
  if (!is_name(common_name)) return Error(ErrorCategory::kUsage, "a certificate's name is 1 to 64 ASCII characters");
  std::array<std::byte, 16> serial{};
  if (auto drawn = random_bytes(serial); !drawn) return drawn.error();
  serial[0] = (serial[0] & std::byte{0x7f}) | std::byte{0x40};  // positive, of one size
  const Bytes algorithm = der(der_tag::kSequence, {der_object_identifier(kEcdsaWithSha256)});
  const Bytes version = der(der_tag::context_constructed(0), {der_integer(2)});
  const Bytes validity = der(der_tag::kSequence, {der_time(not_before), der_time(not_after)});
  const Bytes name = name_of(common_name);
  const Bytes to_be_signed = der(der_tag::kSequence, {version, der_unsigned(serial), algorithm, name, validity, name,
                                                      key.public_key().to_subject_public_key_info()});
  const Bytes signature = CASEMATE_TRY(key.sign(SignatureScheme::kEcdsaP256Sha256, to_be_signed));
  return der(der_tag::kSequence, {to_be_signed, algorithm, der_bit_string(ecdsa_signature_to_der(signature))});
}

}  // namespace casemate::crypto
