// Verification of what a local attestation service says about one process (evidence/simulation.h): its statement, and
// for tdx and snp also the hardware's evidence for its key.
//
// What a hostile host can do here: in simulation, everything; the key that signed is therefore part of the result, and
// appraisal refuses keys that nobody pinned. With hardware, the LAS key counts only through the node's quote.
#pragma once

#include "attest/dcap_collateral.h"
#include "attest/result.h"
#include "attest/snp_verifier.h"
#include "attest/trust_anchors.h"

namespace casemate::attest {

struct NodeEndorsements {
  const PreparedDcapCollateral* dcap = nullptr;
  // Besides those in the node part's certificate table.
  SnpEndorsements snp;
};

// `nonce`: what the evidence must be fresh for; nullptr when the caller only wants to look. Never fails otherwise than
// by its result.
VerificationResult verify_process_evidence(crypto::ByteView evidence, const crypto::Bytes* nonce,
                                           const NodeEndorsements& endorsements, const TrustAnchors& anchors,
                                           Moment now);

}  // namespace casemate::attest
