#include "crypto/certificate_issuing.h"

#include <gtest/gtest.h>

namespace casemate::crypto {
namespace {

constexpr std::int64_t kBegin = 1'700'000'000, kEnd = 1'800'000'000;

CertificateProfile profile_of(const PrivateKey& key, std::string name, CertificateUse use) {
  return {key.public_key().to_subject_public_key_info(), std::move(name), {}, use, kBegin, kEnd};
}

PrivateKey key_of(KeyKind kind) {
  return kind == KeyKind::kRsa ? PrivateKey::generate_rsa(2048, 65537).value() : PrivateKey::generate(kind).value();
}

TEST(CertificateIssuing, ChainsOfEveryKindOfKeyAreReadBackAndVerify) {
  for (const KeyKind kind : {KeyKind::kEcP256, KeyKind::kEcP384, KeyKind::kRsa, KeyKind::kEd25519}) {
    const PrivateKey root_key = key_of(kind), leaf_key = PrivateKey::generate(KeyKind::kEcP256).value();
    const auto root_der =
        issue_certificate(profile_of(root_key, "root", CertificateUse::kAuthority), root_key, nullptr);
    ASSERT_TRUE(root_der) << root_der.error().message();
    const Certificate root = Certificate::from_der(root_der.value()).value();
    EXPECT_TRUE(root.is_authority());
    EXPECT_TRUE(root.is_self_issued());
    EXPECT_TRUE(root.is_signed_by(root_key.public_key()));
    EXPECT_TRUE(root.allows(KeyUsage::kCertificateSign) && root.allows(KeyUsage::kRevocationListSign));
    EXPECT_FALSE(root.allows(KeyUsage::kDigitalSignature));

    CertificateProfile wish = profile_of(leaf_key, "records", CertificateUse::kServer);
    wish.alternative_names = {"dns:records-db", "ip:10.0.0.1", "ip:::1", "uri:casemate://clinic/records"};
    const auto leaf_der = issue_certificate(wish, root_key, &root);
    ASSERT_TRUE(leaf_der) << leaf_der.error().message();
    const Certificate leaf = Certificate::from_der(leaf_der.value()).value();
    EXPECT_FALSE(leaf.is_authority());
    EXPECT_EQ(leaf.issuer(), root.subject());
    EXPECT_EQ(leaf.subject().common_name, "records");
    EXPECT_TRUE(leaf.is_signed_by(root_key.public_key()));
    EXPECT_TRUE(leaf.allows(KeyUsage::kDigitalSignature));
    EXPECT_FALSE(leaf.allows(KeyUsage::kCertificateSign));
    EXPECT_EQ(leaf.not_before(), kBegin);
    EXPECT_EQ(leaf.not_after(), kEnd);
    const CertificateExtension* const names = leaf.extension("2.5.29.17");
    ASSERT_NE(names, nullptr);
    EXPECT_FALSE(names->is_critical);
    EXPECT_NE(as_text(names->value).find("casemate://clinic/records"), std::string_view::npos);
  }
}

TEST(CertificateIssuing, WithoutSubjectTheNamesAreCritical) {
  const PrivateKey key = PrivateKey::generate(KeyKind::kEcP256).value();
  CertificateProfile wish = profile_of(key, "", CertificateUse::kServerAndClient);
  wish.alternative_names = {"dns:a"};
  const Certificate leaf = Certificate::from_der(issue_certificate(wish, key, nullptr).value()).value();
  ASSERT_NE(leaf.extension("2.5.29.17"), nullptr);
  EXPECT_TRUE(leaf.extension("2.5.29.17")->is_critical);
}

TEST(CertificateIssuing, RefusesNamesThatCannotStandThere) {
  const PrivateKey key = PrivateKey::generate(KeyKind::kEcP256).value();
  for (const std::string name : {"", "dns:", "dns:a b", "ip:10.0.0", "ip:x", "mail:a", "a", "dns:a\n", "uri:\x80"}) {
    CertificateProfile wish = profile_of(key, "x", CertificateUse::kServer);
    wish.alternative_names = {name};
    EXPECT_FALSE(issue_certificate(wish, key, nullptr)) << name;
  }
  EXPECT_FALSE(issue_certificate(profile_of(key, "", CertificateUse::kServer), key, nullptr));
  EXPECT_FALSE(issue_certificate(profile_of(key, std::string(65, 'x'), CertificateUse::kServer), key, nullptr));
}

TEST(CertificateIssuing, RefusesIssuersThatAreNone) {
  const PrivateKey key = PrivateKey::generate(KeyKind::kEcP256).value(),
                   other = PrivateKey::generate(KeyKind::kEcP256).value();
  const CertificateProfile wish = profile_of(other, "x", CertificateUse::kServer);
  const Certificate leaf =
      Certificate::from_der(issue_certificate(profile_of(key, "leaf", CertificateUse::kServer), key, nullptr).value())
          .value();
  EXPECT_FALSE(issue_certificate(wish, key, &leaf));
  const Certificate root =
      Certificate::from_der(issue_certificate(profile_of(key, "ca", CertificateUse::kAuthority), key, nullptr).value())
          .value();
  EXPECT_FALSE(issue_certificate(wish, other, &root));
  EXPECT_FALSE(issue_certificate(wish, key, nullptr));
  EXPECT_TRUE(issue_certificate(wish, key, &root));
}

}  // namespace
}  // namespace casemate::crypto
