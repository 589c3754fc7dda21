// Verification of DCAP quotes as Intel specifies it ("Intel SGX TDX DCAP quote verification library", section 4.1.2):
// certificates, revocation, quoting enclave, signatures, TCB, dates.
//
// What a hostile peer can do here: the quote and its collateral are the peer's. Nothing counts before the chain to the
// pinned root, every check is recorded, and only kVerified carries a TCB status.
#pragma once

#include <memory>

#include "attest/dcap_collateral.h"
#include "attest/result.h"
#include "attest/trust_anchors.h"
#include "crypto/bytes.h"

namespace casemate::attest {

// `collateral`: nullptr leaves revocation and TCB undecided (kStaticOnly at best). `now`: the moment to judge for.
// Never fails otherwise than by its result. Threads: any. Cost: five ECDSA verifications besides prepare().
VerificationResult verify_dcap_quote(crypto::ByteView quote, const PreparedDcapCollateral* collateral,
                                     const TrustAnchors& anchors, Moment now);

}  // namespace casemate::attest
