// The TDX machine below a simulated service: quote, chain and collateral with throw-away keys, good at
// attest::testing::kNow. Hardware is believed only by who trusts their root.
#pragma once

#include <memory>
#include <string>

#include "attest/testing/synthetic_dcap.h"
#include "cas/service/activation.h"
#include "cas/service/testing/simulated_service.h"

namespace casemate::cas::testing_support {

struct SimulatedNode {
  // Gives `service` evidence of a machine that `scenario` describes.
  explicit SimulatedNode(
      SimulatedService& service,
      attest::testing::DcapScenario scenario = attest::testing::DcapScenario(attest::testing::QuoteKind::kTdxV4)) {
    evidence::NodePart part;
    part.nonce.fill(std::byte{0x33});
    part.issued_at = static_cast<std::uint64_t>(attest::testing::kNow);
    const auto bound = evidence::node_report_data(evidence::LasBackend::kTdx,
                                                  evidence::las_key_id(service.las_key.public_key()), part.nonce);
    std::copy(bound.begin(), bound.end(), scenario.td().report_data.begin());
    const attest::testing::DcapSample sample = attest::testing::make_sample(scenario);
    part.quote = sample.quote;
    service.node = part;
    service.statement.backend = evidence::LasBackend::kTdx;
    anchors = std::make_unique<attest::TrustAnchors>(attest::testing::anchors_of(sample));
    dcap = attest::PreparedDcapCollateral::prepare(sample.collateral, *anchors);
    const auto& td = scenario.td();
    reference_values = "{mrtd: " + crypto::to_hex(td.mr_td);
    for (std::size_t i = 0; i < 4; ++i) {
      reference_values += ", rtmr" + std::to_string(i) + ": " + crypto::to_hex(td.rtmr[i]);
    }
    reference_values += "}";
  }
  EvidenceBasis basis() const { return {anchors.get(), dcap, {}}; }
  static std::uint64_t now() { return 1000 * static_cast<std::uint64_t>(attest::testing::kNow); }

  std::unique_ptr<attest::TrustAnchors> anchors;
  std::shared_ptr<const attest::PreparedDcapCollateral> dcap;
  std::string reference_values;  // of `node: {tdx: [...]}`
};

}  // namespace casemate::cas::testing_support
