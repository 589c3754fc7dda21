// The vendor's own evidence inside of what a file holds: that is what collateral belongs to.
#pragma once

#include "casemate/quote/evidence_files.h"

namespace casemate::cli {

struct HardwarePart {
  EvidenceKind kind = EvidenceKind::kUnknown;  // kDcapQuote, kSnpReport, or kUnknown when there is none
  crypto::Bytes bytes;
};

// Of quotes and reports themselves, certificates with evidence, HCL reports with an SNP report, and process evidence
// with a node part. Never fails: what cannot be read has none.
HardwarePart hardware_part(const EvidenceCase& input);

}  // namespace casemate::cli
