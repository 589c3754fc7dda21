#include "crypto/signature.h"

#include <gtest/gtest.h>

namespace casemate::crypto {
namespace {

struct SchemeCase {
  SignatureScheme scheme;
  KeyKind kind;
};
constexpr SchemeCase kSchemes[] = {
    {SignatureScheme::kEcdsaP256Sha256, KeyKind::kEcP256}, {SignatureScheme::kEcdsaP384Sha384, KeyKind::kEcP384},
    {SignatureScheme::kRsaPssSha384, KeyKind::kRsa},       {SignatureScheme::kRsaPkcs1Sha256, KeyKind::kRsa},
    {SignatureScheme::kEd25519, KeyKind::kEd25519},
};

Bytes message() { return to_bytes(as_byte_view("what was signed")); }

const PrivateKey& key_of(KeyKind kind) {
  static const PrivateKey keys[] = {
      PrivateKey::generate(KeyKind::kEcP256).value(), PrivateKey::generate(KeyKind::kEcP384).value(),
      PrivateKey::generate_rsa(2048, 65537).value(), PrivateKey::generate(KeyKind::kEd25519).value()};
  return keys[static_cast<std::size_t>(kind)];
}

TEST(Signature, IsVerifiedByItsKeyOnly) {
  for (const SchemeCase& entry : kSchemes) {
    const PrivateKey& key = key_of(entry.kind);
    const Bytes signature = key.sign(entry.scheme, message()).value();
    EXPECT_TRUE(key.public_key().verify(entry.scheme, message(), signature));
    Bytes other = message();
    other[0] ^= std::byte{1};
    EXPECT_FALSE(key.public_key().verify(entry.scheme, other, signature));
    for (std::size_t i = 0; i < signature.size(); i += 3) {
      Bytes broken = signature;
      broken[i] ^= std::byte{0x40};
      EXPECT_FALSE(key.public_key().verify(entry.scheme, message(), broken));
    }
    EXPECT_FALSE(key.public_key().verify(entry.scheme, message(), ByteView(signature).first(signature.size() - 1)));
    EXPECT_FALSE(key.public_key().verify(entry.scheme, message(), {}));
    EXPECT_FALSE(key.public_key().verify(entry.scheme, message(), Bytes(signature.size())));
  }
}

TEST(Signature, SchemesDoNotTakeKeysOfOtherKinds) {
  for (const SchemeCase& entry : kSchemes) {
    for (const SchemeCase& other : kSchemes) {
      if (entry.kind == other.kind) continue;
      EXPECT_FALSE(key_of(other.kind).sign(entry.scheme, message()));
      EXPECT_FALSE(key_of(other.kind).public_key().verify(entry.scheme, message(), Bytes(96)));
    }
  }
}

TEST(PublicKey, RoundTripsThroughSubjectPublicKeyInfo) {
  for (const SchemeCase& entry : kSchemes) {
    const PublicKey& key = key_of(entry.kind).public_key();
    const PublicKey again = PublicKey::from_subject_public_key_info(key.to_subject_public_key_info()).value();
    EXPECT_EQ(again.kind(), key.kind());
    EXPECT_EQ(again.raw(), key.raw());
  }
}

TEST(PublicKey, RefusesPointsOffTheCurveAndOddSizes) {
  Bytes point = key_of(KeyKind::kEcP256).public_key().raw();
  EXPECT_TRUE(PublicKey::from_point(KeyKind::kEcP256, point));
  EXPECT_FALSE(PublicKey::from_point(KeyKind::kEcP384, point));
  point[63] ^= std::byte{1};
  EXPECT_FALSE(PublicKey::from_point(KeyKind::kEcP256, point));
  EXPECT_FALSE(PublicKey::from_point(KeyKind::kEcP256, Bytes(64)));
  EXPECT_FALSE(PublicKey::from_point(KeyKind::kEcP256, {}));
  EXPECT_FALSE(PublicKey::from_ed25519(Bytes(31)));
  EXPECT_FALSE(PublicKey::from_rsa(Bytes(128, std::byte{0xff}), 65537));
  EXPECT_FALSE(PublicKey::from_rsa(Bytes(256, std::byte{0xff}), 4));
}

TEST(PrivateKey, RoundTripsThroughPem) {
  const PrivateKey& key = key_of(KeyKind::kEcP256);
  const PrivateKey again = PrivateKey::from_pem(key.to_pem()).value();
  EXPECT_EQ(again.public_key().raw(), key.public_key().raw());
  EXPECT_FALSE(PrivateKey::from_pem("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"));
  EXPECT_FALSE(PrivateKey::from_pem(""));
}

// RFC 8032, section 7.1, test 1.
TEST(PrivateKey, SignsTheVectorOfEd25519) {
  const Bytes seed = from_hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").value();
  const PrivateKey key = PrivateKey::from_ed25519_seed(seed).value();
  EXPECT_EQ(to_hex(key.public_key().raw()), "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
  EXPECT_EQ(to_hex(key.sign(SignatureScheme::kEd25519, {}).value()),
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f059"
            "5bbe24655141438e7a100b");
}

TEST(Numbers, DivideAndMultiply) {
  const Quotient result = divide(from_hex("0100").value(), from_hex("07").value()).value();
  EXPECT_EQ(to_hex(result.quotient), "24");
  EXPECT_EQ(to_hex(result.remainder), "04");
  EXPECT_EQ(to_hex(multiply(from_hex("ff").value(), from_hex("ff").value())), "fe01");
  EXPECT_FALSE(divide(from_hex("01").value(), from_hex("00").value()));
}

}  // namespace
}  // namespace casemate::crypto
