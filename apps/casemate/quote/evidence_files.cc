#include "casemate/quote/evidence_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <nlohmann/json.hpp>

#include "evidence/dcap_quote.h"
#include "evidence/hcl_report.h"
#include "evidence/sgx_report.h"
#include "evidence/sigstruct.h"
#include "evidence/simulation.h"
#include "evidence/tdx_report.h"

namespace casemate::cli {
namespace {

using attest::Moment;
using crypto::Bytes;
using crypto::ByteView;

constexpr std::size_t kOpenEnclaveHeaderSize = 16;

bool exists(const std::string& path) {
  struct stat facts {};
  return ::stat(path.c_str(), &facts) == 0;
}

bool is_pem_of(std::string_view text, std::string_view label) {
  return text.starts_with("-----BEGIN " + std::string(label));
}

// The middle of the span that a case states, so that neither end decides.
std::optional<Moment> moment_of(const nlohmann::json& expected) {
  const auto at = [](const nlohmann::json& value) -> std::optional<Moment> {
    if (!value.is_string()) return std::nullopt;
    Result<Moment> moment = attest::parse_moment(value.get<std::string>());
    return moment ? std::optional(moment.value()) : std::nullopt;
  };
  if (expected.contains("verify_at")) {
    if (const auto moment = at(expected.at("verify_at"))) return moment;
  }
  if (!expected.contains("verify_between")) return std::nullopt;
  const nlohmann::json& span = expected.at("verify_between");
  if (!span.is_array() || span.size() != 2) return std::nullopt;
  const auto begin = at(span[0]), end = at(span[1]);
  if (!begin || !end) return std::nullopt;
  return *begin + (*end - *begin) / 2;
}

// For quotes that bring certificates but no collateral and no time: the earliest moment at which all of them are valid.
std::optional<Moment> moment_of_certificates(ByteView quote_bytes) {
  const Result<evidence::DcapQuote> quote = evidence::parse_dcap_quote(quote_bytes);
  if (!quote) return std::nullopt;
  const auto certificates = crypto::Certificate::from_pem(crypto::as_text(quote.value().certification_data));
  if (!certificates) return std::nullopt;
  Moment latest = INT64_MIN;
  for (const auto& certificate : certificates.value()) latest = std::max(latest, certificate.not_before());
  return latest;
}

void read_case_time(EvidenceCase& target, const std::string& directory) {
  if (Result<Bytes> content = read_file(directory + "/expected.json")) {
    const auto json = nlohmann::json::parse(crypto::as_text(content.value()), nullptr, false);
    if (json.is_object()) target.now = moment_of(json);
  }
  const bool is_static = target.kind == EvidenceKind::kDcapQuote && !target.dcap && target.collateral_problem.empty();
  if (!target.now && is_static) target.now = moment_of_certificates(target.evidence);
}

Result<void> read_case_collateral(EvidenceCase& target, const std::string& directory) {
  for (const char* name : {"/leaf.der", "/ask.der", "/ark.der"}) {
    if (!exists(directory + name)) continue;
    target.snp.certificates.push_back(CASEMATE_TRY(read_file(directory + name)));
  }
  if (exists(directory + "/crl.der")) {
    target.snp.revocation_lists.push_back(CASEMATE_TRY(read_file(directory + "/crl.der")));
  }
  if (exists(directory + "/root.der")) {
    const Bytes root = CASEMATE_TRY(read_file(directory + "/root.der"));
    target.root = CASEMATE_TRY(read_certificate(root));
  }
  if (exists(directory + "/collateral.json")) {
    const Bytes content = CASEMATE_TRY(read_file(directory + "/collateral.json"));
    Result<attest::DcapCollateral> collateral = attest::parse_dcap_collateral(crypto::as_text(content));
    if (collateral) {
      target.dcap = std::move(collateral).value();
    } else {
      target.collateral_problem = collateral.error().message();
    }
  }
  return {};
}

}  // namespace

ByteView without_open_enclave_header(ByteView bytes) {
  if (bytes.size() < kOpenEnclaveHeaderSize + evidence::kQuoteHeaderSize) return bytes;
  const evidence::FieldView view(bytes);
  const bool has_header = view.number<std::uint32_t>(0) == 1 &&
                          view.number<std::uint64_t>(8) == bytes.size() - kOpenEnclaveHeaderSize &&
                          evidence::looks_like_dcap_quote(bytes.subspan(kOpenEnclaveHeaderSize));
  return has_header ? bytes.subspan(kOpenEnclaveHeaderSize) : bytes;
}

EvidenceKind kind_of_evidence(ByteView bytes) {
  if (evidence::looks_like_process_evidence(bytes)) return EvidenceKind::kProcessEvidence;
  if (evidence::looks_like_hcl_report(bytes)) return EvidenceKind::kHclReport;
  if (evidence::looks_like_dcap_quote(without_open_enclave_header(bytes))) return EvidenceKind::kDcapQuote;
  if (is_pem_of(crypto::as_text(bytes), "CERTIFICATE") || crypto::Certificate::from_der(bytes)) {
    return EvidenceKind::kCertificate;
  }
  switch (bytes.size()) {
    case evidence::kSnpReportSize:
      return EvidenceKind::kSnpReport;
    case evidence::kTdReportStructureSize:
      return EvidenceKind::kTdReport;
    case evidence::kSgxReportSize:
      return EvidenceKind::kSgxReport;
    case evidence::kSgxTargetInfoSize:
      return EvidenceKind::kSgxTargetInfo;
    case evidence::kSigstructSize:
      return EvidenceKind::kSigstruct;
    default:
      return EvidenceKind::kUnknown;
  }
}

Result<Bytes> read_file(const std::string& path, std::size_t maximum_size) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return Error::from_errno("cannot open " + path, errno);
  Bytes content;
  std::array<char, 65536> piece{};
  while (file.read(piece.data(), piece.size()) || file.gcount() > 0) {
    crypto::append(content, std::as_bytes(std::span(piece.data(), static_cast<std::size_t>(file.gcount()))));
    if (content.size() > maximum_size) {
      return Error(ErrorCategory::kExhausted, path + " is larger than " + std::to_string(maximum_size >> 20) + " MiB");
    }
  }
  if (!file.eof()) return Error::from_errno("cannot read " + path, EIO);
  return content;
}

