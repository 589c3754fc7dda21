// Flips every byte that a signature covers in the kinds of evidence that wrap another one: certificates with evidence
// (RA-TLS) and Azure's HCL reports. Quotes, SNP reports and process evidence have the same test beside their verifier.
#include <gtest/gtest.h>

#include <algorithm>

#include "attest/certificate_binding.h"
#include "attest/dcap_verifier.h"
#include "attest/hcl_binding.h"
#include "attest/testing/wrapped_evidence.h"

namespace casemate::attest {
namespace {

using namespace testing;

bool is_refused(const VerificationResult& result) {
  return result.conclusion == Conclusion::kInvalid || result.conclusion == Conclusion::kParseError;
}

// A certificate that cannot be read or has no evidence is a parse error.
VerificationResult verify_certificate(crypto::ByteView der, const PreparedDcapCollateral& collateral,
                                      const TrustAnchors& anchors) {
  VerificationResult result;
  result.conclusion = Conclusion::kParseError;
  const Result<crypto::Certificate> certificate = crypto::Certificate::from_der(der);
  if (!certificate) return result;
  const auto found = evidence::find_certificate_evidence(certificate.value());
  if (!found || !found.value()) return result;
  result = verify_dcap_quote(found.value()->evidence, &collateral, anchors, kNow);
  require_key_binding(result, *found.value(), certificate.value(), kNow);
  return result;
}

TEST(EvidenceCertificate, AnyFlippedByteIsRefused) {
  for (QuoteKind kind : {QuoteKind::kSgxV3, QuoteKind::kTdxV4}) {
    CertificateSample sample = make_certificate(kind);
    const TrustAnchors anchors = anchors_of(sample.dcap);
    const auto prepared = PreparedDcapCollateral::prepare(sample.dcap.collateral, anchors);
    const VerificationResult good = verify_certificate(sample.certificate, *prepared, anchors);
    ASSERT_EQ(good.verdict(), "UpToDate") << good.reason();
    for (std::size_t i = 0; i < sample.certificate.size(); ++i) {
      sample.certificate[i] ^= std::byte{0x01};
      ASSERT_TRUE(is_refused(verify_certificate(sample.certificate, *prepared, anchors))) << "byte " << i;
      sample.certificate[i] ^= std::byte{0x01};
    }
  }
}

VerificationResult verify_wrapped(const HclSample& sample, const TrustAnchors& anchors) {
  VerificationResult result;
  result.conclusion = Conclusion::kParseError;
  const Result<evidence::HclReport> hcl = evidence::parse_hcl_report(sample.wrapped);
  if (!hcl) return result;
  result = verify_snp_report(hcl.value().hardware_report, sample.snp.endorsements, anchors, kNow);
  require_runtime_data(result, hcl.value());
  return result;
}

// The wrapper's own header is covered by nothing: only report and runtime data are.
TEST(WrappedReport, AnyFlippedByteOfReportAndRuntimeDataIsRefused) {
  HclSample sample;
  const TrustAnchors anchors = anchors_of_single_root(must(crypto::Certificate::from_der(sample.snp.root_der)));
  const VerificationResult good = verify_wrapped(sample, anchors);
  ASSERT_EQ(good.verdict(), "valid") << good.reason();
  for (const Bytes& covered : {sample.snp.report, sample.runtime_data}) {
    const auto found = std::ranges::search(sample.wrapped, covered);
    ASSERT_FALSE(found.empty());
    for (std::byte& flipped : found) {
      flipped ^= std::byte{0x01};
      ASSERT_TRUE(is_refused(verify_wrapped(sample, anchors))) << "byte " << &flipped - sample.wrapped.data();
      flipped ^= std::byte{0x01};
    }
  }
}

// Azure's TDX guests hand out the TD quote beside the wrapper.
TEST(WrappedReport, AnyFlippedByteOfTheRuntimeDataOfATdQuoteIsRefused) {
  Bytes runtime_data = crypto::to_bytes(crypto::as_byte_view(R"({"keys":[]})"));
  const Bytes td_report(1024, std::byte{0});
  const evidence::HclReport hcl{evidence::HclReportType::kTdx, evidence::HclHash::kSha256, td_report, runtime_data};
  DcapScenario scenario(QuoteKind::kTdxV4);
  scenario.td().report_data = evidence::expected_report_data(hcl);
  const DcapSample sample = make_sample(scenario);
  const TrustAnchors anchors = anchors_of(sample);
  const auto prepared = PreparedDcapCollateral::prepare(sample.collateral, anchors);
  const auto verdict = [&] {
    VerificationResult result = verify_dcap_quote(sample.quote, prepared.get(), anchors, kNow);
    require_runtime_data(result, hcl);
    return result.verdict();
  };
  ASSERT_EQ(verdict(), "UpToDate");
  for (std::byte& flipped : runtime_data) {
    flipped ^= std::byte{0x01};
    ASSERT_EQ(verdict(), "invalid");
    flipped ^= std::byte{0x01};
  }
}

}  // namespace
}  // namespace casemate::attest
