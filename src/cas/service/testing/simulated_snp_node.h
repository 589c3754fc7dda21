// The SEV-SNP guest below a simulated service: report, chain and revocation list with throw-away keys, good at
// attest::testing::kNow. Hardware is believed only by who trusts their root.
#pragma once

#include <memory>
#include <string>

#include "attest/testing/synthetic_dcap.h"
#include "attest/testing/synthetic_snp.h"
#include "cas/service/activation.h"
#include "cas/service/testing/simulated_service.h"

namespace casemate::cas::testing_support {

struct SimulatedSnpNode {
  // Gives `service` evidence of a guest that `scenario` describes.
  explicit SimulatedSnpNode(SimulatedService& service,
                            attest::testing::SnpScenario scenario = attest::testing::SnpScenario()) {
    evidence::NodePart part;
    part.nonce.fill(std::byte{0x33});
    part.issued_at = static_cast<std::uint64_t>(attest::testing::kNow);
    scenario.report.report_data = evidence::node_report_data(
        evidence::LasBackend::kSnp, evidence::las_key_id(service.las_key.public_key()), part.nonce);
    const attest::testing::SnpSample sample = attest::testing::make_sample(scenario);
    part.quote = sample.report;
    service.node = part;
    service.statement.backend = evidence::LasBackend::kSnp;
    anchors = std::make_unique<attest::TrustAnchors>(
        attest::anchors_of_single_root(crypto::Certificate::from_der(sample.root_der).value()));
    endorsements = sample.endorsements;
    measurement = crypto::to_hex(scenario.report.measurement);
  }
  EvidenceBasis basis() const { return {anchors.get(), nullptr, endorsements}; }
  static std::uint64_t now() { return 1000 * static_cast<std::uint64_t>(attest::testing::kNow); }

  std::unique_ptr<attest::TrustAnchors> anchors;
  attest::SnpEndorsements endorsements;
  std::string measurement;
};

}  // namespace casemate::cas::testing_support
