#include "attest/dcap_verifier.h"

#include <algorithm>

#include "attest/dcap_tcb.h"
#include "attest/measurements.h"
#include "crypto/hash.h"
#include "evidence/dcap_quote.h"
#include "evidence/pck_extension.h"

namespace casemate::attest {
namespace {

using crypto::Certificate;
using crypto::SignatureScheme;
using crypto::to_hex;
using evidence::CertificationDataType;
using evidence::DcapQuote;
using evidence::PckExtension;

const char* good_or_bad(bool is_good) { return is_good ? "a good one" : "a wrong one"; }

// One verification: the quote, what was found out on the way, and the result.
class DcapVerification {
 public:
  DcapVerification(const DcapQuote& quote, const PreparedDcapCollateral* collateral, const TrustAnchors& anchors,
                   Moment now)
      : quote_(quote), collateral_(collateral), anchors_(anchors), now_(now) {}

  VerificationResult run() {
    describe();
    check_header();
    check_pck_chain();
    check_signatures();
    if (collateral_ != nullptr) {
      result_.checks.append(collateral_->checks());
      append_collateral_dates();
      check_revocation();
      check_tcb_info();
      check_tdx_module();
      check_qe_identity();
    }
    check_dates(result_.checks, result_.window, dated_parts_, now_);
    conclude();
    return std::move(result_);
  }

 private:
  void describe();
  void check_header();
  void check_pck_chain();
  bool read_certificates();
  void read_pck_extension();
  void check_signatures();
  void append_collateral_dates();
  void check_revocation();
  void check_pck_crl(const crypto::RevocationList& list);
  void check_tcb_info();
  void check_tdx_module();
  void check_qe_identity();
  void conclude();

  CheckList& checks() { return result_.checks; }

