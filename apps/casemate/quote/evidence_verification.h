// Verifies whatever kind of evidence a file holds, with whatever endorsements came along.
#pragma once

#include <optional>

#include "attest/result.h"
#include "attest/trust_anchors.h"
#include "casemate/quote/evidence_files.h"

namespace casemate::cli {

// `nonce`: what process evidence must be fresh for; nullopt when that does not matter.
attest::VerificationResult verify_evidence(const EvidenceCase& input, const std::optional<crypto::Bytes>& nonce,
                                           const attest::TrustAnchors& anchors, attest::Moment now);

}  // namespace casemate::cli
