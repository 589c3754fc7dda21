// Activations on confidential virtual machines: two layers of evidence, both judged by what the session says.
#include <gtest/gtest.h>

#include "cas/service/testing/simulated_cas.h"
#include "cas/service/testing/simulated_node.h"

namespace casemate::cas {
namespace {

using attest::testing::DcapScenario;
using attest::testing::QuoteKind;
using testing_support::SimulatedCas;
using testing_support::SimulatedNode;
using testing_support::SimulatedService;

constexpr std::uint64_t kDayMilliseconds = 86'400'000;

class TdxActivation : public testing::Test {
 protected:
  std::string text(const SimulatedNode& node, const std::string& tolerated = "", const std::string& tee = "tdx") const {
    const std::string tolerate = tolerated.empty() ? "" : ", tolerate: [" + tolerated + "]";
    return "version: casemate-1\nsecurity: {attestation: {mode: hardware" + tolerate +
           "}}\nservices:\n  - name: web\n    image_name: main\n    command: /bin/server\n    attestation: "
           "[{mrenclave: [" +
           service_.measurement() + "]}]\n    tee: [" + tee + "]\n    node: {tdx: [" + node.reference_values +
           "]}\nimages:\n  - name: main\n    files: {/bin/server: " + std::string(64, 'a') + "}\n";
  }
  // The rule that refuses; "" when it is granted.
  std::string refusal(const std::string& session, const EvidenceBasis& basis, std::uint64_t later = 0) {
    std::string why;
    now_ = SimulatedNode::now() + later;
    SimulatedCas cas([&](const ActivationRefusal& refusal) { why = describe(refusal); }, basis,
                     [this] { return now_; });
    EXPECT_EQ(cas.put("shop", session), "");
    static_cast<void>(activate(cas));
    return why;
  }
  bool activate(SimulatedCas& cas) const {
    crypto::Sha512Digest bound{};
    protocol::ProvisionRequest asked = service_.request("shop", "web");
    asked.evidence = service_.evidence_for(bound);
    return cas.activator->activate(asked, bound).has_value();
  }

  SimulatedService service_;
  std::uint64_t now_ = 0;
};

TEST_F(TdxActivation, IsGrantedToTheMachineThatTheSessionNames) {
  const SimulatedNode node(service_);
  EXPECT_EQ(refusal(text(node), node.basis()), "");
}

TEST_F(TdxActivation, IsRefusedWithoutCollateralOrToOtherRoots) {
  const SimulatedNode node(service_);
  EXPECT_NE(refusal(text(node), {node.anchors.get(), nullptr, {}}), "");
  EXPECT_NE(refusal(text(node), EvidenceBasis{}), "") << "a throw-away root is nobody";
}

TEST_F(TdxActivation, IsRefusedWhenCollateralHasExpired) {
  const SimulatedNode node(service_);
  EXPECT_NE(refusal(text(node), node.basis(), 60 * kDayMilliseconds), "");
}

TEST_F(TdxActivation, IsRefusedToOtherMachinesDebuggersAndOldFirmware) {
  DcapScenario other(QuoteKind::kTdxV4), debug(QuoteKind::kTdxV4), old(QuoteKind::kTdxV4);
  other.td().rtmr[2][0] ^= std::byte{1};
  debug.td().td_attributes[0] |= std::byte{1};
  old.tcb_info["tcbLevels"][0]["tcbStatus"] = "OutOfDate";
  const std::string reference = SimulatedNode(service_).reference_values;
  for (const auto& [scenario, rule] : {std::pair{other, "node_rtmr2"}, {debug, "debug"}, {old, "TCB status"}}) {
    SimulatedNode node(service_, scenario);
    node.reference_values = reference;
    EXPECT_NE(refusal(text(node), node.basis()).find(rule), std::string::npos) << rule;
  }
  SimulatedNode node(service_, old);
  EXPECT_EQ(refusal(text(node, "outdated-tcb"), node.basis()), "") << "tolerated";
}

TEST_F(TdxActivation, IsRefusedWhereTheSessionDoesNotAcceptTdx) {
  const SimulatedNode node(service_);
  EXPECT_NE(refusal(text(node, "", "sgx"), node.basis()).find("`tee`"), std::string::npos);
}

TEST_F(TdxActivation, IsRefusedWhenTheQuoteVouchesForAnotherAttestationService) {
  SimulatedService other;
  const SimulatedNode node(other);
  service_.node = other.node;
  service_.statement.backend = evidence::LasBackend::kTdx;
  EXPECT_NE(refusal(text(node), node.basis()).find("binds the LAS key"), std::string::npos);
}

TEST_F(TdxActivation, ForgetsAVerdictWhenItIsNoLongerTrue) {
  const SimulatedNode node(service_);
  now_ = SimulatedNode::now();
  SimulatedCas cas([](const ActivationRefusal&) {}, node.basis(), [this] { return now_; });
  ASSERT_EQ(cas.put("shop", text(node)), "");
  EXPECT_TRUE(activate(cas));
  EXPECT_TRUE(activate(cas)) << "by the verdict that was kept";
  now_ += 60 * kDayMilliseconds;
  EXPECT_FALSE(activate(cas)) << "collateral has expired";
  now_ = SimulatedNode::now();
  service_.node->quote.back() ^= std::byte{1};
  EXPECT_FALSE(activate(cas)) << "another quote";
}

}  // namespace
}  // namespace casemate::cas
