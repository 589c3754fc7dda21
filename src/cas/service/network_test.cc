#include "cas/service/network.h"

#include <gtest/gtest.h>

#include "cas/service/testing/simulated_cas.h"
#include "crypto/certificate.h"

namespace casemate::cas {
namespace {

using crypto::Certificate;
using protocol::GrantedNetwork;

constexpr std::uint64_t kMoment = 1'900'000'000'000;

class GrantedNetworkTest : public ::testing::Test {
 protected:
  // `service`: keys of service `web` besides what every service needs.
  static std::string text(const std::string& service, const std::string& secrets = "",
                          const std::string& version = "casemate-1") {
    const std::string needs =
        "image_name: main, command: [/bin/server], attestation: [{mrenclave: [" + std::string(64, 'b') + "]}]";
    return "version: " + version + "\nservices:\n  - {name: web, " + needs + ", " + service + "}\n  - {name: db, " +
           needs + "}\nimages: [{name: main, files: {/bin/server: " + std::string(64, 'a') + "}}]\n" + secrets;
  }

  Result<GrantedNetwork> granted(const std::string& session) {
    stored_ = cas_.registry->find(session).value();
    const policy::Service& service = stored_->session.services.front();
    auto secrets = ServiceSecrets::gather(cas_.store->snapshot(), *cas_.registry, *stored_, service, kMoment);
    if (!secrets) return secrets.error();
    names_ = secrets.value().names();
    Change change;
    secrets.value().add_to(change);
    if (!change.rows.empty()) {
      EXPECT_TRUE(cas_.store->commit(std::move(change)));
    }
    return granted_network(stored_->session, service, secrets.value());
  }
  static std::string reason(const Result<GrantedNetwork>& done) { return done ? "" : done.error().message(); }
  // Behind the key, in an identity.
  static Certificate first_certificate(const std::string& pem) {
    return Certificate::from_pem(pem.substr(pem.find("-----BEGIN CERTIFICATE"))).value().front();
  }
  // Names stand in certificates as they are.
  static bool is_named(const std::string& pem, std::string_view name) {
    const Bytes der = first_certificate(pem).der();
    return crypto::as_text(der).find(name) != std::string_view::npos;
  }

