#include "attest/dcap_collateral.h"

#include <algorithm>
#include <array>

#include "attest/strict_json.h"

namespace casemate::attest {
namespace {

using crypto::Certificate;
using crypto::KeyUsage;
using crypto::RevocationList;

struct MemberName {
  const char* name;
  std::optional<std::string> DcapCollateral::*member;
};
constexpr std::array kMembers = {
    MemberName{"pck_crl_issuer_chain", &DcapCollateral::pck_crl_issuer_chain},
    MemberName{"root_ca_crl", &DcapCollateral::root_crl},
    MemberName{"pck_crl", &DcapCollateral::pck_crl},
    MemberName{"tcb_info_issuer_chain", &DcapCollateral::tcb_info_issuer_chain},
    MemberName{"tcb_info", &DcapCollateral::tcb_info},
    MemberName{"tcb_info_signature", &DcapCollateral::tcb_info_signature},
    MemberName{"qe_identity_issuer_chain", &DcapCollateral::qe_identity_issuer_chain},
    MemberName{"qe_identity", &DcapCollateral::qe_identity},
    MemberName{"qe_identity_signature", &DcapCollateral::qe_identity_signature},
};

// A SEQUENCE of more than 127 bytes: its second byte is no character of the text forms.
bool is_der(std::string_view text) { return text.size() > 2 && text[0] == '\x30' && (text[1] & 0x80) != 0; }

// Hexadecimal digits, possibly of a text that is itself one of the accepted forms (some caches encode twice).
Result<crypto::Bytes> der_from_text(std::string_view text, int depth = 0) {
  while (!text.empty() && (text.back() == '\0' || text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  if (text.starts_with("-----BEGIN")) {
    std::vector<crypto::Bytes> blocks = CASEMATE_TRY(crypto::from_pem(text, "X509 CRL"));
    if (blocks.size() != 1) return Error(ErrorCategory::kFormat, "more than one revocation list");
    return std::move(blocks.front());
  }
  Result<crypto::Bytes> digits = crypto::from_hex(text);
  if (digits && !digits.value().empty()) {
    const std::string_view inner = crypto::as_text(digits.value());
    const bool is_text_again = depth == 0 && std::ranges::all_of(inner, [](char c) { return c >= ' ' && c < 127; });
    return is_text_again ? der_from_text(inner, depth + 1) : digits;
  }
  return crypto::from_base64(text);
}

// The candidate that signs statements: not an authority, named so; the one valid at `moment` where there are several.
const Certificate* find_signer(const std::vector<Certificate>& certificates, const std::string& name, Moment moment) {
  const Certificate* found = nullptr;
  for (const Certificate& certificate : certificates) {
    if (certificate.is_authority() || certificate.subject().common_name.find(name) == std::string::npos) continue;
    const bool is_valid = certificate.not_before() <= moment && moment <= certificate.not_after();
    if (found == nullptr || is_valid) found = &certificate;
    if (is_valid) break;
  }
  return found;
}

// Splits PCS's {"tcbInfo": {...}, "signature": "..."}; leaves a bare value alone.
struct TextAndSignature {
  std::string text, signature;
};
Result<TextAndSignature> split_signed(const std::string& text, const std::optional<std::string>& signature,
                                      const char* member) {
  const Json json = CASEMATE_TRY(parse_strict_json(text));
  if (!json.is_object() || !json.contains(member)) return TextAndSignature{text, signature.value_or("")};
  const JsonReader reader = CASEMATE_TRY(JsonReader::of(json, member));
  const std::string inner_signature = CASEMATE_TRY(reader.text("signature"));
  return TextAndSignature{std::string(CASEMATE_TRY(raw_member(text, member))), inner_signature};
}

// Records whether `list` may be used, apart from its dates.
bool check_revocation_list(CheckList& checks, const RevocationList& list, const Certificate& issuer,
                           const std::string& part) {
  bool good = checks.require(part + ": issuer", list.issuer() == issuer.subject(),
                             "\"" + issuer.subject().common_name + "\"", "\"" + list.issuer().common_name + "\"");
  good &= checks.require(part + ": signature", list.is_signed_by(issuer.public_key()),
                         "one by \"" + issuer.subject().common_name + "\"", good ? "its signature" : "another one");
  good &= checks.require(part + ": signer may sign lists", issuer.allows(KeyUsage::kRevocationListSign),
                         "a key for that", issuer.allows(KeyUsage::kRevocationListSign) ? "a key for that" : "another");
  good &= checks.require(part + ": whole list", list.unknown_critical_extensions().empty(),
                         "no critical extension that limits it",
                         list.unknown_critical_extensions().empty() ? "none" : list.unknown_critical_extensions()[0]);
  return good;
}

void add_dates(std::vector<DatedPart>& parts, const RevocationList& list, const std::string& part) {
  // Without nextUpdate nobody can tell a withheld newer list: such a list is never valid.
  parts.push_back({part, list.this_update(), list.next_update().value_or(list.this_update() - 1)});
}

}  // namespace

struct PreparedDcapCollateral::SignedText {
  std::string part;  // in checks
  std::string text;
  std::string signature;  // hexadecimal
  const std::optional<std::string>* issuer_chain;
};

Result<DcapCollateral> parse_dcap_collateral(std::string_view text) {
  const Json json = CASEMATE_TRY(parse_strict_json(text));
  const JsonReader reader = CASEMATE_TRY(JsonReader::of(json, "collateral"));
  DcapCollateral collateral;
  for (const MemberName& entry : kMembers) {
    if (!reader.has(entry.name) || json.at(entry.name).is_null()) continue;
    collateral.*entry.member = CASEMATE_TRY(reader.text(entry.name));
  }
  return collateral;
}

std::string to_json(const DcapCollateral& collateral) {
  Json json = Json::object();
  for (const MemberName& entry : kMembers) {
    const std::optional<std::string>& value = collateral.*entry.member;
    // JSON has no place for binary lists.
    const bool is_binary = value && is_der(*value);
    json[entry.name] = is_binary ? Json(crypto::to_hex(crypto::as_byte_view(*value)))
                       : value   ? Json(*value)
                                 : Json(nullptr);
  }
  return json.dump(1) + "\n";
}

Result<RevocationList> decode_revocation_list(std::string_view text) {
  if (is_der(text)) return RevocationList::from_der(crypto::as_byte_view(text));
  return RevocationList::from_der(CASEMATE_TRY(der_from_text(text)));
}

std::shared_ptr<const PreparedDcapCollateral> PreparedDcapCollateral::prepare(const DcapCollateral& collateral,
                                                                              const TrustAnchors& anchors) {
  std::shared_ptr<PreparedDcapCollateral> prepared(new PreparedDcapCollateral);
  prepared->prepare_root_crl(collateral, anchors);
  prepared->prepare_pck_crl(collateral, anchors);
  prepared->prepare_tcb_info(collateral, anchors);
  prepared->prepare_qe_identity(collateral, anchors);
  return prepared;
}

void PreparedDcapCollateral::prepare_root_crl(const DcapCollateral& collateral, const TrustAnchors& anchors) {
  const std::string part = "root revocation list";
  if (!collateral.root_crl) return checks_.skip(part, "not supplied: revoked authorities are not recognised");
  Result<RevocationList> list = decode_revocation_list(*collateral.root_crl);
  if (!list) {
    checks_.fail(part + ": format", "a revocation list", list.error().message());
    return;
  }
  // The list does not bring its issuer: any chain that does will do, because the key is pinned.
  for (const auto& chain :
       {collateral.pck_crl_issuer_chain, collateral.tcb_info_issuer_chain, collateral.qe_identity_issuer_chain}) {
    if (!chain) continue;
    Result<std::vector<Certificate>> certificates = Certificate::from_pem(*chain);
    if (!certificates) continue;
    for (const Certificate& certificate : certificates.value()) {
      if (!anchors.intel_sgx_root.is_key_of(certificate)) continue;
      check_revocation_list(checks_, list.value(), certificate, part);
      add_dates(dated_parts_, list.value(), part);
      root_crl_ = std::move(list).value();
      return;
    }
  }
  checks_.fail(part + ": issuer", "the root's certificate in one of the chains", "none");
}

void PreparedDcapCollateral::prepare_pck_crl(const DcapCollateral& collateral, const TrustAnchors& anchors) {
  const std::string part = "PCK revocation list";
  if (!collateral.pck_crl) return checks_.skip(part, "not supplied: a revoked platform is not recognised");
  Result<RevocationList> list = decode_revocation_list(*collateral.pck_crl);
  if (!list) {
    checks_.fail(part + ": format", "a revocation list", list.error().message());
    return;
  }
  add_dates(dated_parts_, list.value(), part);
  pck_crl_ = std::move(list).value();
  if (!collateral.pck_crl_issuer_chain) return checks_.skip(part + " chain", "not supplied: the quote's own is used");
  Result<std::vector<Certificate>> chain = Certificate::from_pem(*collateral.pck_crl_issuer_chain);
  if (!chain) {
    checks_.fail(part + " chain: format", "certificates", chain.error().message());
    return;
  }
  pck_crl_certificates_ = std::move(chain).value();
  const auto signer = std::ranges::find_if(pck_crl_certificates_, [&](const Certificate& certificate) {
    return certificate.subject() == pck_crl_->issuer();
  });
  if (signer == pck_crl_certificates_.end()) {
    checks_.fail(part + ": issuer", "a certificate of \"" + pck_crl_->issuer().common_name + "\" in its chain", "none");
    return;
  }
  if (!check_revocation_list(checks_, *pck_crl_, *signer, part)) return;
  // The signer is an authority, so this is no path with a leaf: its own issuer must be the pinned root.
  const auto root = std::ranges::find_if(pck_crl_certificates_, [&](const Certificate& certificate) {
    return anchors.intel_sgx_root.is_key_of(certificate) && certificate.is_signed_by(certificate.public_key());
  });
  const bool is_rooted = root != pck_crl_certificates_.end() && root->subject() == signer->issuer() &&
                         signer->is_signed_by(root->public_key()) && signer->is_authority() && root->is_authority() &&
                         root->allows(KeyUsage::kCertificateSign);
  if (!checks_.require(part + " chain: signatures up to the pinned root", is_rooted,
                       "its signer, an authority, signed by the pinned root",
                       is_rooted ? "as expected" : "something else")) {
    return;
  }
  const CertificatePath path{{&*signer, &*root}};
  append_dates(dated_parts_, path, part + " signer");
  require_not_revoked(part + " signer", path);
  pck_crl_signer_ = &*signer;
}

void PreparedDcapCollateral::require_not_revoked(const std::string& part, const CertificatePath& path) {
  if (!root_crl_ || !path.is_complete()) return;
  const bool is_listed = root_crl_->lists(path.leaf().serial());
  checks_.require(part + ": not revoked", !is_listed, "not on the root revocation list",
                  is_listed ? "listed" : "not listed");
}

bool PreparedDcapCollateral::check_signed_text(const SignedText& signed_text, const TrustAnchors& anchors,
                                               std::vector<Certificate>& certificates, Moment issue_date) {
  const std::string& part = signed_text.part;
  if (!*signed_text.issuer_chain) return checks_.fail(part + " chain", "to be supplied", "nothing");
  Result<std::vector<Certificate>> chain = Certificate::from_pem(**signed_text.issuer_chain);
  if (!chain) return checks_.fail(part + " chain: format", "certificates", chain.error().message());
  certificates = std::move(chain).value();
  const std::string signer_name = "SGX TCB Signing";
  const Certificate* signer = find_signer(certificates, signer_name, issue_date);
  if (signer == nullptr) return checks_.fail(part + " chain: signer", "a certificate \"" + signer_name + "\"", "none");
  const PathRules rules{part, signer_name, {"SGX Root CA"}, "", issue_date};
  const CertificatePath path = build_path(checks_, *signer, certificates, anchors.intel_sgx_root, rules);
  if (!path.is_complete()) return false;
  append_dates(dated_parts_, path, part + " signer");
  require_not_revoked(part + " signer", path);
  Result<crypto::Bytes> signature = crypto::from_hex(signed_text.signature);
  const bool is_good =
      signature && signer->public_key().verify(crypto::SignatureScheme::kEcdsaP256Sha256,
                                               crypto::as_byte_view(signed_text.text), signature.value());
  return checks_.require(part + ": signature", is_good, "one by \"" + signer->subject().common_name + "\"",
                         is_good ? "its signature" : "another one");
}

void PreparedDcapCollateral::prepare_tcb_info(const DcapCollateral& collateral, const TrustAnchors& anchors) {
  const std::string part = "TCB info";
  if (!collateral.tcb_info) {
    checks_.fail(part, "to be supplied", "nothing");
    return;
  }
  Result<TextAndSignature> split = split_signed(*collateral.tcb_info, collateral.tcb_info_signature, "tcbInfo");
  Result<TcbInfo> info = split ? parse_tcb_info(split.value().text) : Result<TcbInfo>(split.error());
  if (!info) {
    checks_.fail(part + ": format", "Intel's structure", info.error().message());
    return;
  }
  dated_parts_.push_back({part, info.value().issue_date, info.value().next_update});
  const SignedText text{part, split.value().text, split.value().signature, &collateral.tcb_info_issuer_chain};
  if (check_signed_text(text, anchors, tcb_info_certificates_, info.value().issue_date)) {
    tcb_info_ = std::move(info).value();
  }
}

void PreparedDcapCollateral::prepare_qe_identity(const DcapCollateral& collateral, const TrustAnchors& anchors) {
  const std::string part = "QE identity";
  if (!collateral.qe_identity) {
    checks_.fail(part, "to be supplied", "nothing");
    return;
  }
  Result<TextAndSignature> split =
      split_signed(*collateral.qe_identity, collateral.qe_identity_signature, "enclaveIdentity");
  Result<QeIdentity> identity = split ? parse_qe_identity(split.value().text) : Result<QeIdentity>(split.error());
  if (!identity) {
    checks_.fail(part + ": format", "Intel's structure", identity.error().message());
    return;
  }
  dated_parts_.push_back({part, identity.value().issue_date, identity.value().next_update});
  const SignedText text{part, split.value().text, split.value().signature, &collateral.qe_identity_issuer_chain};
  if (check_signed_text(text, anchors, qe_identity_certificates_, identity.value().issue_date)) {
    qe_identity_ = std::move(identity).value();
  }
}

}  // namespace casemate::attest
