#include "cas/service/secrets.h"

#include <gtest/gtest.h>

#include "cas/service/certificates.h"
#include "cas/service/testing/simulated_cas.h"
#include "crypto/certificate.h"
#include "crypto/certificate_issuing.h"

namespace casemate::cas {
namespace {

using crypto::Certificate;

constexpr std::uint64_t kNow = 1'900'000'000'000, kDay = 86'400'000;

class ServiceSecretsTest : public ::testing::Test {
 protected:
  static std::string text(const std::string& uses, const std::string& secrets) {
    return "version: casemate-1\n"
           "services: [{name: web, image_name: main, command: [/bin/server, " +
           uses + "], attestation: [{mrenclave: [" + std::string(64, 'b') +
           "]}]}]\nimages: [{name: main, files: {/bin/server: " + std::string(64, 'a') + "}}]\nsecrets:\n" + secrets;
  }

  Result<ServiceSecrets> gather(const std::string& session, std::uint64_t now = kNow) {
    stored_ = cas_.registry->find(session).value();
    return ServiceSecrets::gather(cas_.store->snapshot(), *cas_.registry, *stored_, stored_->session.services.front(),
                                  now);
  }
  // What the release writes.
  void keep(const ServiceSecrets& secrets) {
    Change change;
    secrets.add_to(change);
    ASSERT_TRUE(cas_.store->commit(std::move(change)));
  }
  static Certificate certificate_of(const ServiceSecrets& secrets, const std::string& name) {
    return Certificate::from_der(secrets.find(name)->certificate).value();
  }
  static std::string reason(const Result<ServiceSecrets>& done) { return done ? "" : done.error().message(); }