  const DcapQuote& quote_;
  const PreparedDcapCollateral* collateral_;
  const TrustAnchors& anchors_;
  Moment now_;
  VerificationResult result_;
  std::vector<Certificate> certificates_;
  CertificatePath pck_path_;
  std::optional<PckExtension> pck_;
  std::vector<DatedPart> dated_parts_;
};

void DcapVerification::describe() {
  result_.platform = quote_.is_tdx() ? Platform::kTdx : Platform::kSgx;
  result_.format = std::string(quote_.is_tdx() ? "tdx" : "sgx") + "-quote-v" + std::to_string(quote_.header.version);
  result_.trailing_size = quote_.trailing_size;
  if (const evidence::SgxReportBody* body = quote_.sgx()) {
    result_.measurements = measurements_of(*body);
    result_.is_debug = body->is_debug();
  }
  if (const evidence::TdReportBody* body = quote_.tdx()) {
    result_.measurements = measurements_of(*body);
    result_.is_debug = body->is_debug();
    result_.sept_ve_disabled = (body->attribute_bits() & evidence::kTdAttributeSeptVeDisable) != 0;
  }
}

void DcapVerification::check_header() {
  checks().require("quoting enclave's vendor", quote_.header.qe_vendor == evidence::kIntelQuotingEnclaveVendor,
                   to_hex(evidence::kIntelQuotingEnclaveVendor), to_hex(quote_.header.qe_vendor));
}

// Fills certificates_; the leaf is then the one that is named so.
bool DcapVerification::read_certificates() {
  const auto type = quote_.certification_type;
  const bool is_chain = type == CertificationDataType::kPckChain || type == CertificationDataType::kPckLeaf;
  if (!checks().require("certification data", is_chain, "type 5, a PCK certificate chain",
                        "type " + std::to_string(static_cast<unsigned>(type)))) {
    return false;
  }
  Result<std::vector<Certificate>> certificates = Certificate::from_pem(crypto::as_text(quote_.certification_data));
  if (!certificates) return checks().fail("PCK chain: format", "certificates", certificates.error().message());
  certificates_ = std::move(certificates).value();
  if (type == CertificationDataType::kPckChain) return true;
  if (!checks().require("PCK leaf alone", certificates_.size() == 1, "one certificate",
                        std::to_string(certificates_.size()) + " of them")) {
    return false;
  }
  // It needs the rest of its path from the collateral.
  if (collateral_ != nullptr) {
    const auto& more = collateral_->pck_crl_issuer_chain();
    certificates_.insert(certificates_.end(), more.begin(), more.end());
  }
  return true;
}

void DcapVerification::check_pck_chain() {
  if (!read_certificates()) return;
  const std::string leaf_name = "SGX PCK Certificate";
  const auto is_leaf = [&](const Certificate& certificate) {
    return certificate.subject().common_name.find(leaf_name) != std::string::npos;
  };
  const auto leaf = std::ranges::find_if(certificates_, is_leaf);
  const auto count = std::ranges::count_if(certificates_, is_leaf);
  if (!checks().require("PCK chain: leaf", count == 1, "one certificate \"" + leaf_name + "\"",
                        std::to_string(count) + " of them")) {
    return;
  }
  const PathRules rules{"PCK", leaf_name, {"CA", "SGX Root CA"}, evidence::kPckExtensionOid, std::nullopt};
  pck_path_ = build_path(checks(), *leaf, certificates_, anchors_.intel_sgx_root, rules);
  if (!pck_path_.is_complete()) return;
  append_dates(dated_parts_, pck_path_, "PCK chain's");
  read_pck_extension();
}

void DcapVerification::read_pck_extension() {
  const crypto::CertificateExtension* extension = pck_path_.leaf().extension(evidence::kPckExtensionOid);
  Result<PckExtension> parsed = extension != nullptr
                                    ? evidence::parse_pck_extension(extension->value)
                                    : Result<PckExtension>(Error(ErrorCategory::kFormat, "it is missing"));
  checks().require("PCK certificate: SGX extension", parsed.has_value(), "Intel's structure",
                   parsed ? "Intel's structure" : parsed.error().message());
  if (!parsed) return;
  pck_ = parsed.value();
  result_.fmspc = to_hex(pck_->fmspc);
  result_.platform_id = pck_->platform_instance_id ? to_hex(*pck_->platform_instance_id) : to_hex(pck_->ppid);
}

void DcapVerification::check_signatures() {
  if (pck_path_.is_complete()) {
    const bool is_good = pck_path_.leaf().public_key().verify(SignatureScheme::kEcdsaP256Sha256, quote_.qe_report_bytes,
                                                              quote_.qe_report_signature);
    checks().require("QE report: signature", is_good, "one by the PCK certificate's key", good_or_bad(is_good));
  } else {
    checks().skip("QE report: signature", "there is no trusted PCK certificate");
  }
  crypto::Sha256 hash;
  hash.update(quote_.attestation_key);
  hash.update(quote_.qe_authentication_data);
  evidence::Bytes bound = crypto::to_bytes(hash.finish());
  bound.resize(quote_.qe_report.report_data.size());
  checks().require("QE report: binds the attestation key", crypto::equal(bound, quote_.qe_report.report_data),
                   to_hex(bound), to_hex(quote_.qe_report.report_data));
  Result<crypto::PublicKey> key = crypto::PublicKey::from_point(crypto::KeyKind::kEcP256, quote_.attestation_key);
  const bool is_good =
      key && key.value().verify(SignatureScheme::kEcdsaP256Sha256, quote_.signed_bytes, quote_.signature);
  checks().require("quote: signature", is_good, "one by the attestation key", good_or_bad(is_good));
}

void DcapVerification::append_collateral_dates() {
  const std::vector<DatedPart>& parts = collateral_->dated_parts();
  dated_parts_.insert(dated_parts_.end(), parts.begin(), parts.end());
}

void DcapVerification::check_revocation() {
  if (!pck_path_.is_complete()) return checks().skip("PCK: not revoked", "there is no trusted PCK certificate");
  if (collateral_->root_crl()) {
    const bool is_listed = collateral_->root_crl()->lists(pck_path_.issuer().serial());
    checks().require("PCK authority: not revoked", !is_listed, "not on the root revocation list",
                     is_listed ? "listed" : "not listed");
  }
  if (collateral_->pck_crl()) check_pck_crl(*collateral_->pck_crl());
  result_.revocation_checked = collateral_->root_crl() && collateral_->pck_crl();
}

void DcapVerification::check_pck_crl(const crypto::RevocationList& list) {
  const Certificate& authority = pck_path_.issuer();
  const bool is_issuer =
      checks().require("PCK revocation list: speaks for the PCK's authority", list.issuer() == authority.subject(),
                       "\"" + authority.subject().common_name + "\"", "\"" + list.issuer().common_name + "\"");
  if (!is_issuer) return;
  const Certificate* signer = collateral_->pck_crl_signer();
  const bool is_known =
      signer != nullptr && crypto::equal(signer->subject_public_key_info(), authority.subject_public_key_info());
  const bool is_good = is_known || list.is_signed_by(authority.public_key());
  checks().require("PCK revocation list: signed by the PCK's authority", is_good, "its signature",
                   good_or_bad(is_good));
  checks().require("PCK revocation list: whole", list.unknown_critical_extensions().empty(),
                   "no critical extension that limits it",
                   list.unknown_critical_extensions().empty() ? "none" : list.unknown_critical_extensions()[0]);
  const bool is_listed = list.lists(pck_path_.leaf().serial());
  checks().require("PCK: not revoked", !is_listed, "not on the PCK revocation list",
                   is_listed ? "listed" : "not listed");
}

void DcapVerification::check_tcb_info() {
  const std::optional<TcbInfo>& info = collateral_->tcb_info();
  if (!info) return checks().skip("TCB info: for this platform", "there is no good TCB info");
  result_.tcb_evaluation_data_number = info->evaluation_data_number;
  const std::string wanted = quote_.is_tdx() ? "TDX" : "SGX";
  checks().require("TCB info: kind of TEE", info->id == wanted, wanted, info->id);
  if (!pck_) return checks().skip("TCB info: for this platform", "there is no trusted PCK certificate");
  checks().require("TCB info: FMSPC", crypto::equal(info->fmspc, pck_->fmspc), to_hex(pck_->fmspc),
                   to_hex(info->fmspc));
  checks().require("TCB info: PCE-ID", crypto::equal(info->pce_id, pck_->pce_id), to_hex(pck_->pce_id),
                   to_hex(info->pce_id));
}

void DcapVerification::check_tdx_module() {
  const evidence::TdReportBody* td = quote_.tdx();
  const std::optional<TcbInfo>& info = collateral_->tcb_info();
  if (td == nullptr || !info || !info->tdx_module) return;
  const auto major = std::to_integer<std::uint8_t>(td->tee_tcb_svn[1]);
  const TdxModule* module = &*info->tdx_module;
  if (major > 0) {
    const TdxModuleIdentity* identity = info->find_module_identity(major);
    if (!checks().require("TDX module: identity", identity != nullptr,
                          "one of major version " + std::to_string(major) + " in the TCB info",
                          identity != nullptr ? identity->id : "none")) {
      return;
    }
    module = &identity->module;
  }
  checks().require("TDX module: MRSIGNERSEAM", crypto::equal(td->mr_signer_seam, module->mr_signer),
                   to_hex(module->mr_signer), to_hex(td->mr_signer_seam));
  const bool is_good =
      crypto::is_all_zero(td->seam_attributes) && crypto::equal(td->seam_attributes, module->attributes);
  checks().require("TDX module: SEAMATTRIBUTES", is_good, to_hex(module->attributes) + " and zero",
                   to_hex(td->seam_attributes));
}

void DcapVerification::check_qe_identity() {
  const std::optional<QeIdentity>& identity = collateral_->qe_identity();
  if (!identity) return checks().skip("QE identity: fits the QE report", "there is no good QE identity");
  const evidence::SgxReportBody& report = quote_.qe_report;
  const std::string wanted = quote_.is_tdx() ? "TD_QE" : "QE";
  checks().require("QE identity: kind of QE", identity->id == wanted, wanted, identity->id);
  const std::uint32_t misc_select = report.misc_select & identity->misc_select_mask;
  checks().require("QE identity: MISCSELECT", misc_select == identity->misc_select,
                   std::to_string(identity->misc_select), std::to_string(misc_select));
  evidence::Bytes attributes = crypto::to_bytes(report.attributes);
  for (std::size_t i = 0; i < attributes.size(); ++i) attributes[i] &= identity->attributes_mask[i];
  checks().require("QE identity: ATTRIBUTES", attributes == identity->attributes, to_hex(identity->attributes),
                   to_hex(attributes));
  checks().require("QE identity: MRSIGNER", crypto::equal(report.mr_signer, identity->mr_signer),
                   to_hex(identity->mr_signer), to_hex(report.mr_signer));
  checks().require("QE identity: ISVPRODID", report.isv_product_id == identity->isv_product_id,
                   std::to_string(identity->isv_product_id), std::to_string(report.isv_product_id));
}

void DcapVerification::conclude() {
  if (!checks().all_passed()) {
    result_.conclusion = Conclusion::kInvalid;
    return;
  }
  if (collateral_ == nullptr) {
    result_.conclusion = Conclusion::kStaticOnly;
    return;
  }
  // All checks passed, so these are there.
  const TcbEvaluation evaluation = evaluate_tcb(quote_, *pck_, *collateral_->tcb_info(), *collateral_->qe_identity());
  result_.conclusion = Conclusion::kVerified;
  result_.tcb_status = evaluation.status;
  result_.platform_tcb_status = evaluation.platform;
  result_.qe_tcb_status = evaluation.quoting_enclave;
  result_.tdx_module_tcb_status = evaluation.tdx_module;
  result_.tcb_date = evaluation.date;
  result_.advisories = evaluation.advisories;
}

}  // namespace

VerificationResult verify_dcap_quote(crypto::ByteView bytes, const PreparedDcapCollateral* collateral,
                                     const TrustAnchors& anchors, Moment now) {
  const Result<DcapQuote> quote = evidence::parse_dcap_quote(bytes);
  if (!quote) {
    VerificationResult result;
    result.conclusion = Conclusion::kParseError;
    result.parse_error = quote.error().message();
    return result;
  }
  return DcapVerification(quote.value(), collateral, anchors, now).run();
}

}  // namespace casemate::attest
