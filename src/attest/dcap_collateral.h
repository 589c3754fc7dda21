// The collateral of DCAP quotes: TCB info, QE identity, revocation lists and the chains that sign them, as Intel's
// provisioning certification service (PCS) and its caches (PCCS) deliver them.
//
// Two steps: parse_dcap_collateral() reads a container; prepare() checks everything that does not depend on the time or
// on a quote, once, so that many quotes can be judged with it.
//
// What a hostile peer can do here: collateral comes through the attester, caches and files, so every byte is suspect.
// Signed JSON is checked over its exact bytes; nothing is used before its signature and chain are good; a missing part
// is a failed check, except for revocation lists, whose absence is recorded for the appraisal to refuse.
#pragma once

#include <optional>
#include <string>

#include "attest/certificate_chain.h"
#include "attest/result.h"
#include "attest/tcb_info.h"
#include "attest/trust_anchors.h"

namespace casemate::attest {

struct DcapCollateral {
  std::optional<std::string> pck_crl_issuer_chain;  // PEM
  std::optional<std::string> root_crl, pck_crl;     // DER, or text of it: see decode_revocation_list
  std::optional<std::string> tcb_info_issuer_chain;
  std::optional<std::string> tcb_info;  // the signed bytes themselves, or PCS's {"tcbInfo": ..., "signature": ...}
  std::optional<std::string> tcb_info_signature;  // hexadecimal r || s
  std::optional<std::string> qe_identity_issuer_chain;
  std::optional<std::string> qe_identity;  // as tcb_info, with "enclaveIdentity"
  std::optional<std::string> qe_identity_signature;
};

// A JSON object with these names as members (null: absent; root_crl is called root_ca_crl). Other members are ignored.
// Errors: kFormat.
Result<DcapCollateral> parse_dcap_collateral(std::string_view json);
// The same form, which parse_dcap_collateral reads: for caches and export.
std::string to_json(const DcapCollateral& collateral);

// DER, hexadecimal digits of DER (PCCS), base64 or PEM. Errors: kFormat.
Result<crypto::RevocationList> decode_revocation_list(std::string_view text);

// Immutable once made: may be used from any threads. Not copyable, because paths point into it.
class PreparedDcapCollateral {
 public:
  static std::shared_ptr<const PreparedDcapCollateral> prepare(const DcapCollateral& collateral,
                                                               const TrustAnchors& anchors);
  PreparedDcapCollateral(const PreparedDcapCollateral&) = delete;
  PreparedDcapCollateral& operator=(const PreparedDcapCollateral&) = delete;

  // What was found out when preparing. Verification repeats these in its result.
  const CheckList& checks() const { return checks_; }
  const std::vector<DatedPart>& dated_parts() const { return dated_parts_; }
  // Each absent when missing or malformed; then checks() has a failure (a revocation list: or a skipped check).
  const std::optional<TcbInfo>& tcb_info() const { return tcb_info_; }
  const std::optional<QeIdentity>& qe_identity() const { return qe_identity_; }
  const std::optional<crypto::RevocationList>& root_crl() const { return root_crl_; }
  const std::optional<crypto::RevocationList>& pck_crl() const { return pck_crl_; }
  // The authority whose key is known to have signed the PCK revocation list; nullptr when no chain came with it.
  const crypto::Certificate* pck_crl_signer() const { return pck_crl_signer_; }
  const std::vector<crypto::Certificate>& pck_crl_issuer_chain() const { return pck_crl_certificates_; }

 private:
  PreparedDcapCollateral() = default;
  // In order: the revocation lists come first, because signers are looked up in them.
  void prepare_root_crl(const DcapCollateral& collateral, const TrustAnchors& anchors);
  void prepare_pck_crl(const DcapCollateral& collateral, const TrustAnchors& anchors);
  void prepare_tcb_info(const DcapCollateral& collateral, const TrustAnchors& anchors);
  void prepare_qe_identity(const DcapCollateral& collateral, const TrustAnchors& anchors);
  void require_not_revoked(const std::string& part, const CertificatePath& path);

  struct SignedText;
  // True when the signature is good; the exact signed text is then in `signed_text`.
  bool check_signed_text(const SignedText& text, const TrustAnchors& anchors,
                         std::vector<crypto::Certificate>& certificates, Moment issue_date);

  CheckList checks_;
  std::vector<DatedPart> dated_parts_;
  std::vector<crypto::Certificate> root_certificates_, pck_crl_certificates_, tcb_info_certificates_,
      qe_identity_certificates_;
  std::optional<crypto::RevocationList> root_crl_, pck_crl_;
  const crypto::Certificate* pck_crl_signer_ = nullptr;
  std::optional<TcbInfo> tcb_info_;
  std::optional<QeIdentity> qe_identity_;
};

}  // namespace casemate::attest
