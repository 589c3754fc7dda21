// Activations in SEV-SNP guests: two layers of evidence, both judged by what the session says.
#include <gtest/gtest.h>

#include "cas/service/testing/simulated_cas.h"
#include "cas/service/testing/simulated_snp_node.h"

namespace casemate::cas {
namespace {

using attest::testing::SnpScenario;
using testing_support::SimulatedCas;
using testing_support::SimulatedService;
using testing_support::SimulatedSnpNode;

class SnpActivation : public testing::Test {
 protected:
  // `node`: the reference values behind the measurement.
  std::string text(const std::string& measurement, const std::string& node = "minimum_tcb: {snp: 8}",
                   const std::string& tolerated = "", const std::string& tee = "snp") const {
    const std::string tolerate = tolerated.empty() ? "" : ", tolerate: [" + tolerated + "]";
    return "version: casemate-1\nsecurity: {attestation: {mode: hardware" + tolerate +
           "}}\nservices:\n  - name: web\n    image_name: main\n    command: /bin/server\n    attestation: "
           "[{mrenclave: [" +
           service_.measurement() + "]}]\n    tee: [" + tee + "]\n    node: {snp: [{measurement: " + measurement +
           ", " + node + "}]}\nimages:\n  - name: main\n    files: {/bin/server: " + std::string(64, 'a') + "}\n";
  }
  // What the owner is told; "" when it is granted.
  std::string refusal(const std::string& session, const EvidenceBasis& basis,
                      std::uint64_t at = SimulatedSnpNode::now()) {
    std::string why;
    SimulatedCas cas([&](const ActivationRefusal& refusal) { why = describe(refusal); }, basis, [at] { return at; });
    EXPECT_EQ(cas.put("shop", session), "");
    crypto::Sha512Digest bound{};
    protocol::ProvisionRequest asked = service_.request("shop", "web");
    asked.evidence = service_.evidence_for(bound);
    const bool is_granted = cas.activator->activate(asked, bound).has_value();
    EXPECT_EQ(is_granted, why.empty());
    return why;
  }

  SimulatedService service_;
};

TEST_F(SnpActivation, IsGrantedToTheGuestThatTheSessionNames) {
  const SimulatedSnpNode node(service_);
  EXPECT_EQ(refusal(text(node.measurement), node.basis()), "");
}

TEST_F(SnpActivation, IsRefusedWithoutTheChainOrToOtherRoots) {
  const SimulatedSnpNode node(service_);
  EXPECT_NE(refusal(text(node.measurement), {node.anchors.get(), nullptr, {}}), "");
  EXPECT_NE(refusal(text(node.measurement), {&attest::vendor_anchors(), nullptr, node.endorsements}), "")
      << "a throw-away root is nobody";
}

TEST_F(SnpActivation, IsRefusedToOtherGuestsAndOldFirmware) {
  const SimulatedSnpNode node(service_);
  EXPECT_NE(refusal(text(std::string(96, '1')), node.basis()).find("node_measurement"), std::string::npos);
  EXPECT_NE(refusal(text(node.measurement, "minimum_tcb: {snp: 9}"), node.basis()).find("SNP TCB"), std::string::npos);
  EXPECT_NE(refusal(text(node.measurement, "minimum_tcb: {microcode: 116}"), node.basis()).find("SNP TCB"),
            std::string::npos);
}

TEST_F(SnpActivation, HoldsTheGuestsPolicyAndPrivilegeLevelToTheSession) {
  const SnpScenario scenario;
  const std::string policy = std::to_string(scenario.report.policy);
  const SimulatedSnpNode node(service_, scenario);
  EXPECT_EQ(refusal(text(node.measurement, "minimum_tcb: {snp: 8}, guest_policy: " + policy), node.basis()), "");
  EXPECT_NE(refusal(text(node.measurement, "minimum_tcb: {snp: 8}, guest_policy: 1"), node.basis()).find("node_policy"),
            std::string::npos);
  SnpScenario below;
  below.report.vmpl = 2;
  const SimulatedSnpNode other(service_, below);
  EXPECT_NE(refusal(text(other.measurement), other.basis()).find("VMPL"), std::string::npos);
  EXPECT_EQ(refusal(text(other.measurement, "minimum_tcb: {snp: 8}, vmpl: 2"), other.basis()), "");
}

TEST_F(SnpActivation, IsRefusedToGuestsThatTheHostMayDebug) {
  SnpScenario debug;
  debug.report.policy |= evidence::kSnpPolicyDebug;
  const SimulatedSnpNode node(service_, debug);
  EXPECT_NE(refusal(text(node.measurement), node.basis()).find("debug"), std::string::npos);
  EXPECT_EQ(refusal(text(node.measurement, "minimum_tcb: {snp: 8}", "debug-mode"), node.basis()), "") << "tolerated";
}

TEST_F(SnpActivation, IsRefusedWhereTheSessionDoesNotAcceptSnp) {
  const SimulatedSnpNode node(service_);
  EXPECT_NE(refusal(text(node.measurement, "minimum_tcb: {snp: 8}", "", "sgx"), node.basis()).find("`tee`"),
            std::string::npos);
}

TEST_F(SnpActivation, IsRefusedWhenTheReportVouchesForAnotherAttestationService) {
  SimulatedService other;
  const SimulatedSnpNode node(other);
  service_.node = other.node;
  service_.statement.backend = evidence::LasBackend::kSnp;
  EXPECT_NE(refusal(text(node.measurement), node.basis()).find("binds the LAS key"), std::string::npos);
}

TEST_F(SnpActivation, IsRefusedWhenTheAuthorityWasRevoked) {
  const SnpScenario scenario;
  SimulatedSnpNode node(service_, scenario);
  node.endorsements.revocation_lists = {
      attest::testing::make_snp_revocation_list(scenario, {attest::testing::snp_serial_of("ASK")})};
  EXPECT_NE(refusal(text(node.measurement), node.basis()), "");
  node.endorsements.revocation_lists = {attest::testing::make_snp_revocation_list(scenario, {})};
  EXPECT_EQ(refusal(text(node.measurement), node.basis()), "") << "a list without it";
}

}  // namespace
}  // namespace casemate::cas