Result<crypto::Certificate> read_certificate(const Bytes& content) {
  if (!is_pem_of(crypto::as_text(content), "CERTIFICATE")) return crypto::Certificate::from_der(content);
  std::vector<crypto::Certificate> certificates = CASEMATE_TRY(crypto::Certificate::from_pem(crypto::as_text(content)));
  if (certificates.size() != 1) return Error(ErrorCategory::kFormat, "more than one certificate");
  return std::move(certificates.front());
}

Result<void> add_collateral(EvidenceCase& target, const Bytes& content, const std::string& name) {
  const std::string_view text = crypto::as_text(content);
  if (is_pem_of(text, "CERTIFICATE")) {
    for (Bytes& der : CASEMATE_TRY(crypto::from_pem(text, "CERTIFICATE"))) {
      target.snp.certificates.push_back(std::move(der));
    }
    return {};
  }
  if (crypto::Certificate::from_der(content)) {
    target.snp.certificates.push_back(content);
    return {};
  }
  if (Result<crypto::RevocationList> list = attest::decode_revocation_list(text)) {
    target.snp.revocation_lists.push_back(list.value().der());
    return {};
  }
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos && text[first] == '{') {
    if (target.dcap) return Error(ErrorCategory::kUsage, name + ": DCAP collateral twice");
    target.dcap = CASEMATE_TRY(attest::parse_dcap_collateral(text));
    return {};
  }
  if (Result<attest::SnpEndorsements> table = attest::parse_snp_certificate_table(content)) {
    auto& [certificates, lists] = table.value();
    target.snp.certificates.insert(target.snp.certificates.end(), certificates.begin(), certificates.end());
    target.snp.revocation_lists.insert(target.snp.revocation_lists.end(), lists.begin(), lists.end());
    return {};
  }
  return Error(ErrorCategory::kFormat, name + ": neither DCAP collateral nor certificates nor revocation lists");
}

Result<EvidenceCase> read_case(const std::string& directory) {
  EvidenceCase result;
  const bool is_snp = exists(directory + "/report.bin");
  result.evidence = CASEMATE_TRY(read_file(directory + (is_snp ? "/report.bin" : "/quote.bin")));
  result.kind = kind_of_evidence(result.evidence);
  // The file's name tells what it is meant to be: damaged heads are parse errors of that kind.
  if (result.kind != EvidenceKind::kHclReport && result.kind != EvidenceKind::kProcessEvidence) {
    result.kind = is_snp ? EvidenceKind::kSnpReport : EvidenceKind::kDcapQuote;
  }
  if (Result<void> read = read_case_collateral(result, directory); !read) return read.error();
  read_case_time(result, directory);
  return result;
}

}  // namespace casemate::cli