  testing_support::SimulatedCas cas_;
  StoredSessionPointer stored_;
  std::vector<std::string> names_;
};

const std::string kBoth =
    "network: {mode: protected, servers: [{name: web, port: \"TCP:8443\"}], "
    "clients: [{name: db, destination: \"TCP:db:5432\"}]}";

TEST_F(GrantedNetworkTest, IdentitiesNameSessionAndService) {
  ASSERT_EQ(cas_.put("shop", text(kBoth)), "");
  const auto network = granted("shop");
  ASSERT_TRUE(network) << reason(network);
  EXPECT_EQ(network.value().mode, protocol::NetworkMode::kDenyOthers);
  EXPECT_TRUE(network.value().refuses_unsupported);
  ASSERT_EQ(network.value().rules.size(), 2U);
  for (const protocol::GrantedRule& rule : network.value().rules) {
    EXPECT_TRUE(rule.authenticates_peer);
    EXPECT_TRUE(is_named(rule.identity, "casemate://shop/web"));
    EXPECT_EQ(Certificate::from_pem(rule.anchors).value().size(), 1U);
    EXPECT_TRUE(first_certificate(rule.identity).is_signed_by(first_certificate(rule.anchors).public_key()));
  }
  EXPECT_TRUE(network.value().rules[0].peer_names.empty()) << "any service of the session";
  EXPECT_EQ(network.value().rules[1].peer_names, std::vector<std::string>{"dns:db"});
  EXPECT_EQ(names_, std::vector<std::string>{"service/identity@1"}) << "the log names it";
}

TEST_F(GrantedNetworkTest, InstancesShareTheAuthorityAndNoKey) {
  ASSERT_EQ(cas_.put("shop", text(kBoth)), "");
  const auto first = granted("shop"), second = granted("shop");
  ASSERT_TRUE(first && second);
  EXPECT_NE(first.value().rules[0].identity, second.value().rules[0].identity);
  EXPECT_EQ(first.value().rules[0].anchors, second.value().rules[0].anchors);
}

TEST_F(GrantedNetworkTest, SessionsHaveAuthoritiesOfTheirOwn) {
  ASSERT_EQ(cas_.put("shop", text(kBoth)) + cas_.put("spy", text(kBoth)), "");
  const auto own = granted("shop"), other = granted("spy");
  ASSERT_TRUE(own && other);
  const Certificate leaf = first_certificate(other.value().rules[0].identity);
  EXPECT_TRUE(leaf.is_signed_by(first_certificate(other.value().rules[0].anchors).public_key()));
  EXPECT_FALSE(leaf.is_signed_by(first_certificate(own.value().rules[0].anchors).public_key()));
}

const std::string kSecrets =
    "secrets:\n  - {name: ca_key, kind: private-key}\n  - {name: ca, kind: x509-ca, private_key: ca_key, common_name: "
    "clinic}\n  - {name: key, kind: private-key}\n  - {name: crt, kind: x509, private_key: key, issuer: ca, dns: [web]"
    "MORE}\n";
std::string secrets_with(const std::string& more) {
  std::string text = kSecrets;
  return text.replace(text.find("MORE"), 4, more);
}

TEST_F(GrantedNetworkTest, ReferencesBecomeKeysAndCertificatesThatNameTheService) {
  ASSERT_EQ(
      cas_.put("clinic", text("network: {servers: [{name: api, port: \"TCP:8443\", identity: "
                              "\"$$CASEMATE::key:pem$$$$CASEMATE::crt:chain$$\", client_auth: \"$$CASEMATE::ca:crt$$\","
                              " peer_names: [\"uri:casemate://bank/front\"]}]}",
                              secrets_with(""))),
      "");
  const auto network = granted("clinic");
  ASSERT_TRUE(network) << reason(network);
  EXPECT_EQ(network.value().mode, protocol::NetworkMode::kNamedOnly);
  const protocol::GrantedRule& rule = network.value().rules.at(0);
  EXPECT_TRUE(is_named(rule.identity, "casemate://clinic/web"));
  EXPECT_NE(rule.identity.find("PRIVATE KEY"), std::string::npos);
  EXPECT_EQ(rule.peer_names, std::vector<std::string>{"uri:casemate://bank/front"});
  EXPECT_EQ(first_certificate(rule.anchors).subject().common_name, "clinic");
}

TEST_F(GrantedNetworkTest, SconesVariablesMeanTheSame) {
  const std::string variables =
      "environment: {SCONE_NETWORK_SHIELD: protected, SCONE_NETWORK_SHIELD_SERVER_api: protected, "
      "SCONE_NETWORK_SHIELD_SERVER_api_PORT: \"TCP:8443\", SCONE_NETWORK_SHIELD_SERVER_api_IDENTITY: "
      "\"$$SCONE::key:pkcs8:pem$$$$SCONE::crt:crt:pem$$\", SCONE_NETWORK_SHIELD_SERVER_api_CLIENT_AUTH: "
      "\"$$SCONE::ca:crt:pem$$\", SCONE_NETWORK_SHIELD_CLIENT_db: protected, "
      "SCONE_NETWORK_SHIELD_CLIENT_db_DESTINATION: "
      "\"TCP:db:5432\", SCONE_NETWORK_SHIELD_CLIENT_db_SERVER_AUTH: \"$$SCONE::ca:crt:pem$$\"}";
  ASSERT_EQ(cas_.put("clinic", text(variables, secrets_with(""), "\"0.3.10\"")), "");
  const auto network = granted("clinic");
  ASSERT_TRUE(network) << reason(network);
  EXPECT_EQ(network.value().mode, protocol::NetworkMode::kDenyOthers);
  ASSERT_EQ(network.value().rules.size(), 2U);
  EXPECT_TRUE(is_named(network.value().rules[0].identity, "casemate://clinic/web"));
  EXPECT_EQ(network.value().rules[1].identity, "") << "SCONE: a client without identity shows none";
}

TEST_F(GrantedNetworkTest, AuthorityOfAnotherSessionSignsAndIsBelieved) {
  ASSERT_EQ(cas_.put("clinic", text("pwd: /",
                                    "secrets:\n  - {name: ca_key, kind: private-key}\n  - {name: ca, kind: "
                                    "x509-ca, private_key: ca_key, common_name: clinic, export: [{session: "
                                    "api}]}\n")),
            "");
  ASSERT_EQ(
      cas_.put("api", text("network: {clients: [{name: db, destination: \"TCP:db:1\", identity: "
                           "\"$$CASEMATE::key:pem$$$$CASEMATE::crt:chain$$\", server_auth: "
                           "\"$$CASEMATE::ca:crt$$\"}]}",
                           "secrets:\n  - {name: ca, import: {session: clinic, secret: ca}}\n  - {name: key, kind: "
                           "private-key}\n  - {name: crt, kind: x509, private_key: key, issuer: ca, dns: [api]}\n")),
      "");
  const auto network = granted("api");
  ASSERT_TRUE(network) << reason(network);
  const protocol::GrantedRule& rule = network.value().rules.at(0);
  EXPECT_EQ(first_certificate(rule.anchors).subject().common_name, "clinic");
  EXPECT_TRUE(is_named(rule.identity, "casemate://api/web"));
}

TEST_F(GrantedNetworkTest, CertificatesNameNoServicesOfOthers) {
  for (const char* name : {"casemate://bank/web", "casemate://clinic/none", "casemate://clinic/web/x"}) {
    SCOPED_TRACE(name);
    const std::string session = std::string(name).substr(11, 4) + std::to_string(std::string(name).size());
    ASSERT_EQ(cas_.put(session, text("network: {servers: [{name: api, port: \"TCP:1\", identity: "
                                     "\"$$CASEMATE::key:pem$$$$CASEMATE::crt$$\"}]}",
                                     secrets_with(", san: [\"uri:" + std::string(name) + "\"]"))),
              "");
    EXPECT_NE(reason(granted(session)).find("is no service of this session"), std::string::npos);
  }
}

TEST_F(GrantedNetworkTest, NothingIsMadeWhereNoRuleProtects) {
  ASSERT_EQ(cas_.put("a", text("network: {mode: disabled, servers: [{name: web, port: \"TCP:1\"}]}")), "");
  const auto off = granted("a");
  ASSERT_TRUE(off) << reason(off);
  EXPECT_EQ(off.value().mode, protocol::NetworkMode::kOff);
  EXPECT_TRUE(off.value().rules.empty());
  EXPECT_TRUE(names_.empty());
  ASSERT_EQ(cas_.put("b", text("network: {servers: [{name: web, port: \"TCP:1\", protection: unprotected}]}")), "");
  const auto plain = granted("b");
  ASSERT_TRUE(plain) << reason(plain);
  ASSERT_EQ(plain.value().rules.size(), 1U);
  EXPECT_FALSE(plain.value().rules[0].is_protected);
  EXPECT_EQ(plain.value().rules[0].identity, "");
  EXPECT_TRUE(names_.empty());
}

}  // namespace
}  // namespace casemate::cas
