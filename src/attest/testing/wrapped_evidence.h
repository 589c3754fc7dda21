// Evidence of throw-away roots inside of something else: a self-signed certificate (RA-TLS), Azure's HCL report.
#pragma once

#include "attest/testing/synthetic_dcap.h"
#include "attest/testing/synthetic_snp.h"
#include "evidence/certificate_evidence.h"
#include "evidence/hcl_report.h"

namespace casemate::attest::testing {

struct CertificateSample {
  Bytes certificate;  // DER; a day around kNow
  DcapSample dcap;
};

inline CertificateSample make_certificate(QuoteKind kind) {
  const crypto::PrivateKey key = must(crypto::PrivateKey::generate(crypto::KeyKind::kEcP256));
  const Bytes claims = evidence::build_evidence_claims(key.public_key().to_subject_public_key_info(), std::nullopt);
  DcapScenario scenario(kind);
  if (is_tdx(kind)) {
    scenario.td().report_data = evidence::report_data_for_claims(claims);
  } else {
    scenario.sgx().report_data = evidence::report_data_for_claims(claims);
  }
  DcapSample sample = make_sample(scenario);
  CertificateTemplate fields;
  fields.subject = fields.issuer = "attested";
  fields.not_before = kNow - kDay;
  fields.not_after = kNow + kDay;
  fields.extensions = {evidence::build_tagged_evidence(sample.quote, claims)};
  Bytes certificate = build_certificate(fields, key.public_key(), key, crypto::SignatureScheme::kEcdsaP256Sha256);
  return {std::move(certificate), std::move(sample)};
}

struct HclSample {
  SnpScenario scenario;
  Bytes runtime_data = crypto::to_bytes(crypto::as_byte_view(R"({"keys":[{"kid":"HCLAkPub","kty":"RSA"}]})"));
  SnpSample snp;
  Bytes wrapped;

  HclSample() {
    evidence::HclReport hcl{evidence::HclReportType::kSnp, evidence::HclHash::kSha256, {}, runtime_data};
    scenario.report.report_data = evidence::expected_report_data(hcl);
    snp = make_sample(scenario);
    hcl.hardware_report = snp.report;
    wrapped = evidence::build(hcl);
  }
};

}  // namespace casemate::attest::testing
