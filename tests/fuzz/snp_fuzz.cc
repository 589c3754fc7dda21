// Fuzzes SEV-SNP reports and the certificate tables that come beside them. The first 1184 bytes are the report, the
// rest is the table.
#include "attest/snp_verifier.h"
#include "evidence/snp_report.h"
#include "evidence_fuzz.h"

using namespace casemate;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const crypto::ByteView input = fuzz::as_input(data, size);
  const crypto::ByteView report = input.first(std::min(size, evidence::kSnpReportSize));
  const auto table = attest::parse_snp_certificate_table(input.subspan(report.size()));
  const attest::SnpEndorsements endorsements = table ? table.value() : attest::SnpEndorsements();
  for (const crypto::Bytes& certificate : endorsements.certificates) {
    fuzz::require("certificates lie in the table", certificate.size() <= size);
  }
  if (const auto parsed = evidence::parse_snp_report(report)) {
    const auto again = evidence::parse_snp_report(evidence::build(parsed.value()));
    fuzz::require("reports parse again", again && again.value().measurement == parsed.value().measurement);
  }
  const auto result = attest::verify_snp_report(report, endorsements, attest::vendor_anchors(), 1'750'000'000);
  fuzz::require("invented reports do not verify", result.conclusion != attest::Conclusion::kVerified);
  return 0;
}
