#include "attest/testing/synthetic_dcap.h"

#include "crypto/hash.h"

namespace casemate::attest::testing {
namespace {

using crypto::KeyKind;
using crypto::PrivateKey;
using crypto::SignatureScheme;
using evidence::FixedBytes;
using evidence::SgxReportBody;
using evidence::TdReportBody;

constexpr SignatureScheme kScheme = SignatureScheme::kEcdsaP256Sha256;
const char* const kRootName = "Test SGX Root CA";
const char* const kPckAuthorityName = "Test SGX PCK Platform CA";
const char* const kPckName = "Test SGX PCK Certificate";
const char* const kSignerName = "Test SGX TCB Signing";

struct Keys {
  PrivateKey root = must(PrivateKey::generate(KeyKind::kEcP256));
  PrivateKey pck_authority = must(PrivateKey::generate(KeyKind::kEcP256));
  PrivateKey pck = must(PrivateKey::generate(KeyKind::kEcP256));
  PrivateKey signer = must(PrivateKey::generate(KeyKind::kEcP256));
  PrivateKey attestation = must(PrivateKey::generate(KeyKind::kEcP256));
};
const Keys& keys() {
  static const Keys instance;
  return instance;
}

template <std::size_t kSize>
FixedBytes<kSize> filled(std::uint8_t value) {
  FixedBytes<kSize> bytes;
  bytes.fill(std::byte{value});
  return bytes;
}

SgxReportBody make_qe_report(bool tdx) {
  SgxReportBody report;
  report.attributes[0] = std::byte{0x11};
  report.attributes[8] = std::byte{0xe7};
  report.mr_enclave = filled<32>(0x51);
  report.mr_signer = filled<32>(0x52);
  report.isv_product_id = tdx ? 2 : 1;
  report.isv_svn = 8;
  return report;
}

SgxReportBody make_enclave() {
  SgxReportBody body;
  body.cpu_svn = filled<16>(9);
  body.attributes[0] = std::byte{0x05};
  body.attributes[8] = std::byte{0x03};
  body.mr_enclave = filled<32>(0xe1);
  body.mr_signer = filled<32>(0xe2);
  body.isv_product_id = 7;
  body.isv_svn = 3;
  body.report_data = filled<64>(0xdd);
  return body;
}

TdReportBody make_td(bool version15) {
  TdReportBody body;
  body.tee_tcb_svn = filled<16>(5);
  body.tee_tcb_svn[1] = std::byte{3};  // module version: identity TDX_03
  body.td_attributes[3] = std::byte{0x10};
  body.mr_td = filled<48>(0x71);
  for (std::size_t i = 0; i < body.rtmr.size(); ++i) body.rtmr[i] = filled<48>(static_cast<std::uint8_t>(0x80 + i));
  body.report_data = filled<64>(0xdd);
  if (version15) body.version15 = evidence::TdReport15Fields{body.tee_tcb_svn, {}};
  return body;
}

std::string hex(crypto::ByteView bytes) { return crypto::to_hex(bytes); }

Json svn_levels(int isv_svn, const std::string& status) {
  return Json::array({{{"tcb", {{"isvsvn", isv_svn}}},
                       {"tcbDate", "2025-11-01T00:00:00Z"},
                       {"tcbStatus", status},
                       {"advisoryIDs", Json::array()}}});
}

Json module_json() {
  return {{"mrsigner", std::string(96, '0')},
          {"attributes", std::string(16, '0')},
          {"attributesMask", std::string(16, 'F')}};
}

Json make_tcb_info(bool tdx, const evidence::PckExtension& pck) {
  Json info = {
      {"id", tdx ? "TDX" : "SGX"},
      {"version", 3},
      {"fmspc", hex(pck.fmspc)},
      {"pceId", hex(pck.pce_id)},
      {"tcbType", 0},
      {"tcbEvaluationDataNumber", 17},
      {"tcbLevels", Json::array({make_level(8, 4, 12, "UpToDate", tdx), make_level(2, 2, 5, "OutOfDate", tdx)})}};
  if (!tdx) return info;
  info["tdxModule"] = module_json();
  Json identity = module_json();
  identity["id"] = "TDX_03";
  identity["tcbLevels"] = svn_levels(4, "UpToDate");
  info["tdxModuleIdentities"] = Json::array({identity});
  return info;
}

Json make_qe_identity(bool tdx, const SgxReportBody& report) {
  return {{"id", tdx ? "TD_QE" : "QE"},
          {"version", 2},
          {"tcbEvaluationDataNumber", 17},
          {"miscselect", "00000000"},
          {"miscselectMask", "FFFFFFFF"},
          {"attributes", "11000000000000000000000000000000"},
          {"attributesMask", "FBFFFFFFFFFFFFFF0000000000000000"},
          {"mrsigner", hex(report.mr_signer)},
          {"isvprodid", report.isv_product_id},
          {"tcbLevels", svn_levels(8, "UpToDate")}};
}

// Builds one sample; keeps what several steps need.
class SampleMaker {
 public:
  explicit SampleMaker(const DcapScenario& scenario) : scenario_(scenario) {}

