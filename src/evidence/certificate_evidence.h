// Evidence inside of X.509 certificates (RA-TLS): the TCG DICE "tagged evidence" extension that we write, and the older
// ones of Gramine and Open Enclave that we read, too.
//   TCG, "DICE Attestation Architecture", conceptual message wrappers; Confidential Computing Consortium,
//   "Interoperable RA-TLS".
//
// What a hostile peer can do here: a certificate is self-signed, so all of it is the peer's. The evidence counts only
// after verification, and for this certificate only when its report data binds the certificate's key, which
// check_key_binding() decides. That does not make it fresh: bind a nonce where replay matters.
#pragma once

#include <optional>

#include "crypto/certificate.h"
#include "evidence/byte_reader.h"

namespace casemate::evidence {

inline constexpr std::string_view kTaggedEvidenceOid = "2.23.133.5.4.9";
inline constexpr std::uint64_t kTaggedEvidenceCborTag = 60000;

enum class CertificateEvidenceForm { kTaggedEvidence, kGramine, kOpenEnclave };

// Views are into the certificate.
struct CertificateEvidence {
  CertificateEvidenceForm form = CertificateEvidenceForm::kTaggedEvidence;
  ByteView evidence;  // quote or report
  // Of tagged evidence only:
  ByteView claims;                       // what the report data is the digest of
  std::uint64_t key_hash_algorithm = 0;  // IANA named information: 1 SHA-256, 7 SHA-384, 8 SHA-512
  ByteView key_hash;
  std::optional<ByteView> nonce;
};

// The evidence of `certificate`; nullopt when it has none. Errors: kFormat for an extension that is malformed.
Result<std::optional<CertificateEvidence>> find_certificate_evidence(const crypto::Certificate& certificate);

// Claims of tagged evidence for a key (SubjectPublicKeyInfo in DER), with SHA-256. Their digest is what the report data
// must begin with.
Bytes build_evidence_claims(ByteView subject_public_key_info, std::optional<ByteView> nonce);
FixedBytes<64> report_data_for_claims(ByteView claims);
crypto::CertificateExtension build_tagged_evidence(ByteView evidence, ByteView claims);

// That `report_data` (of the verified evidence) speaks for `certificate`'s key. Errors: kFormat with what does not fit.
Result<void> check_key_binding(const CertificateEvidence& evidence, const crypto::Certificate& certificate,
                               const FixedBytes<64>& report_data);

}  // namespace casemate::evidence
