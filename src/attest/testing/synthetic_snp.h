// An SEV-SNP world with throw-away keys: ARK, ASK, ASVK, VCEK, VLEK and reports of every version and generation. A test
// takes the default, which verifies, and spoils one thing.
#pragma once

#include <functional>

#include "attest/snp_verifier.h"
#include "attest/testing/certificate_builder.h"
#include "evidence/snp_report.h"

namespace casemate::attest::testing {

struct SnpScenario {
  explicit SnpScenario(evidence::SnpGeneration chip_generation = evidence::SnpGeneration::kMilan,
                       std::uint32_t version = 3, evidence::SnpSigningKey key = evidence::SnpSigningKey::kVcek);

  evidence::SnpGeneration generation;
  evidence::SnpSigningKey signing_key;
  evidence::SnpReport report;
  evidence::SnpCertificateFields fields;
  std::function<void(const std::string& part, CertificateTemplate&)> edit_certificate;  // "ARK", "ASK", "leaf"
};

struct SnpSample {
  Bytes report;
  SnpEndorsements endorsements;
  Bytes root_der;
};

SnpSample make_sample(const SnpScenario& scenario);
// A revocation list by the ARK.
Bytes make_snp_revocation_list(const SnpScenario& scenario, const std::vector<Bytes>& serials);
Bytes snp_serial_of(const std::string& part);

}  // namespace casemate::attest::testing