  DcapSample make() {
    const Bytes root = certificate(part::kRoot, kRootName, kRootName, keys().root.public_key(), keys().root);
    const Bytes authority =
        certificate(part::kPckAuthority, kPckAuthorityName, kRootName, keys().pck_authority.public_key(), keys().root);
    const Bytes leaf =
        certificate(part::kPck, kPckName, kPckAuthorityName, keys().pck.public_key(), keys().pck_authority);
    const Bytes signer = certificate(part::kSigner, kSignerName, kRootName, keys().signer.public_key(), keys().root);
    DcapSample sample;
    sample.root_der = root;
    sample.quote = quote(pem({leaf, authority, root}), {leaf, authority, root});
    sample.collateral.pck_crl_issuer_chain = pem({authority, root});
    sample.collateral.tcb_info_issuer_chain = pem({signer, root});
    sample.collateral.qe_identity_issuer_chain = pem({root, signer});  // order must not matter
    fill_revocation_lists(sample.collateral);
    sign_json(scenario_.tcb_info, part::kTcbInfo, sample.collateral.tcb_info, sample.collateral.tcb_info_signature);
    sign_json(scenario_.qe_identity, part::kQeIdentity, sample.collateral.qe_identity,
              sample.collateral.qe_identity_signature);
    return sample;
  }

 private:
  std::pair<Moment, Moment> dates_of(const std::string& name) const {
    const auto found = scenario_.dates.find(name);
    return found != scenario_.dates.end() ? found->second : std::pair(kNow - 10 * kDay, kNow + 20 * kDay);
  }

  static std::string pem(const std::vector<Bytes>& certificates) {
    std::string text;
    for (const Bytes& der : certificates) text += crypto::to_pem(der, "CERTIFICATE");
    return text;
  }

  Bytes certificate(const std::string& name, const std::string& subject, const std::string& issuer,
                    const crypto::PublicKey& key, const PrivateKey& issuer_key) const {
    CertificateTemplate fields;
    fields.subject = subject;
    fields.issuer = issuer;
    fields.serial = serial_of(name);
    std::tie(fields.not_before, fields.not_after) = dates_of(name);
    fields.is_authority = name == part::kRoot || name == part::kPckAuthority;
    fields.key_usage = fields.is_authority ? kUsageAuthority : kUsageSign;
    if (name == part::kPckAuthority) fields.path_length = 0;
    if (name == part::kPck) {
      fields.extensions.push_back({std::string(evidence::kPckExtensionOid), false, evidence::build(scenario_.pck)});
    }
    if (scenario_.edit_certificate) scenario_.edit_certificate(name, fields);
    return build_certificate(fields, key, issuer_key, kScheme);
  }

  Bytes quote(std::string chain, const std::vector<Bytes>& certificates) const {
    if (scenario_.edit_chain) scenario_.edit_chain(chain, certificates);
    const Bytes signed_part = evidence::build_quote_signed_part(scenario_.header, scenario_.body);
    const Bytes authentication_data(32, std::byte{0xad});
    SgxReportBody qe_report = scenario_.qe_report;
    if (!scenario_.leaves_report_data_alone) {
      Bytes bound = keys().attestation.public_key().raw();
      crypto::append(bound, authentication_data);
      const auto digest = crypto::sha256(bound);
      std::ranges::copy(digest, qe_report.report_data.begin());
    }
    const Bytes qe_report_bytes = evidence::build(qe_report);
    const Bytes qe_signature = must(keys().pck.sign(kScheme, qe_report_bytes));
    const Bytes signature = must(keys().attestation.sign(kScheme, signed_part));
    return evidence::build_quote(
        signed_part, {signature, keys().attestation.public_key().raw(), qe_report_bytes, qe_signature,
                      authentication_data, evidence::CertificationDataType::kPckChain, crypto::as_byte_view(chain)});
  }

