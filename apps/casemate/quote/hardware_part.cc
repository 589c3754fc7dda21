#include "casemate/quote/hardware_part.h"

#include "evidence/certificate_evidence.h"
#include "evidence/hcl_report.h"
#include "evidence/simulation.h"

namespace casemate::cli {
namespace {

using crypto::ByteView;

HardwarePart part_of(ByteView bytes) {
  const EvidenceKind kind = kind_of_evidence(bytes);
  if (kind == EvidenceKind::kDcapQuote) return {kind, crypto::to_bytes(without_open_enclave_header(bytes))};
  if (kind == EvidenceKind::kSnpReport) return {kind, crypto::to_bytes(bytes)};
  return {};
}

HardwarePart part_of_certificate(const crypto::Bytes& bytes) {
  const Result<crypto::Certificate> certificate = read_certificate(bytes);
  if (!certificate) return {};
  const auto found = evidence::find_certificate_evidence(certificate.value());
  return found && found.value() ? part_of(found.value()->evidence) : HardwarePart();
}

HardwarePart part_of_process_evidence(ByteView bytes) {
  const Result<evidence::ProcessEvidence> process = evidence::parse_process_evidence(bytes);
  return process && process.value().node ? part_of(process.value().node->quote) : HardwarePart();
}

}  // namespace

HardwarePart hardware_part(const EvidenceCase& input) {
  switch (input.kind) {
    case EvidenceKind::kCertificate:
      return part_of_certificate(input.evidence);
    case EvidenceKind::kProcessEvidence:
      return part_of_process_evidence(input.evidence);
    case EvidenceKind::kHclReport: {
      const Result<evidence::HclReport> hcl = evidence::parse_hcl_report(input.evidence);
      return hcl && hcl.value().type == evidence::HclReportType::kSnp ? part_of(hcl.value().hardware_report)
                                                                      : HardwarePart();
    }
    default:
      return part_of(input.evidence);
  }
}

}  // namespace casemate::cli
