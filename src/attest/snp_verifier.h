// Verification of SEV-SNP reports (AMD "SEV-SNP attestation: establishing trust in guests", "VCEK Certificate and KDS
// Interface Specification"): chain ARK - ASK or ASVK - VCEK or VLEK, signature, security versions, chip.
//
// What a hostile peer can do here: report and certificates are the peer's. The root is pinned per processor generation,
// the generation follows from the leaf certificate and, where the report names the processor, must agree with it.
#pragma once

#include <vector>

#include "attest/result.h"
#include "attest/trust_anchors.h"
#include "crypto/bytes.h"

namespace casemate::attest {

struct SnpEndorsements {
  // DER, in any order: leaf (VCEK or VLEK), ASK or ASVK, ARK.
  std::vector<crypto::Bytes> certificates;
  // DER, from AMD's key distribution service; may be empty, which the result says.
  std::vector<crypto::Bytes> revocation_lists;
};

// `report`: the bare report of 1184 bytes. `now`: the moment to judge for. Never fails otherwise than by its result.
VerificationResult verify_snp_report(crypto::ByteView report, const SnpEndorsements& endorsements,
                                     const TrustAnchors& anchors, Moment now);

// The certificate table that the kernel gives beside a report (GHCB specification, "extended report"): entries of GUID,
// offset, size. Certificates and revocation lists go where they belong; unknown entries are skipped. Errors: kFormat.
Result<SnpEndorsements> parse_snp_certificate_table(crypto::ByteView table);

}  // namespace casemate::attest
