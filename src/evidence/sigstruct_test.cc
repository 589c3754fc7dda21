#include "evidence/sigstruct.h"

#include <gtest/gtest.h>

namespace casemate::evidence {
namespace {

const crypto::PrivateKey& author() {
  static const crypto::PrivateKey key = crypto::PrivateKey::generate_rsa(3072, 3).value();
  return key;
}

Sigstruct signed_structure() {
  Sigstruct sigstruct;
  sigstruct.date = 0x20260115;
  sigstruct.enclave_hash.fill(std::byte{0xe1});
  sigstruct.isv_svn = 3;
  EXPECT_TRUE(sign_sigstruct(sigstruct, author()));
  return sigstruct;
}

TEST(Sigstruct, SignedOnesVerifyAndRoundTrip) {
  const Sigstruct sigstruct = signed_structure();
  EXPECT_TRUE(verify_sigstruct(sigstruct));
  const Bytes bytes = build(sigstruct);
  ASSERT_EQ(bytes.size(), kSigstructSize);
  EXPECT_EQ(build(parse_sigstruct(bytes).value()), bytes);
}

TEST(Sigstruct, AnyFlippedByteIsRefused) {
  Bytes bytes = build(signed_structure());
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    bytes[i] ^= std::byte{0x10};
    const Result<Sigstruct> parsed = parse_sigstruct(bytes);
    EXPECT_TRUE(!parsed || !verify_sigstruct(parsed.value())) << i;
    bytes[i] ^= std::byte{0x10};
  }
}

TEST(Sigstruct, WantsAKeyOfItsKind) {
  Sigstruct sigstruct;
  EXPECT_FALSE(sign_sigstruct(sigstruct, crypto::PrivateKey::generate_rsa(3072, 65537).value()));
  EXPECT_FALSE(sign_sigstruct(sigstruct, crypto::PrivateKey::generate_rsa(2048, 3).value()));
  EXPECT_FALSE(sign_sigstruct(sigstruct, crypto::PrivateKey::generate(crypto::KeyKind::kEcP256).value()));
}

TEST(Sigstruct, MrsignerIsTheDigestOfTheLittleEndianModulus) {
  const Sigstruct sigstruct = signed_structure();
  const Bytes big_endian = author().public_key().raw();
  EXPECT_TRUE(std::ranges::equal(sigstruct.modulus, Bytes(big_endian.rbegin(), big_endian.rend())));
}

}  // namespace
}  // namespace casemate::evidence