  testing_support::SimulatedCas cas_;
  StoredSessionPointer stored_;
};

const std::string kWeb =
    "  - {name: key, kind: private-key}\n"
    "  - {name: crt, kind: x509, private_key: key, dns: [web], endpoint: server, valid_for: 24h}\n";

TEST_F(ServiceSecretsTest, CertificateIsSignedByTheSessionsAuthorityForTheNamedKey) {
  ASSERT_EQ(cas_.put("shop", text("\"$$CASEMATE::crt:chain$$\"", kWeb)), "");
  const auto secrets = gather("shop");
  ASSERT_TRUE(secrets) << reason(secrets);
  const auto* material = secrets.value().find("crt");
  ASSERT_EQ(material->issuers.size(), 1U);
  const Certificate leaf = certificate_of(secrets.value(), "crt");
  const Certificate root = Certificate::from_der(material->issuers[0]).value();
  EXPECT_TRUE(leaf.is_signed_by(root.public_key()));
  EXPECT_TRUE(root.is_signed_by(root.public_key()));
  EXPECT_TRUE(root.is_authority());
  EXPECT_EQ(leaf.issuer(), root.subject());
  EXPECT_EQ(leaf.not_after(), static_cast<std::int64_t>((kNow + kDay) / 1000));
  const auto key = crypto::PrivateKey::from_pem(
      crypto::to_pem(crypto::as_byte_view(material->private_key->expose()), "PRIVATE KEY"));
  EXPECT_TRUE(crypto::equal(leaf.subject_public_key_info(), key.value().public_key().to_subject_public_key_info()));
}

TEST_F(ServiceSecretsTest, CertificateStaysUntilHalfOfItsTimeIsOver) {
  ASSERT_EQ(cas_.put("shop", text("\"$$CASEMATE::crt$$\"", kWeb)), "");
  const auto first = gather("shop");
  ASSERT_TRUE(first) << reason(first);
  keep(first.value());
  const auto same = gather("shop", kNow + kDay / 3);
  EXPECT_EQ(same.value().find("crt")->certificate, first.value().find("crt")->certificate);
  EXPECT_EQ(same.value().names(), std::vector<std::string>{"crt@1"});
  const auto renewed = gather("shop", kNow + kDay * 2 / 3);
  EXPECT_NE(renewed.value().find("crt")->certificate, first.value().find("crt")->certificate);
  EXPECT_EQ(renewed.value().names(), std::vector<std::string>{"crt@2"});
  EXPECT_EQ(renewed.value().find("crt")->issuers, first.value().find("crt")->issuers);
  EXPECT_EQ(renewed.value().find("crt")->private_key->expose(), first.value().find("crt")->private_key->expose());
  keep(renewed.value());
  EXPECT_EQ(gather("shop", kNow + kDay * 2 / 3).value().names(), std::vector<std::string>{"crt@2"});
}

TEST_F(ServiceSecretsTest, KeyThatSeveralSecretsNameIsGeneratedOnce) {
  ASSERT_EQ(cas_.put("shop", text("\"$$CASEMATE::crt$$ $$CASEMATE::key$$ $$CASEMATE::other$$\"",
                                  kWeb + "  - {name: other, kind: x509, private_key: key, dns: [other]}\n")),
            "");
  const auto secrets = gather("shop");
  ASSERT_TRUE(secrets) << reason(secrets);
  const Bytes& key = secrets.value().find("key")->public_key;
  EXPECT_EQ(certificate_of(secrets.value(), "crt").subject_public_key_info(), key);
  EXPECT_EQ(certificate_of(secrets.value(), "other").subject_public_key_info(), key);
  EXPECT_EQ(secrets.value().find("crt")->issuers, secrets.value().find("other")->issuers);
  keep(secrets.value());
}

class ClinicTest : public ServiceSecretsTest {
 protected:
  // `exported`: how the clinic lets others have its authority.
  std::string put(const std::string& exported) {
    const std::string clinic = cas_.put("clinic", text("\"$$CASEMATE::ca:chain$$\"",
                                                       "  - {name: ca_key, kind: private-key, key_type: P-384}\n"
                                                       "  - {name: ca, kind: x509-ca, private_key: ca_key, "
                                                       "common_name: clinic-ca" +
                                                           exported + "}\n"));
    const std::string api =
        cas_.put("api", text(uses_,
                             "  - {name: ca, import: {session: clinic, secret: ca}}\n"
                             "  - {name: key, kind: private-key, key_type: Ed25519}\n"
                             "  - {name: crt, kind: x509, private_key: key, issuer: ca, common_name: api}\n"));
    return clinic + api;
  }
  std::string uses_ = "\"$$CASEMATE::crt:chain$$\", \"$$CASEMATE::ca$$\"";
};

TEST_F(ClinicTest, AuthorityOfAnotherSessionSignsWithoutGivingItsKeyAway) {
  ASSERT_EQ(put(", export: [{session: api}]"), "");
  const auto secrets = gather("api");
  ASSERT_TRUE(secrets) << reason(secrets);
  const Certificate ca = certificate_of(secrets.value(), "ca"), leaf = certificate_of(secrets.value(), "crt");
  EXPECT_EQ(ca.subject().common_name, "clinic-ca");
  EXPECT_TRUE(leaf.is_signed_by(ca.public_key()));
  EXPECT_EQ(secrets.value().find("ca")->private_key, nullptr);
  EXPECT_NE(secrets.value().find("crt")->private_key, nullptr);
  EXPECT_EQ(secrets.value().find("ca_key"), nullptr);
  keep(secrets.value());
  EXPECT_EQ(certificate_of(gather("clinic").value(), "ca").der(), ca.der());
}

TEST_F(ClinicTest, PublicAuthorityIsSeenAndSignsNothing) {
  uses_ = "\"$$CASEMATE::ca$$\"";
  ASSERT_EQ(put(", export_public: true"), "");
  const auto seen = gather("api");
  ASSERT_TRUE(seen) << reason(seen);
  EXPECT_EQ(seen.value().find("ca")->private_key, nullptr);
  EXPECT_EQ(certificate_of(seen.value(), "ca").subject().common_name, "clinic-ca");
}

TEST_F(ClinicTest, PublicAuthorityDoesNotSignForOthers) {
  ASSERT_EQ(put(", export_public: true"), "");
  EXPECT_NE(reason(gather("api")).find("only public"), std::string::npos);
}

TEST_F(ServiceSecretsTest, GivenCertificatesKeepTheirChain) {
  const crypto::PrivateKey key = crypto::PrivateKey::generate(crypto::KeyKind::kEcP256).value();
  crypto::CertificateProfile profile{key.public_key().to_subject_public_key_info(),
                                     "given",
                                     {},
                                     crypto::CertificateUse::kServer,
                                     1'800'000'000,
                                     2'000'000'000};
  const std::string pem = crypto::to_pem(crypto::issue_certificate(profile, key, nullptr).value(), "CERTIFICATE");
  std::string indented = "      ";
  for (const char c : pem + pem) indented += c == '\n' ? std::string("\n      ") : std::string(1, c);
  ASSERT_EQ(cas_.put("shop", text("\"$$CASEMATE::crt:chain$$\"",
                                  "  - name: crt\n    kind: x509\n    value: |\n" + indented + "\n")),
            "");
  const auto secrets = gather("shop");
  ASSERT_TRUE(secrets) << reason(secrets);
  EXPECT_EQ(certificate_of(secrets.value(), "crt").subject().common_name, "given");
  EXPECT_EQ(secrets.value().find("crt")->issuers.size(), 1U);
  EXPECT_EQ(secrets.value().find("crt")->private_key, nullptr);
}

TEST(CertificateRecord, IsIssuedAnewWhenWhatItSaysChangesAndNeverOutlivesItsIssuer) {
  const crypto::PrivateKey key = crypto::PrivateKey::generate(crypto::KeyKind::kEcP256).value();
  const crypto::PrivateKey signer = crypto::PrivateKey::generate(crypto::KeyKind::kEcP256).value();
  crypto::CertificateProfile profile{signer.public_key().to_subject_public_key_info(),
                                     "ca",
                                     {},
                                     crypto::CertificateUse::kAuthority,
                                     1'800'000'000,
                                     1'900'086'400};
  const Certificate issuer = Certificate::from_der(crypto::issue_certificate(profile, signer, nullptr).value()).value();
  policy::Secret secret;
  secret.name = "crt";
  secret.kind = policy::SecretKind::kX509;
  secret.alternative_names = {"dns:a"};
  const auto issue = [&](std::optional<SecretRecord> before, std::uint64_t now = kNow) {
    return certificate_record(secret, key.public_key(), {signer, &issuer}, std::move(before), now);
  };
  SecretRecord first = issue(std::nullopt).value();
  EXPECT_EQ(Certificate::from_der(first.second).value().not_after(), issuer.not_after());
  const Bytes old = first.second;
  SecretRecord same = issue(std::move(first)).value();
  EXPECT_EQ(same.second, old);
  secret.alternative_names = {"dns:b"};
  const SecretRecord changed = issue(std::move(same)).value();
  EXPECT_EQ(changed.version, 2U);
  EXPECT_NE(changed.second, old);
  EXPECT_FALSE(issue(std::nullopt, kNow + 2 * kDay)) << "its issuer has expired";
}

}  // namespace
}  // namespace casemate::cas
