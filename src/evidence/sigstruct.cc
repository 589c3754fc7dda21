#include "evidence/sigstruct.h"

#include "crypto/hash.h"

namespace casemate::evidence {
namespace {

constexpr std::uint32_t kExponent = 3;
constexpr std::size_t kSignedSecondPart = 900, kSignedSecondSize = 128, kSignedFirstSize = 128;

template <std::size_t kSize>
FixedBytes<kSize> from_octets(const std::array<unsigned char, kSize>& octets) {
  FixedBytes<kSize> bytes{};
  for (std::size_t i = 0; i < kSize; ++i) bytes[i] = std::byte{octets[i]};
  return bytes;
}
const FixedBytes<16> kHeader = from_octets<16>({6, 0, 0, 0, 0xe1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0});
const FixedBytes<16> kHeader2 = from_octets<16>({1, 1, 0, 0, 0x60, 0, 0, 0, 0x60, 0, 0, 0, 1, 0, 0, 0});

Error malformed(const std::string& what) { return Error(ErrorCategory::kFormat, "SIGSTRUCT: " + what); }

Bytes reversed(ByteView bytes) { return Bytes(bytes.rbegin(), bytes.rend()); }

// Big-endian bytes of a number into a little-endian field.
Result<FixedBytes<384>> to_field(ByteView big_endian) {
  if (big_endian.size() > kSigstructModulusSize) return malformed("a number is too large");
  FixedBytes<384> field{};
  std::ranges::copy(reversed(big_endian), field.begin());
  return field;
}

Bytes signed_message(const Sigstruct& sigstruct) {
  const Bytes whole = build(sigstruct);
  Bytes message = crypto::to_bytes(ByteView(whole).first(kSignedFirstSize));
  crypto::append(message, ByteView(whole).subspan(kSignedSecondPart, kSignedSecondSize));
  return message;
}

struct Helpers {
  FixedBytes<384> q1, q2;
};

// Q1 = floor(S^2 / N), Q2 = floor(S * (S^2 - Q1 * N) / N): with them EINIT checks S^3 mod N without dividing.
Result<Helpers> compute_helpers(ByteView signature, ByteView modulus) {
  const crypto::Quotient first = CASEMATE_TRY(crypto::divide(crypto::multiply(signature, signature), modulus));
  const crypto::Quotient second = CASEMATE_TRY(crypto::divide(crypto::multiply(signature, first.remainder), modulus));
  return Helpers{CASEMATE_TRY(to_field(first.quotient)), CASEMATE_TRY(to_field(second.quotient))};
}

}  // namespace

Result<Sigstruct> parse_sigstruct(ByteView data) {
  const FieldView view(CASEMATE_TRY(require_size(data, kSigstructSize, "SIGSTRUCT")));
  if (view.bytes<16>(0) != kHeader || view.bytes<16>(24) != kHeader2) return malformed("its constants are wrong");
  if (view.number<std::uint32_t>(512) != kExponent) return malformed("its exponent is not 3");
  if (!view.is_zero(44, 84) || !view.is_zero(910, 2) || !view.is_zero(992, 16) || !view.is_zero(1028, 12)) {
    return malformed("reserved bytes are not zero");
  }
  Sigstruct sigstruct;
  sigstruct.vendor = view.number<std::uint32_t>(16);
  sigstruct.date = view.number<std::uint32_t>(20);
  sigstruct.software_defined = view.number<std::uint32_t>(40);
  sigstruct.modulus = view.bytes<384>(128);
  sigstruct.signature = view.bytes<384>(516);
  sigstruct.misc_select = view.number<std::uint32_t>(900);
  sigstruct.misc_mask = view.number<std::uint32_t>(904);
  sigstruct.cet_attributes = view.number<std::uint8_t>(908);
  sigstruct.cet_mask = view.number<std::uint8_t>(909);
  sigstruct.isv_family_id = view.bytes<16>(912);
  sigstruct.attributes = view.bytes<16>(928);
  sigstruct.attribute_mask = view.bytes<16>(944);
  sigstruct.enclave_hash = view.bytes<32>(960);
  sigstruct.isv_extended_product_id = view.bytes<16>(1008);
  sigstruct.isv_product_id = view.number<std::uint16_t>(1024);
  sigstruct.isv_svn = view.number<std::uint16_t>(1026);
  sigstruct.q1 = view.bytes<384>(1040);
  sigstruct.q2 = view.bytes<384>(1424);
  return sigstruct;
}

Bytes build(const Sigstruct& sigstruct) {
  return FieldWriter(kSigstructSize)
      .bytes(0, kHeader)
      .number(16, sigstruct.vendor)
      .number(20, sigstruct.date)
      .bytes(24, kHeader2)
      .number(40, sigstruct.software_defined)
      .bytes(128, sigstruct.modulus)
      .number(512, kExponent)
      .bytes(516, sigstruct.signature)
      .number(900, sigstruct.misc_select)
      .number(904, sigstruct.misc_mask)
      .number(908, sigstruct.cet_attributes)
      .number(909, sigstruct.cet_mask)
      .bytes(912, sigstruct.isv_family_id)
      .bytes(928, sigstruct.attributes)
      .bytes(944, sigstruct.attribute_mask)
      .bytes(960, sigstruct.enclave_hash)
      .bytes(1008, sigstruct.isv_extended_product_id)
      .number(1024, sigstruct.isv_product_id)
      .number(1026, sigstruct.isv_svn)
      .bytes(1040, sigstruct.q1)
      .bytes(1424, sigstruct.q2)
      .finish();
}

FixedBytes<32> mr_signer_of(const Sigstruct& sigstruct) { return crypto::sha256(sigstruct.modulus); }

Result<void> verify_sigstruct(const Sigstruct& sigstruct) {
  const Bytes modulus = reversed(sigstruct.modulus), signature = reversed(sigstruct.signature);
  const crypto::PublicKey key = CASEMATE_TRY(crypto::PublicKey::from_rsa(modulus, kExponent));
  if (!key.verify(crypto::SignatureScheme::kRsaPkcs1Sha256, signed_message(sigstruct), signature)) {
    return malformed("the signature is wrong");
  }
  const Helpers helpers = CASEMATE_TRY(compute_helpers(signature, modulus));
  if (helpers.q1 != sigstruct.q1 || helpers.q2 != sigstruct.q2) return malformed("Q1 or Q2 is wrong");
  return {};
}

Result<void> sign_sigstruct(Sigstruct& sigstruct, const crypto::PrivateKey& key) {
  const crypto::PublicKey& public_key = key.public_key();
  if (public_key.kind() != crypto::KeyKind::kRsa || public_key.raw().size() != kSigstructModulusSize ||
      public_key.exponent() != kExponent) {
    return Error(ErrorCategory::kUsage, "a SIGSTRUCT needs an RSA key of 3072 bits with exponent 3");
  }
  sigstruct.modulus = CASEMATE_TRY(to_field(public_key.raw()));
  const Bytes signature = CASEMATE_TRY(key.sign(crypto::SignatureScheme::kRsaPkcs1Sha256, signed_message(sigstruct)));
  sigstruct.signature = CASEMATE_TRY(to_field(signature));
  const Helpers helpers = CASEMATE_TRY(compute_helpers(signature, public_key.raw()));
  sigstruct.q1 = helpers.q1;
  sigstruct.q2 = helpers.q2;
  return {};
}

}  // namespace casemate::evidence
