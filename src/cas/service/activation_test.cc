// What an activation gives, and every reason to refuse one. Each refusal is of a request that differs in one thing from
// one that is granted, and names the rule to the owner.
#include "cas/service/activation.h"

#include <gtest/gtest.h>

#include "cas/service/testing/simulated_cas.h"
#include "cas/service/testing/simulated_service.h"

namespace casemate::cas {
namespace {

using testing_support::SimulatedService;

crypto::Sha512Digest bound_value(unsigned number = 1) {
  crypto::Sha512Digest bound{};
  bound.fill(static_cast<std::byte>(number));
  return bound;
}

class ActivatorTest : public testing::Test {
 protected:
  std::string text(const std::string& security = "security: {attestation: {tolerate: [simulation]}}\n",
                   const std::string& more = "") const {
    return "version: casemate-1\n" + security +
           "services:\n  - name: web\n    image_name: main\n    command: [/bin/server, $$CASEMATE::token$$]\n"
           "    attestation: [{mrenclave: [" +
           service_.measurement() + "]}]\n    platforms: [" + service_.las_key_id() +
           "]\n    environment: {MODE: fixed, \"@@LANG\": \"\"}\n" + more +
           "images:\n  - name: main\n    volumes: [{name: data, path: /data}]\n"
           "    files: {/bin/server: " +
           std::string(64, 'a') +
           "}\n"
           "    injection_files: [{path: /etc/token, content: \"t=$$CASEMATE::token$$\"}]\n"
           "secrets: [{name: token, kind: ascii, size: 32}]\nvolumes: [{name: data}]\n";
  }
  std::string put(const std::string& name, const std::string& session) { return cas_.put(name, session); }

  protocol::ProvisionRequest good_request() const {
    protocol::ProvisionRequest asked = service_.request("shop", "web");
    asked.evidence = service_.evidence_for(bound_value());
    return asked;
  }
  // The rule that refuses; "" when it is granted.
  std::string refusal(const protocol::ProvisionRequest& asked, const crypto::Sha512Digest& bound = bound_value()) {
    const auto done = cas_.activator->activate(asked, bound);
    if (done) return "";
    const auto why = cas_.activator->why(done.error().message());
    EXPECT_TRUE(why) << done.error().message();
    return why ? why->rule + "; expected " + why->expected + "; found " + why->actual : "unexplained";
  }
  std::string refusal_of(const std::function<void(evidence::ProcessStatement&)>& spoil) {
    protocol::ProvisionRequest asked = good_request();
    asked.evidence = service_.evidence_for(bound_value(), spoil);
    return refusal(asked);
  }
  std::uint64_t log_size() const { return cas_.store->snapshot().head().head.size; }

