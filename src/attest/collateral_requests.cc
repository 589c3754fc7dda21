#include "attest/collateral_requests.h"

#include <algorithm>
#include <array>

namespace casemate::attest {
namespace {

using evidence::SnpGeneration;

// How a part comes: what its content type may be, and in which header its issuers' certificates stand. Caches (PCCS)
// send revocation lists as hexadecimal text without a type of their own, which makes them text/html.
struct PartFacts {
  CollateralPart part;
  std::array<std::string_view, 6> content_types;
  std::string_view chain_header;
};
constexpr std::array kParts = {
    PartFacts{CollateralPart::kTcbInfo, {"application/json"}, "tcb-info-issuer-chain"},
    PartFacts{CollateralPart::kQeIdentity, {"application/json"}, "sgx-enclave-identity-issuer-chain"},
    PartFacts{CollateralPart::kPckCrl,
              {"application/pkix-crl", "application/octet-stream", "application/x-pem-file", "text/plain", "text/html"},
              "sgx-pck-crl-issuer-chain"},
    PartFacts{CollateralPart::kRootCrl,
              {"application/pkix-crl", "application/octet-stream", "application/x-pem-file", "text/plain", "text/html",
               "application/x-x509-ca-cert"},
              ""},
    PartFacts{CollateralPart::kLeaf,
              {"application/octet-stream", "application/pkix-cert", "application/x-x509-ca-cert",
               "application/x-x509-user-cert", "application/x-pem-file"},
              ""},
    PartFacts{CollateralPart::kAuthorities,
              {"application/x-pem-file", "application/pem-certificate-chain", "application/octet-stream", "text/plain"},
              ""},
    PartFacts{CollateralPart::kRevocationList, {"application/pkix-crl", "application/octet-stream"}, ""},
};

const PartFacts& facts_of(CollateralPart part) { return *std::ranges::find(kParts, part, &PartFacts::part); }

Error strange(const CollateralRequest& request, const std::string& what) {
  return Error(ErrorCategory::kFormat, request.url + ": " + what);
}

std::string header_of(const CollateralResponse& response, std::string_view name) {
  const auto found = response.headers.find(std::string(name));
  return found == response.headers.end() ? std::string() : found->second;
}

Result<void> check_status(const CollateralRequest& request, const CollateralResponse& response) {
  if (response.status == 200) return {};
  const std::string code = request.url + ": HTTP status " + std::to_string(response.status);
  switch (response.status) {
    case 404:
      return Error(ErrorCategory::kNotFound, code + ": the service knows nothing of this platform");
    case 429: {
      const std::string seconds = header_of(response, "retry-after");
      return Error(ErrorCategory::kSystem,
                   code + ": too many requests; try again " +
                       (seconds.empty() ? "later" : "in " + seconds.substr(0, 32) + " seconds"));
    }
    default:
      return Error(ErrorCategory::kSystem, code + " instead of 200; is this the right service?");
  }
}

Result<void> check_content_type(const CollateralRequest& request, const CollateralResponse& response) {
  std::string type = header_of(response, "content-type");
  type = type.substr(0, type.find(';'));
  while (!type.empty() && type.back() == ' ') type.pop_back();
  std::ranges::transform(type, type.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
  const auto& accepted = facts_of(request.part).content_types;
  if (!type.empty() && std::ranges::find(accepted, type) != accepted.end()) return {};
  return strange(request, "its content type is \"" + type.substr(0, 64) + "\" instead of " + std::string(accepted[0]));
}

// RFC 3986, 2.1: %XX. A plus sign is itself: it stands in the base64 of certificates.
Result<std::string> percent_decode(std::string_view text) {
  std::string decoded;
  while (!text.empty()) {
    if (text.front() != '%') {
      decoded.push_back(text.front());
      text.remove_prefix(1);
      continue;
    }
    const crypto::Bytes octet = CASEMATE_TRY(crypto::from_hex(text.substr(1, 2)));
    if (octet.size() != 1) return Error(ErrorCategory::kFormat, "a percent sign without two digits");
    decoded.push_back(static_cast<char>(octet.front()));
    text.remove_prefix(3);
  }
  return decoded;
}

Result<std::string> issuer_chain(const CollateralRequest& request, const CollateralResponse& response) {
  const std::string_view name = facts_of(request.part).chain_header;
  const std::string value = header_of(response, name);
  if (value.empty()) return strange(request, "the header " + std::string(name) + " is missing");
  const Result<std::string> chain = percent_decode(value);
  if (!chain || !crypto::Certificate::from_pem(chain.value())) {
    return strange(request, "the header " + std::string(name) + " holds no certificates");
  }
  return chain;
}

// As digits: binary lists do not fit into JSON files.
Result<std::string> revocation_list_digits(const CollateralRequest& request, const CollateralResponse& response) {
  const Result<crypto::RevocationList> list = decode_revocation_list(response.body);
  if (!list) return strange(request, "no revocation list: " + list.error().message());
  return crypto::to_hex(list.value().der());
}

std::string snp_tcb_query(const evidence::SnpTcb& tcb, SnpGeneration generation) {
  const auto two_digits = [](unsigned number) { return (number < 10 ? "0" : "") + std::to_string(number); };
  std::string query = generation == SnpGeneration::kTurin ? "fmcSPL=" + two_digits(tcb.fmc) + "&" : std::string();
  return query + "blSPL=" + two_digits(tcb.bootloader) + "&teeSPL=" + two_digits(tcb.tee) +
         "&snpSPL=" + two_digits(tcb.snp) + "&ucodeSPL=" + two_digits(tcb.microcode);
}

Error not_good(const Check& check) {
  return Error(ErrorCategory::kFormat, "the collateral is not good: " + check.name + ": expected " + check.expected +
                                           ", found " + check.actual);
}

}  // namespace

Result<std::string> service_base(std::string_view text) {
  constexpr std::string_view kScheme = "https://";
  std::string base(text);
  while (base.ends_with('/')) base.pop_back();
  for (std::string_view path : {"/sgx/certification/v4", "/sgx/certification/v3"}) {
    if (base.ends_with(path)) base.resize(base.size() - path.size());
  }
  const bool has_host = base.starts_with(kScheme) && base.size() > kScheme.size();
  const bool is_plain =
      std::ranges::all_of(base, [](char c) { return c > ' ' && c < 127 && c != '@' && c != '?' && c != '#'; });
  if (has_host && is_plain) return base;
  return Error(ErrorCategory::kUsage, "\"" + std::string(text) + "\" is no https://HOST[:PORT]");
}

std::vector<CollateralRequest> requests_for_quote(const QuotePlatform& platform, const CollateralServices& services) {
  const std::string sgx = services.pcs + "/sgx/certification/v4/";
  const std::string own = services.pcs + (platform.is_tdx ? "/tdx" : "/sgx") + "/certification/v4/";
  const std::string authority = platform.authority == PckAuthority::kProcessor ? "processor" : "platform";
  // Intel's own service leaves the root's list to the address that the root certificate names.
  const std::string root_crl = services.pcs == kIntelPcs ? std::string(kIntelRootCrl) : sgx + "rootcacrl";
  return {{CollateralPart::kTcbInfo, own + "tcb?fmspc=" + crypto::to_hex(platform.fmspc)},
          {CollateralPart::kQeIdentity, own + "qe/identity"},
          {CollateralPart::kPckCrl, sgx + "pckcrl?ca=" + authority + "&encoding=der"},
          {CollateralPart::kRootCrl, root_crl}};
}

Result<std::vector<CollateralRequest>> requests_for_report(const evidence::SnpReport& report,
                                                           std::optional<SnpGeneration> generation,
                                                           const CollateralServices& services) {
  if (report.version >= evidence::kSnpVersionWithCpuid) {
    generation = evidence::generation_of_processor(report.cpuid_family, report.cpuid_model);
    if (!generation) return Error(ErrorCategory::kUsage, "the report names a processor that is not known here");
  }
  if (!generation) return Error(ErrorCategory::kUsage, "the report does not name its processor: give --product");
  const bool is_vlek = report.signing_key() == static_cast<std::uint32_t>(evidence::SnpSigningKey::kVlek);
  const std::string base = services.kds + (is_vlek ? "/vlek/v1/" : "/vcek/v1/") + evidence::to_text(*generation) + "/";
  std::vector<CollateralRequest> requests;
  if (!is_vlek) {
    if (crypto::is_all_zero(report.chip_id)) {
      return Error(ErrorCategory::kUsage, "the host masks CHIP_ID, so nobody can be asked for this chip's certificate");
    }
    const std::size_t size = *generation == SnpGeneration::kTurin ? 8 : report.chip_id.size();
    const std::string chip = crypto::to_hex(crypto::ByteView(report.chip_id).first(size));
    const evidence::SnpTcb tcb = evidence::decode_snp_tcb(report.reported_tcb, *generation);
    requests.push_back({CollateralPart::kLeaf, base + chip + "?" + snp_tcb_query(tcb, *generation)});
  }
  requests.push_back({CollateralPart::kAuthorities, base + "cert_chain"});
  requests.push_back({CollateralPart::kRevocationList, base + "crl"});
  return requests;
}

Result<void> take_response(DcapCollateral& collateral, const CollateralRequest& request,
                           const CollateralResponse& response) {
  if (Result<void> checked = check_status(request, response); !checked) return checked;
  if (Result<void> checked = check_content_type(request, response); !checked) return checked;
  switch (request.part) {
    case CollateralPart::kTcbInfo:
      collateral.tcb_info_issuer_chain = CASEMATE_TRY(issuer_chain(request, response));
      collateral.tcb_info = response.body;
      return {};
    case CollateralPart::kQeIdentity:
      collateral.qe_identity_issuer_chain = CASEMATE_TRY(issuer_chain(request, response));
      collateral.qe_identity = response.body;
      return {};
    case CollateralPart::kPckCrl:
      collateral.pck_crl_issuer_chain = CASEMATE_TRY(issuer_chain(request, response));
      collateral.pck_crl = CASEMATE_TRY(revocation_list_digits(request, response));
      return {};
    case CollateralPart::kRootCrl:
      collateral.root_crl = CASEMATE_TRY(revocation_list_digits(request, response));
      return {};
    default:
      return Error(ErrorCategory::kUsage, request.url + ": no part of a quote's collateral");
  }
}

Result<void> take_response(SnpEndorsements& endorsements, const CollateralRequest& request,
                           const CollateralResponse& response) {
  if (Result<void> checked = check_status(request, response); !checked) return checked;
  if (Result<void> checked = check_content_type(request, response); !checked) return checked;
  if (request.part == CollateralPart::kRevocationList) {
    const Result<crypto::RevocationList> list = decode_revocation_list(response.body);
    if (!list) return strange(request, "no revocation list: " + list.error().message());
    endorsements.revocation_lists.push_back(list.value().der());
    return {};
  }
  const crypto::ByteView body = crypto::as_byte_view(response.body);
  if (const auto single = crypto::Certificate::from_der(body)) {
    endorsements.certificates.push_back(single.value().der());
    return {};
  }
  const auto several = crypto::Certificate::from_pem(response.body);
  if (!several) return strange(request, "no certificates: " + several.error().message());
  for (const crypto::Certificate& certificate : several.value()) endorsements.certificates.push_back(certificate.der());
  return {};
}

Result<Moment> check_collateral(const DcapCollateral& collateral, const QuotePlatform& platform,
                                const TrustAnchors& anchors, Moment now) {
  const auto prepared = PreparedDcapCollateral::prepare(collateral, anchors);
  if (const Check* failure = prepared->checks().first_failure()) return not_good(*failure);
  CheckList checks;
  if (!prepared->root_crl()) checks.fail("root revocation list", "to be supplied", "nothing");
  if (prepared->pck_crl_signer() == nullptr) checks.fail("PCK revocation list", "to be supplied", "nothing");
  const std::string tee = platform.is_tdx ? "TDX" : "SGX";
  const std::string authority = platform.authority == PckAuthority::kProcessor ? "Processor" : "Platform";
  if (const auto& info = prepared->tcb_info()) {
    checks.require("TCB info: TEE", info->id == tee, tee, info->id);
    const bool is_this_platform = crypto::equal(info->fmspc, platform.fmspc);
    checks.require("TCB info: FMSPC", is_this_platform, crypto::to_hex(platform.fmspc), crypto::to_hex(info->fmspc));
  }
  if (const auto& identity = prepared->qe_identity()) {
    const std::string enclave = platform.is_tdx ? "TD_QE" : "QE";
    checks.require("QE identity: enclave", identity->id == enclave, enclave, identity->id);
  }
  if (const auto& list = prepared->pck_crl()) {
    const std::string& issuer = list->issuer().common_name;
    checks.require("PCK revocation list: authority", issuer.find(authority) != std::string::npos,
                   "one of the " + authority + " CA", "\"" + issuer + "\"");
  }
  ValidityWindow window;
  check_dates(checks, window, prepared->dated_parts(), now);
  if (const Check* failure = checks.first_failure()) return not_good(*failure);
  return window.end;
}

}  // namespace casemate::attest
