#include "policy/network_rules.h"

#include <gtest/gtest.h>

#include "policy/testing/texts.h"

namespace casemate::policy {
namespace {

struct Parsed {
  std::optional<NetworkRules> rules;
  std::string findings;
};
Parsed parse(const std::string& text) {
  Diagnostics diagnostics;
  Parsed parsed;
  parsed.rules = parse_network_rules(text, diagnostics);
  parsed.findings = testing::all_findings(diagnostics);
  return parsed;
}

const std::string kWeb = R"(
servers:
  - {name: web, port: "TCP:8443", identity: "file:web.pem", client_auth: "file:ca.pem", peer_names: ["uri:casemate://bank/front"]}
  - {name: health, port: "TCP:8080", protection: unprotected}
  - {name: admin, port: "unix:/run/admin", identity: "file:web.pem", client_auth: disabled}
clients:
  - {name: redis, destination: "TCP:redis:6379", identity: "file:web.pem", server_auth: "file:ca.pem"}
  - {name: redis-spare, destination: "TCP:redis:6379", destination_ip: "10.0.0.9", server_auth: "file:ca.pem", peer_names: ["dns:spare"]}
  - {name: any-db, destination: "TCP:*:3306", server_auth: "file:ca.pem"}
  - {name: db, destination: "TCP:10.0.0.2:3306", server_auth: "file:db.pem"}
  - {name: db6, destination: "TCP:[fd00::1]:3306", server_auth: "file:db.pem"}
)";

std::string decision_of(const NetworkRules& rules, Purpose purpose, const std::string& text) {
  const NetworkDecision decision = decide(rules, parse_query(purpose, text).value());
  std::string result(name_of(decision.protection));
  if (decision.rule) result += " " + rules.network.rules[*decision.rule].name;
  return result;
}

struct Expected {
  Purpose purpose;
  const char* query;
  const char* decision;
};

void expect_decisions(const NetworkRules& rules, std::initializer_list<Expected> cases) {
  for (const Expected& expected : cases) {
    EXPECT_EQ(decision_of(rules, expected.purpose, expected.query), expected.decision) << expected.query;
  }
}

TEST(NetworkRules, DecideByTheBestFitAndDenyTheRest) {
  const Parsed parsed = parse(kWeb);
  ASSERT_TRUE(parsed.rules) << parsed.findings;
  expect_decisions(*parsed.rules, {
                                      {Purpose::kServe, "TCP:8443", "tls-server web"},
                                      {Purpose::kServe, "TCP:8080", "plain health"},
                                      {Purpose::kServe, "TCP:8444", "deny"},
                                      {Purpose::kServe, "unix:/run/admin", "tls-server admin"},
                                      {Purpose::kServe, "unix:/run/other", "deny"},
                                      {Purpose::kConnect, "unix:/run/admin", "deny"},
                                      {Purpose::kConnect, "TCP:10.1.2.3:6379", "tls-client redis"},
                                      {Purpose::kConnect, "TCP:redis:6379", "tls-client redis"},
                                      {Purpose::kConnect, "TCP:other:6379", "deny"},
                                      {Purpose::kConnect, "TCP:10.0.0.9:6379", "tls-client redis-spare"},
                                      {Purpose::kConnect, "TCP:10.0.0.2:3306", "tls-client db"},
                                      {Purpose::kConnect, "TCP:[fd00::1]:3306", "tls-client db6"},
                                      {Purpose::kConnect, "TCP:10.0.0.3:3306", "tls-client any-db"},
                                      {Purpose::kConnect, "TCP:10.0.0.3:3307", "deny"},
                                      {Purpose::kConnect, "TCP:10.0.0.3:8443", "deny"},
                                      {Purpose::kConnect, "UDP:10.0.0.53:53", "deny"},
                                      {Purpose::kServe, "UDP:8443", "deny"},
                                  });
}

TEST(NetworkRules, WantTheDestinationsNameUnlessOthersAreGiven) {
  const Parsed parsed = parse(kWeb);
  ASSERT_TRUE(parsed.rules);
  using Names = std::vector<std::string>;
  const std::vector<Names> expected = {{"uri:casemate://bank/front"}, {}, {}, {"dns:redis"}, {"dns:spare"}, {}, {}, {}};
  EXPECT_EQ(parsed.rules->peer_names, expected);
}

TEST(NetworkRules, LeaveTheRestPlainWhereTheModeSaysSo) {
  const Parsed parsed = parse("mode: unprotected\n" + kWeb);
  ASSERT_TRUE(parsed.rules) << parsed.findings;
  expect_decisions(*parsed.rules, {{Purpose::kServe, "TCP:8443", "tls-server web"},
                                   {Purpose::kServe, "TCP:9", "plain"},
                                   {Purpose::kConnect, "UDP:10.0.0.53:53", "plain"}});
  const Parsed refusing = parse("mode: unprotected\nunsupported_protocols: refuse\n" + kWeb);
  ASSERT_TRUE(refusing.rules) << refusing.findings;
  expect_decisions(*refusing.rules,
                   {{Purpose::kServe, "TCP:9", "plain"}, {Purpose::kConnect, "UDP:10.0.0.53:53", "deny"}});
  const Parsed disabled = parse("mode: disabled\n" + kWeb);
  ASSERT_TRUE(disabled.rules) << disabled.findings;
  expect_decisions(*disabled.rules, {{Purpose::kServe, "TCP:8443", "plain"}});
}

TEST(NetworkRules, DenyWhereTwoRulesFitEquallyWell) {
  const Parsed parsed = parse(
      "clients:\n"
      "  - {name: a, destination: \"TCP:a:6379\", server_auth: x}\n"
      "  - {name: b, destination: \"TCP:b:6379\", server_auth: x}\n");
  ASSERT_TRUE(parsed.rules) << parsed.findings;
  const NetworkDecision decision = decide(*parsed.rules, parse_query(Purpose::kConnect, "TCP:10.0.0.1:6379").value());
  EXPECT_EQ(decision.protection, Protection::kDeny);
  EXPECT_NE(decision.reason.find("`a` and `b` fit equally well"), std::string::npos) << decision.reason;
  expect_decisions(*parsed.rules, {{Purpose::kConnect, "TCP:b:6379", "tls-client b"}});
}

// SCONE's spelling, with SCONE's default: only what is named is protected.
TEST(NetworkRules, MeanTheSameInSconesSpelling) {
  const Session session = testing::session_of(
      "name: s\nversion: \"0.3.10\"\nservices:\n"
      "  - name: web\n    command: /bin/web\n    mrenclaves: [" +
      testing::kMeasurement +
      "]\n    environment:\n"
      "      SCONE_NETWORK_SHIELD_SERVER_api: protected\n"
      "      SCONE_NETWORK_SHIELD_SERVER_api_PORT: \"TCP:8443\"\n"
      "      SCONE_NETWORK_SHIELD_SERVER_api_IDENTITY: key-and-certificate\n"
      "      SCONE_NETWORK_SHIELD_SERVER_api_CLIENT_AUTH: disabled\n"
      "      SCONE_NETWORK_SHIELD_CLIENT_db: protected\n"
      "      SCONE_NETWORK_SHIELD_CLIENT_db_DESTINATION: \"TCP:db:3306\"\n"
      "      SCONE_NETWORK_SHIELD_CLIENT_db_DESTINATION_IP: \"*\"\n"
      "      SCONE_NETWORK_SHIELD_CLIENT_db_SERVER_AUTH: authority\n");
  const NetworkRules rules = network_rules_of(session.services.front().network);
  expect_decisions(rules, {{Purpose::kServe, "TCP:8443", "tls-server api"},
                           {Purpose::kServe, "TCP:80", "plain"},
                           {Purpose::kConnect, "TCP:10.0.0.1:3306", "tls-client db"},
                           {Purpose::kConnect, "UDP:10.0.0.1:53", "plain"}});
  Network strict = session.services.front().network;
  strict.mode = ShieldMode::kProtected;
  expect_decisions(network_rules_of(strict),
                   {{Purpose::kServe, "TCP:80", "deny"}, {Purpose::kConnect, "UDP:10.0.0.1:53", "deny"}});
  expect_decisions(network_rules_of(Network()), {{Purpose::kServe, "TCP:80", "plain"}});
}

struct Wrong {
  const char* text;
  const char* finding;
};
TEST(NetworkRules, RefuseWrongFilesWithThePlace) {
  const Wrong kWrong[] = {
      {"servers: [{name: a, port: \"TCP:1\", client_auth: x}]", "text:1:11: error: rule `a` is protected, but has no "},
      {"servers: [{name: a, port: \"TCP:1\", identity: x}]", "does not say whom it trusts at the other end"},
      {"clients: [{name: a, destination: \"TCP:b:1\"}]", "does not say whom it trusts at the other end"},
      {"servers: [{name: a, port: \"UDP:1\", identity: x, client_auth: x}]", "is no endpoint"},
      {"servers: [{name: a, port: \"TCP:70000\", identity: x, client_auth: x}]", "is no endpoint"},
      {"servers: [{name: a, port: \"TCP:1\", identity: \"$$CASEMATE::k:pem$$\", client_auth: x}]", "secret of a CAS"},
      {"servers: [{name: a, port: \"TCP:1\", identity: x, client_auth: x, peer_names: [web]}]", "\"dns:NAME\" or"},
      {"servers: [{name: a, port: \"TCP:1\", identity: x, client_auth: x, peer_name: [\"dns:web\"]}]", "peer_name"},
      {"servers: [{name: a, port: \"TCP:1\", identity: x, client_auth: x},"
       " {name: b, port: \"TCP:1\", identity: x, client_auth: x}]",
       "is for the same connections"},
      {"servers: [{name: a, port: \"TCP:1\", identity: x, client_auth: x},"
       " {name: a, port: \"TCP:2\", identity: x, client_auth: x}]",
       "has the same name"},
      {"mode: open", "`mode`"},
      {"listen: []", "listen"},
      {"[]", "text:1:1"},
      {"servers: [a", "error"},
  };
  for (const Wrong& wrong : kWrong) {
    const Parsed parsed = parse(wrong.text);
    EXPECT_FALSE(parsed.rules) << wrong.text;
    EXPECT_NE(parsed.findings.find(wrong.finding), std::string::npos) << wrong.text << "\n" << parsed.findings;
  }
}

TEST(NetworkRules, RefuseQueriesThatAreNone) {
  for (const char* text : {"", "8443", "TCP:", "TCP:0", "TCP:70000", "TCP:a", "tcp:1", "unix:x"}) {
    EXPECT_FALSE(parse_query(Purpose::kServe, text).has_value()) << text;
  }
  EXPECT_FALSE(parse_query(Purpose::kConnect, "TCP:80").has_value());
}

}  // namespace
}  // namespace casemate::policy
