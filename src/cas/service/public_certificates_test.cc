// What everybody may read of a session's certificates, and that nothing else is given away with them.
#include "cas/service/public_certificates.h"

#include <gtest/gtest.h>

#include "cas/service/testing/simulated_cas.h"

namespace casemate::cas {
namespace {

class PublicCertificates : public testing::Test {
 protected:
  PublicCertificates() {
    EXPECT_EQ(cas_.put("shop",
                       "version: casemate-1\nsecrets:\n  - {name: key, kind: private-key}\n"
                       "  - {name: hidden, kind: x509-ca, private_key: key, common_name: hidden}\n"
                       "  - {name: ca, kind: x509-ca, private_key: key, common_name: shop-ca, export_public: true}\n"
                       "  - {name: web, kind: x509, private_key: key, issuer: ca, dns: [web], export_public: true}\n"
                       "  - {name: given, kind: ascii, value: never-to-be-shown}\n"),
              "");
  }
  Result<std::optional<PublicCertificate>> read(const std::string& session, const std::string& secret,
                                                std::uint64_t later = 0) {
    return public_certificate(*cas_.store, *cas_.registry, session, secret, system_time() + later);
  }
  testing_support::SimulatedCas cas_;
};

TEST_F(PublicCertificates, AreIssuedOnceAndReadFromThenOn) {
  const auto first = read("shop", "ca");
  ASSERT_TRUE(first) << first.error().message();
  ASSERT_TRUE(first.value());
  EXPECT_EQ(first.value()->kind, policy::SecretKind::kX509Ca);
  EXPECT_EQ(first.value()->certificate, first.value()->chain);
  EXPECT_EQ(first.value()->certificate.find("PRIVATE"), std::string::npos);
  const std::uint64_t size = cas_.store->snapshot().count(number_of(Table::kSecrets));
  EXPECT_EQ(read("shop", "ca").value()->certificate, first.value()->certificate);
  EXPECT_EQ(cas_.store->snapshot().count(number_of(Table::kSecrets)), size);
}

TEST_F(PublicCertificates, HaveTheirIssuersBehindThem) {
  const auto web = read("shop", "web");
  ASSERT_TRUE(web && web.value());
  const auto authority = read("shop", "ca");
  EXPECT_EQ(web.value()->chain, web.value()->certificate + authority.value()->certificate);
}

TEST_F(PublicCertificates, AreIssuedAnewUnderTheNextVersion) {
  const auto first = read("shop", "web");
  ASSERT_TRUE(first && first.value());
  constexpr std::uint64_t kMostOfAYear = std::uint64_t{300} * 86'400'000;
  const auto renewed = read("shop", "web", kMostOfAYear);
  ASSERT_TRUE(renewed && renewed.value());
  EXPECT_EQ(renewed.value()->version, first.value()->version + 1);
  EXPECT_NE(renewed.value()->certificate, first.value()->certificate);
}

TEST_F(PublicCertificates, AreNothingElse) {
  for (const char* const secret : {"key", "hidden", "given", "none", ""}) {
    const auto found = read("shop", secret);
    ASSERT_TRUE(found) << secret;
    EXPECT_FALSE(found.value()) << secret;
  }
  for (const char* const session : {"none", "", "shop/", "/shop"}) {
    const auto found = read(session, "ca");
    EXPECT_TRUE(!found || !found.value()) << session;
  }
  EXPECT_EQ(cas_.store->snapshot().count(number_of(Table::kSecrets)), 0U) << "nothing was made for it";
}

}  // namespace
}  // namespace casemate::cas