  std::vector<ActivationRefusal> told_;
  testing_support::SimulatedCas cas_{[this](const ActivationRefusal& refusal) { told_.push_back(refusal); }};
  SimulatedService service_;
};

TEST_F(ActivatorTest, GrantsWhatTheSessionSaysAndLogsVerdictAndRelease) {
  ASSERT_EQ(put("shop", text()), "");
  const std::uint64_t before = log_size();
  protocol::ProvisionRequest asked = good_request();
  asked.environment = {{"LANG", "C"}, {"OTHER", "x"}};
  const auto done = cas_.activator->activate(asked, bound_value());
  ASSERT_TRUE(done) << describe(told_.front());
  const protocol::Configuration& got = done.value().configuration;
  ASSERT_EQ(got.arguments.size(), 2U);
  EXPECT_EQ(got.arguments[1].size(), 32U);
  ASSERT_EQ(got.environment.size(), 2U);
  EXPECT_EQ(got.files.at(0).content, "t=" + got.arguments[1]);
  EXPECT_TRUE(got.volumes.at(0).is_new);
  EXPECT_EQ(log_size(), before + 2);
  const Receipt receipt = parse_receipt(done.value().receipt).value();
  const Entry entry = verify_receipt(receipt, cas_.store->log_id()).value();
  EXPECT_EQ(std::get<Release>(entry.body).secrets, std::vector<std::string>{"token@1"});
  const auto again = cas_.activator->activate(good_request(), bound_value());
  EXPECT_EQ(again.value().configuration.arguments[1], got.arguments[1]) << "generated once";
}

TEST_F(ActivatorTest, RefusesEvidenceOfAnotherChannelOrNonce) {
  ASSERT_EQ(put("shop", text()), "");
  EXPECT_NE(refusal(good_request(), bound_value(2)).find("statement: nonce"), std::string::npos);
}

TEST_F(ActivatorTest, RefusesStatementsThatWereChanged) {
  ASSERT_EQ(put("shop", text()), "");
  const protocol::ProvisionRequest good = good_request();
  for (std::size_t at = 0; at < good.evidence.size(); ++at) {
    protocol::ProvisionRequest asked = good;
    asked.evidence[at] ^= std::byte{1};
    EXPECT_NE(refusal(asked), "") << "byte " << at;
  }
  EXPECT_EQ(refusal(good), "");
}

TEST_F(ActivatorTest, RefusesAnotherMeasurementAndSaysWhichLineWouldAcceptIt) {
  ASSERT_EQ(put("shop", text()), "");
  EXPECT_NE(refusal_of([](auto& statement) { statement.measurement[0] ^= std::byte{1}; }).find("`attestation`"),
            std::string::npos);
  EXPECT_NE(told_.back().advice.find("mrenclave: [5b5a"), std::string::npos) << told_.back().advice;
}

TEST_F(ActivatorTest, RefusesOtherPurposesAndCallersThatRunPrograms) {
  ASSERT_EQ(put("shop", text()), "");
  protocol::ProvisionRequest asked = good_request();
  service_.statement.purpose = evidence::StatementPurpose::kRun;  // its nonce fits: only the purpose differs
  asked.evidence = service_.evidence_for(bound_value());
  EXPECT_NE(refusal(asked).find("purpose"), std::string::npos);
  service_.statement.purpose = evidence::StatementPurpose::kProvision;
  for (const std::uint32_t checks : {0U, evidence::kCallerInspected, evidence::kCallerHosted}) {
    EXPECT_NE(refusal_of([&](auto& statement) { statement.caller_checks = checks; }).find("runs no programs"),
              std::string::npos)
        << checks;
  }
}

TEST_F(ActivatorTest, RefusesKeysOfOtherAttestationServices) {
  ASSERT_EQ(put("shop", text()), "");
  service_.las_key = crypto::PrivateKey::generate(crypto::KeyKind::kEcP256).value();
  EXPECT_NE(refusal(good_request()).find("evidence: "), std::string::npos);
}

TEST_F(ActivatorTest, RefusesSimulationWhereNobodyTolerates) {
  const std::string needs_hardware = text("");
  const std::string accepted = put("shop", needs_hardware);
  ASSERT_EQ(accepted, "");
  EXPECT_NE(refusal(good_request()).find("not tolerated"), std::string::npos);
}

TEST_F(ActivatorTest, RefusesUnknownSessionsAndServices) {
  EXPECT_NE(refusal(good_request()).find("no such session"), std::string::npos);
  ASSERT_EQ(put("shop", text()), "");
  protocol::ProvisionRequest asked = good_request();
  asked.service = "other";
  EXPECT_NE(refusal(asked).find("no such service"), std::string::npos);
  EXPECT_EQ(refusal(good_request()), "");
}

TEST_F(ActivatorTest, RefusesEvidenceThatCannotBeRead) {
  ASSERT_EQ(put("shop", text()), "");
  const crypto::Bytes good = good_request().evidence;
  crypto::Bytes longer = good, shorter(good.begin(), good.end() - 1), huge(evidence::kProcessEvidenceMaximumSize + 1);
  longer.push_back(std::byte{0});
  std::copy(good.begin(), good.end(), huge.begin());
  for (const crypto::Bytes& wrong : {longer, shorter, huge, crypto::Bytes()}) {
    protocol::ProvisionRequest asked = good_request();
    asked.evidence = wrong;
    EXPECT_NE(refusal(asked).find("cannot be read"), std::string::npos) << wrong.size();
  }
}

TEST_F(ActivatorTest, RefusesHardwareWithoutItsEndorsements) {
  ASSERT_EQ(put("shop", text()), "");
  service_.node = evidence::NodePart{{}, 0, crypto::Bytes(1000, std::byte{1}), {}};
  for (const auto backend : {evidence::LasBackend::kTdx, evidence::LasBackend::kSnp}) {
    EXPECT_NE(refusal_of([&](auto& statement) { statement.backend = backend; }), "");
  }
}

TEST_F(ActivatorTest, GivesNetworkRulesWithIdentities) {
  const std::string network = "    network: {mode: protected, servers: [{name: web, port: \"TCP:8443\"}]}\n";
  ASSERT_EQ(put("shop", text("security: {attestation: {tolerate: [simulation]}}\n", network)), "");
  const auto done = cas_.activator->activate(good_request(), bound_value());
  ASSERT_TRUE(done) << describe(told_.front());
  const protocol::GrantedNetwork& granted = done.value().configuration.network;
  EXPECT_EQ(granted.mode, protocol::NetworkMode::kDenyOthers);
  ASSERT_EQ(granted.rules.size(), 1U);
  EXPECT_NE(granted.rules[0].identity.find("PRIVATE KEY"), std::string::npos);
  EXPECT_TRUE(granted.rules[0].authenticates_peer);
}

// Such a service would speak plain text where its owner reads "protected".
TEST_F(ActivatorTest, RefusesServicesThatExpectProtectedUnixSockets) {
  const std::pair<const char*, bool> networks[] = {
      {"{servers: [{name: web, port: \"unix:/run/web\"}]}", true},
      {"{mode: disabled, servers: [{name: web, port: \"unix:/run/web\"}]}", false},
      {"{servers: [{name: web, port: \"unix:/run/web\", protection: unprotected}]}", false},
  };
  const std::string security = "security: {attestation: {tolerate: [simulation]}}\n";
  int number = 0;
  for (const auto& [network, is_refused] : networks) {
    const std::string name = "n" + std::to_string(number++);
    ASSERT_EQ(put(name, text(security, "    network: " + std::string(network) + "\n")), "") << network;
    protocol::ProvisionRequest asked = good_request();
    asked.session = name;
    const std::string reason = refusal(asked);
    EXPECT_EQ(reason.find("protected unix sockets` is not enforced") != std::string::npos, is_refused)
        << network << ": " << reason;
  }
}

TEST_F(ActivatorTest, RefusesVariablesWithNul) {
  ASSERT_EQ(put("shop", text()), "");
  protocol::ProvisionRequest asked = good_request();
  asked.environment = {{"LANG", std::string("a\0b", 3)}};
  EXPECT_NE(refusal(asked).find("NUL"), std::string::npos);
}

TEST_F(ActivatorTest, RefusesEverythingOnceTheStoreIsKnownToBeOld) {
  ASSERT_EQ(put("shop", text()), "");
  const auto granted = cas_.activator->activate(good_request(), bound_value());
  ASSERT_TRUE(granted);
  cas_.activator->refuse_all("this CAS was rolled back");
  EXPECT_NE(refusal(good_request()).find("rolled back"), std::string::npos);
  EXPECT_FALSE(cas_.activator->note_position("shop", {"data", {1, 1, {}}}, granted.value().holder));
}

TEST_F(ActivatorTest, LogsNothingAndGeneratesNothingWhenItRefuses) {
  ASSERT_EQ(put("shop", text()), "");
  const std::uint64_t before = log_size();
  EXPECT_NE(refusal(good_request(), bound_value(2)), "");
  EXPECT_EQ(log_size(), before);
  EXPECT_EQ(cas_.store->snapshot().count(number_of(Table::kSecrets)), 0U);
  EXPECT_EQ(told_.size(), 1U);
  EXPECT_FALSE(cas_.activator->why("0123456789abcdef"));
}

TEST_F(ActivatorTest, KeepsTheNewestRefusalsOnly) {
  for (int i = 0; i < 1100; ++i) EXPECT_NE(refusal(service_.request("none", "none")), "");
  EXPECT_FALSE(cas_.activator->why(told_.front().reference));
  EXPECT_TRUE(cas_.activator->why(told_.back().reference));
}

TEST_F(ActivatorTest, DescribesHostileNamesOnOneLine) {
  static_cast<void>(refusal(service_.request("a\x1b[2J\nb", std::string(5000, 'x'))));
  const std::string line = describe(told_.back());
  EXPECT_EQ(line.find_first_of("\n\x1b"), std::string::npos);
  EXPECT_LT(line.size(), 2000U);
}

TEST_F(ActivatorTest, TakesPositionsFromTheNewestActivationOnlyAndNeverOlderOnes) {
  ASSERT_EQ(put("shop", text()), "");
  const auto first = cas_.activator->activate(good_request(), bound_value());
  const auto note = [&](const Result<Activation>& by, std::uint64_t epoch, std::uint64_t sequence) {
    return cas_.activator->note_position("shop", {"data", {epoch, sequence, {}}}, by.value().holder).value();
  };
  EXPECT_TRUE(note(first, 1, 5));
  EXPECT_FALSE(note(first, 1, 4));
  EXPECT_TRUE(note(first, 1, 5));
  EXPECT_FALSE(cas_.activator->note_position("shop", {"other", {1, 1, {}}}, first.value().holder).value());
  EXPECT_FALSE(cas_.activator->note_position("none", {"data", {1, 9, {}}}, first.value().holder).value());
  const auto second = cas_.activator->activate(good_request(), bound_value());
  EXPECT_FALSE(second.value().configuration.volumes.at(0).is_new);
  EXPECT_EQ(second.value().configuration.volumes.at(0).tag.sequence, 5U);
  EXPECT_FALSE(note(first, 1, 6)) << "replaced";
  EXPECT_TRUE(note(second, 2, 1));
}

}  // namespace
}  // namespace casemate::cas
