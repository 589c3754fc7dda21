// Verification of what a local attestation service says about one process (evidence/simulation.h): its statement, and
// for tdx and snp also the hardware's evidence for its key.
//
// What a hostile host can do here: in simulation, everything; the key that signed is therefore part of the result, and
// appraisal refuses keys that nobody pinned. With hardware, the LAS key counts only through the node's quote.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <shared_mutex>

#include "attest/dcap_collateral.h"
#include "attest/result.h"
#include "attest/snp_verifier.h"
#include "attest/trust_anchors.h"

namespace casemate::attest {

// Verdicts about node parts: all processes of a node show the same one for minutes, and a quote with its chain costs
// ten times what the process's statement costs. Kept are good verdicts only, for ten minutes at most and no longer than
// everything in them is valid. Threads: any.
//
// Requires: one object for one set of anchors and collateral.
class NodeVerdicts {
 public:
  using Key = std::array<std::byte, 32>;
  std::optional<VerificationResult> find(const Key& key, Moment now) const;
  void keep(const Key& key, const VerificationResult& result, Moment now);

 private:
  struct Kept {
    VerificationResult result;
    Moment at = 0;
  };
  mutable std::shared_mutex mutex_;
  std::map<Key, Kept> kept_;
};

struct NodeEndorsements {
  const PreparedDcapCollateral* dcap = nullptr;
  // Besides those in the node part's certificate table.
  SnpEndorsements snp;
  NodeVerdicts* verdicts = nullptr;  // null: each is made anew
};

// `nonce`: what the evidence must be fresh for; nullptr when the caller only wants to look. Never fails otherwise than
// by its result.
VerificationResult verify_process_evidence(crypto::ByteView evidence, const crypto::Bytes* nonce,
                                           const NodeEndorsements& endorsements, const TrustAnchors& anchors,
                                           Moment now);

}  // namespace casemate::attest