  void fill_revocation_lists(DcapCollateral& collateral) const {
    RevocationListTemplate root;
    root.issuer = kRootName;
    std::tie(root.this_update, root.next_update) = dates_of(part::kRootCrl);
    root.serials = scenario_.revoked_by_root;
    collateral.root_crl = hex(build_revocation_list(root, keys().root, kScheme));
    RevocationListTemplate pck;
    pck.issuer = kPckAuthorityName;
    std::tie(pck.this_update, pck.next_update) = dates_of(part::kPckCrl);
    pck.serials = scenario_.revoked_by_pck_authority;
    if (scenario_.edit_pck_crl) scenario_.edit_pck_crl(pck);
    const PrivateKey& key = scenario_.pck_crl_key ? *scenario_.pck_crl_key : keys().pck_authority;
    const Bytes der = build_revocation_list(pck, key, kScheme);
    collateral.pck_crl = std::string(crypto::as_text(der));
  }

  void sign_json(Json json, const std::string& name, std::optional<std::string>& text,
                 std::optional<std::string>& signature) const {
    const auto [begin, end] = dates_of(name);
    json["issueDate"] = to_text(begin);
    json["nextUpdate"] = to_text(end);
    text = json.dump();
    signature = hex(must(keys().signer.sign(kScheme, crypto::as_byte_view(*text))));
  }

  static std::string to_text(Moment moment) { return attest::to_text(moment); }

  const DcapScenario& scenario_;
};

}  // namespace

const char* to_text(QuoteKind kind) {
  constexpr const char* kNames[] = {"SgxV3", "SgxV4", "SgxV5", "TdxV4", "Tdx10V5", "Tdx15V5"};
  return kNames[static_cast<std::size_t>(kind)];
}

bool is_tdx(QuoteKind kind) {
  return kind == QuoteKind::kTdxV4 || kind == QuoteKind::kTdx10V5 || kind == QuoteKind::kTdx15V5;
}

DcapScenario::DcapScenario(QuoteKind quote_kind) : kind(quote_kind) {
  constexpr std::uint16_t kVersions[] = {3, 4, 5, 4, 5, 5};
  const bool tdx = is_tdx(kind);
  header.version = kVersions[static_cast<std::size_t>(kind)];
  header.tee_type = tdx ? evidence::kTeeTypeTdx : evidence::kTeeTypeSgx;
  header.qe_vendor = evidence::kIntelQuotingEnclaveVendor;
  if (tdx) {
    body = make_td(kind == QuoteKind::kTdx15V5);
  } else {
    body = make_enclave();
  }
  qe_report = make_qe_report(tdx);
  pck.component_svns.fill(9);
  pck.pce_svn = 13;
  pck.cpu_svn = filled<16>(9);
  pck.ppid = filled<16>(0x11);
  pck.fmspc = filled<6>(0x22);
  pck.sgx_type = 1;
  pck.platform_instance_id = filled<16>(0x33);
  tcb_info = make_tcb_info(tdx, pck);
  qe_identity = make_qe_identity(tdx, qe_report);
}

Bytes serial_of(const std::string& name) {
  Bytes serial{std::byte{0x5a}};
  for (char letter : name) serial.push_back(static_cast<std::byte>(letter));
  return serial;
}

Json make_level(int svn, int tdx_svn, int pce_svn, const std::string& status, bool with_tdx) {
  Json sgx = Json::array(), tdx = Json::array();
  for (int i = 0; i < 16; ++i) {
    sgx.push_back({{"svn", svn}});
    tdx.push_back({{"svn", i == 1 ? 0 : tdx_svn}});
  }
  Json level = {{"tcb", {{"sgxtcbcomponents", sgx}, {"pcesvn", pce_svn}}},
                {"tcbDate", "2025-11-01T00:00:00Z"},
                {"tcbStatus", status}};
  if (with_tdx) level["tcb"]["tdxtcbcomponents"] = tdx;
  return level;
}

DcapSample make_sample(const DcapScenario& scenario) { return SampleMaker(scenario).make(); }

TrustAnchors anchors_of(const DcapSample& sample) {
  return anchors_of_single_root(must(crypto::Certificate::from_der(sample.root_der)));
}

}  // namespace casemate::attest::testing
