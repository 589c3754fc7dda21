// RA-TLS: that verified evidence from a certificate speaks for that certificate's key, and that the certificate is in
// date and signed with this key (evidence/certificate_evidence.h).
#pragma once

#include "attest/result.h"
#include "evidence/certificate_evidence.h"

namespace casemate::attest {

// Adds checks to `result`, which becomes kInvalid when one fails. Certificates that others issued are refused: who
// vouches for a key is the evidence, and nobody else.
void require_key_binding(VerificationResult& result, const evidence::CertificateEvidence& evidence,
                         const crypto::Certificate& certificate, Moment now);

}  // namespace casemate::attest
