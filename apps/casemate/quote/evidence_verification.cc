#include "casemate/quote/evidence_verification.h"

#include "attest/certificate_binding.h"
#include "attest/dcap_verifier.h"
#include "attest/hcl_binding.h"
#include "attest/process_verifier.h"
#include "evidence/certificate_evidence.h"
#include "evidence/hcl_report.h"

namespace casemate::cli {
namespace {

using attest::Conclusion;
using attest::Moment;
using attest::TrustAnchors;
using attest::VerificationResult;
using crypto::ByteView;

VerificationResult unreadable(const std::string& why) {
  VerificationResult result;
  result.conclusion = Conclusion::kParseError;
  result.parse_error = why;
  return result;
}

class Verifier {
 public:
  Verifier(const EvidenceCase& input, const std::optional<crypto::Bytes>& nonce, const TrustAnchors& anchors,
           Moment now)
      : input_(input), nonce_(nonce), anchors_(anchors), now_(now) {
    if (input.dcap) prepared_ = attest::PreparedDcapCollateral::prepare(*input.dcap, anchors);
  }

  VerificationResult verify(ByteView bytes, EvidenceKind kind) const {
    switch (kind) {
      case EvidenceKind::kDcapQuote:
        return attest::verify_dcap_quote(without_open_enclave_header(bytes), prepared_.get(), anchors_, now_);
      case EvidenceKind::kSnpReport:
        return attest::verify_snp_report(bytes, input_.snp, anchors_, now_);
      case EvidenceKind::kProcessEvidence:
        return attest::verify_process_evidence(bytes, nonce_ ? &*nonce_ : nullptr, {prepared_.get(), input_.snp},
                                               anchors_, now_);
      case EvidenceKind::kHclReport:
        return verify_hcl(bytes);
      case EvidenceKind::kCertificate:
        return verify_certificate(bytes);
      case EvidenceKind::kTdReport:
      case EvidenceKind::kSgxReport:
        return unreadable("a local report, which only the machine that made it can check; get a quote for it");
      default:
        return unreadable("neither a quote nor a report nor process evidence nor a certificate with one of these");
    }
  }

 private:
  // The wrapper's SNP report, and that it speaks for the runtime data around it.
  VerificationResult verify_hcl(ByteView bytes) const {
    const Result<evidence::HclReport> hcl = evidence::parse_hcl_report(bytes);
    if (!hcl) return unreadable(hcl.error().message());
    if (hcl.value().type != evidence::HclReportType::kSnp) {
      return unreadable("an HCL report with a TDREPORT: verify the TD quote, with --hcl for this file");
    }
    VerificationResult result = attest::verify_snp_report(hcl.value().hardware_report, input_.snp, anchors_, now_);
    attest::require_runtime_data(result, hcl.value());
    return result;
  }

  // The evidence inside, and that it speaks for the certificate's key.
  VerificationResult verify_certificate(ByteView bytes) const {
    const Result<crypto::Certificate> certificate = read_certificate(crypto::to_bytes(bytes));
    if (!certificate) return unreadable(certificate.error().message());
    const auto found = evidence::find_certificate_evidence(certificate.value());
    if (!found) return unreadable(found.error().message());
    if (!found.value()) return unreadable("a certificate without evidence");
    const ByteView inner = found.value()->evidence;
    const EvidenceKind kind = kind_of_evidence(inner);
    if (kind != EvidenceKind::kDcapQuote && kind != EvidenceKind::kSnpReport) {
      return unreadable("a certificate with evidence that is neither a quote nor an SNP report");
    }
    VerificationResult result = verify(inner, kind);
    attest::require_key_binding(result, *found.value(), certificate.value(), now_);
    return result;
  }

  const EvidenceCase& input_;
  const std::optional<crypto::Bytes>& nonce_;
  const TrustAnchors& anchors_;
  Moment now_;
  std::shared_ptr<const attest::PreparedDcapCollateral> prepared_;
};

}  // namespace

VerificationResult verify_evidence(const EvidenceCase& input, const std::optional<crypto::Bytes>& nonce,
                                   const TrustAnchors& anchors, Moment now) {
  VerificationResult result = Verifier(input, nonce, anchors, now).verify(input.evidence, input.kind);
  if (!input.collateral_problem.empty() && result.conclusion != Conclusion::kParseError) {
    result.checks.fail("collateral: format", "a JSON object with its parts", input.collateral_problem);
    result.conclusion = Conclusion::kInvalid;
  }
  return result;
}

}  // namespace casemate::cli
