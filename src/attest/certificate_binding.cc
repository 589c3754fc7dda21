#include "attest/certificate_binding.h"

#include <algorithm>

#include "attest/certificate_chain.h"

namespace casemate::attest {
namespace {

evidence::FixedBytes<64> report_data_of(const VerificationResult& result) {
  evidence::FixedBytes<64> report_data{};
  const auto found = std::ranges::find(result.measurements, "report_data", &Measurement::name);
  if (found == result.measurements.end()) return report_data;
  const Result<crypto::Bytes> bytes = crypto::from_hex(std::get<std::string>(found->value));
  if (bytes && bytes.value().size() == report_data.size()) std::ranges::copy(bytes.value(), report_data.begin());
  return report_data;
}

}  // namespace

void require_key_binding(VerificationResult& result, const evidence::CertificateEvidence& evidence,
                         const crypto::Certificate& certificate, Moment now) {
  if (result.conclusion == Conclusion::kParseError) return;
  const Result<void> bound = evidence::check_key_binding(evidence, certificate, report_data_of(result));
  result.checks.require("certificate: its key is bound by the report data", bound.has_value(), "the key's digest",
                        bound ? "the key's digest" : bound.error().message());
  const bool is_signed = certificate.is_self_issued() && certificate.is_signed_by(certificate.public_key());
  result.checks.require("certificate: signed with its own key", is_signed, "a good signature",
                        is_signed ? "a good signature" : "another one");
  check_dates(result.checks, result.window, {{"the certificate", certificate.not_before(), certificate.not_after()}},
              now);
  if (evidence.nonce) result.measurements.push_back({"certificate_nonce", crypto::to_hex(*evidence.nonce)});
  if (!result.checks.all_passed()) result.conclusion = Conclusion::kInvalid;
}

}  // namespace casemate::attest
