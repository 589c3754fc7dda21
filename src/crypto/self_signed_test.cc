#include "crypto/self_signed.h"

#include <gtest/gtest.h>

#include "crypto/certificate.h"

namespace casemate::crypto {
namespace {

TEST(SelfSignedCertificate, IsReadBackWithItsNameTimesAndSignature) {
  const PrivateKey key = PrivateKey::generate(KeyKind::kEcP256).value();
  const Bytes der = self_signed_certificate(key, "casemate client", 1'700'000'000, 2'600'000'000).value();
  const auto read = Certificate::from_der(der);
  ASSERT_TRUE(read) << read.error().message();
  const Certificate& certificate = read.value();
  EXPECT_EQ(certificate.subject().common_name, "casemate client");
  EXPECT_TRUE(certificate.is_self_issued());
  EXPECT_EQ(certificate.not_before(), 1'700'000'000);
  EXPECT_EQ(certificate.not_after(), 2'600'000'000);
  EXPECT_TRUE(equal(certificate.subject_public_key_info(), key.public_key().to_subject_public_key_info()));
  EXPECT_TRUE(certificate.is_signed_by(key.public_key()));
  EXPECT_FALSE(certificate.is_signed_by(PrivateKey::generate(KeyKind::kEcP256).value().public_key()));
}

TEST(SelfSignedCertificate, RefusesOtherKeysAndNames) {
  const PrivateKey other = PrivateKey::generate(KeyKind::kEd25519).value();
  EXPECT_FALSE(self_signed_certificate(other, "x", 0, 1));
  const PrivateKey key = PrivateKey::generate(KeyKind::kEcP256).value();
  for (const std::string& name : {std::string(), std::string(65, 'x'), std::string("a\nb")}) {
    EXPECT_FALSE(self_signed_certificate(key, name, 0, 1));
  }
}

}  // namespace
}  // namespace casemate::crypto
