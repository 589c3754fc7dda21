#include "keeper/provision/network.h"

#include <gtest/gtest.h>

#include "crypto/testing/test_authority.h"
#include "keeper/network_endpoints.h"

namespace casemate::keeper {
namespace {

using protocol::GrantedNetwork;
using protocol::GrantedRule;
using protocol::RuleEnd;

class GrantedRulesTest : public ::testing::Test {
 protected:
  GrantedRulesTest() {
    const crypto::testing::Leaf leaf = authority_.issue();
    granted_.mode = protocol::NetworkMode::kDenyOthers;
    granted_.refuses_unsupported = true;
    granted_.rules.resize(2);
    granted_.rules[0] = {RuleEnd::kServer,         "web", "TCP:8443", "", true, true, leaf.key + leaf.certificate,
                         authority_.certificate(), {}};
    granted_.rules[1] = {RuleEnd::kClient,
                         "db",
                         "TCP:db:5432",
                         "*",
                         true,
                         true,
                         leaf.key + leaf.certificate,
                         authority_.certificate(),
                         {"uri:casemate://bank/db"}};
  }
  std::string refusal() const {
    const auto rules = network_rules_of(granted_);
    return rules ? "" : rules.error().message();
  }

  const crypto::testing::TestAuthority authority_;
  GrantedNetwork granted_;
};

TEST_F(GrantedRulesTest, DecideAsThoseOfAFileAndMakeEndpoints) {
  const auto rules = network_rules_of(granted_);
  ASSERT_TRUE(rules) << refusal();
  const auto decide = [&](policy::Purpose purpose, const char* query) {
    return policy::decide(rules.value(), policy::parse_query(purpose, query).value()).protection;
  };
  EXPECT_EQ(decide(policy::Purpose::kServe, "TCP:8443"), policy::Protection::kTlsServer);
  EXPECT_EQ(decide(policy::Purpose::kConnect, "TCP:10.0.0.1:5432"), policy::Protection::kTlsClient);
  EXPECT_EQ(decide(policy::Purpose::kServe, "TCP:80"), policy::Protection::kDeny);
  EXPECT_EQ(decide(policy::Purpose::kConnect, "UDP:10.0.0.1:53"), policy::Protection::kDeny);
  for (std::size_t rule = 0; rule < 2; ++rule) {
    const auto settings = endpoint_settings_of(rules.value(), rule, "");
    ASSERT_TRUE(settings) << settings.error().message();
    EXPECT_EQ(settings.value().peer_proof, crypto::TlsPeerProof::kRequired);
    EXPECT_TRUE(crypto::TlsEndpoint::make(settings.value()));
  }
  const auto client = endpoint_settings_of(rules.value(), 1, "");
  EXPECT_EQ(client.value().peer_uris, std::vector<std::string>{"casemate://bank/db"});
  EXPECT_TRUE(client.value().peer_dns_names.empty()) << "what the CAS says, and no default of ours";
}

TEST_F(GrantedRulesTest, FilesOfThisHostAreRefused) {
  granted_.rules[0].identity = "file:/etc/ssl/private/host.key";
  EXPECT_NE(refusal().find("rule `web` of the CAS: it names a file"), std::string::npos);
  granted_.rules[0].identity = granted_.rules[1].identity;
  granted_.rules[1].anchors = "file:ca.pem";
  EXPECT_NE(refusal().find("rule `db` of the CAS: it names a file"), std::string::npos);
}

TEST_F(GrantedRulesTest, ProtectedUnixSocketsAreRefused) {
  granted_.rules[0].endpoint = "unix:/run/web";
  EXPECT_NE(refusal().find("only TCP"), std::string::npos);
  granted_.rules[0].is_protected = false;
  EXPECT_EQ(refusal(), "");
}

TEST_F(GrantedRulesTest, ProtectionWithoutIdentityOrAnchorsIsRefused) {
  granted_.rules[1].identity.clear();
  EXPECT_EQ(refusal(), "") << "clients may show nothing";
  granted_.rules[1].anchors.clear();
  EXPECT_NE(refusal().find("whom to trust"), std::string::npos);
  granted_.rules[1].authenticates_peer = false;
  EXPECT_EQ(refusal(), "");
  granted_.rules[0].identity.clear();
  EXPECT_NE(refusal().find("no identity"), std::string::npos);
}

}  // namespace
}  // namespace casemate::keeper
