#include "casemate/quote/evidence_listing.h"

#include "attest/measurements.h"
#include "casemate/quote/evidence_files.h"
#include "evidence/certificate_evidence.h"
#include "evidence/dcap_quote.h"
#include "evidence/hcl_report.h"
#include "evidence/sigstruct.h"
#include "evidence/simulation.h"

namespace casemate::cli {
namespace {

using attest::Measurement;
using crypto::ByteView;
using crypto::to_hex;

Measurement bytes(const char* name, ByteView value) { return {name, to_hex(value)}; }
Measurement number(const char* name, std::uint64_t value) { return {name, value}; }

void append(std::vector<Measurement>& list, std::vector<Measurement> more) {
  list.insert(list.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

Result<EvidenceListing> list_quote(ByteView data) {
  const evidence::DcapQuote quote = CASEMATE_TRY(evidence::parse_dcap_quote(data));
  EvidenceListing listing;
  listing.format = (quote.is_tdx() ? "tdx-quote-v" : "sgx-quote-v") + std::to_string(quote.header.version);
  listing.measurements = quote.is_tdx() ? attest::measurements_of(*quote.tdx()) : attest::measurements_of(*quote.sgx());
  append(listing.measurements,
         {
             number("body_type", quote.body_type),
             bytes("qe_vendor", quote.header.qe_vendor),
             number("qe_isvsvn", quote.qe_report.isv_svn),
             bytes("qe_mrsigner", quote.qe_report.mr_signer),
             number("certification_data_type", static_cast<std::uint64_t>(quote.certification_type)),
             number("quote_bytes", quote.size),
             number("trailing_bytes", quote.trailing_size),
         });
  return listing;
}

Result<EvidenceListing> list_snp(ByteView data) {
  const evidence::SnpReport report = CASEMATE_TRY(evidence::parse_snp_report(data));
  const auto generation = evidence::generation_of_processor(report.cpuid_family, report.cpuid_model);
  return EvidenceListing{"snp-report-v" + std::to_string(report.version), attest::measurements_of(report, generation)};
}

Result<EvidenceListing> list_process_evidence(ByteView data) {
  const evidence::ProcessEvidence evidence = CASEMATE_TRY(evidence::parse_process_evidence(data));
  const auto& statement = evidence.statement;
  EvidenceListing listing{std::string("process-evidence-") + evidence::name_of(statement.backend), {}};
  listing.measurements = {
      bytes("measurement", statement.measurement),      {"purpose", std::string(evidence::name_of(statement.purpose))},
      bytes("nonce_digest", statement.nonce_digest),    bytes("las_key_id", statement.las_key_id),
      number("caller_checks", statement.caller_checks), number("issued_at", statement.issued_at)};
  if (evidence.node) listing.measurements.push_back(number("node_evidence_bytes", evidence.node->quote.size()));
  return listing;
}

Result<EvidenceListing> list_td_report(ByteView data) {
  const evidence::TdReportStructure report = CASEMATE_TRY(evidence::parse_td_report_structure(data));
  return EvidenceListing{"tdreport",
                         {bytes("cpusvn", report.cpu_svn), bytes("tee_tcb_info_hash", report.tee_tcb_info_hash),
                          bytes("td_info_hash", report.td_info_hash), bytes("report_data", report.report_data)}};
}

Result<EvidenceListing> list_hcl(ByteView data) {
  const evidence::HclReport hcl = CASEMATE_TRY(evidence::parse_hcl_report(data));
  const bool is_snp = hcl.type == evidence::HclReportType::kSnp;
  EvidenceListing listing = CASEMATE_TRY(is_snp ? list_snp(hcl.hardware_report) : list_td_report(hcl.hardware_report));
  listing.format = "azure-hcl with " + listing.format;
  listing.measurements.push_back(bytes("runtime_data_digest", evidence::expected_report_data(hcl)));
  listing.measurements.push_back(number("runtime_data_bytes", hcl.runtime_data.size()));
  return listing;
}

Result<EvidenceListing> list_target_info(ByteView data) {
  const evidence::SgxTargetInfo target = CASEMATE_TRY(evidence::parse_sgx_target_info(data));
  return EvidenceListing{"sgx-targetinfo",
                         {bytes("mrenclave", target.mr_enclave), bytes("attributes", target.attributes),
                          number("configsvn", target.config_svn), bytes("configid", target.config_id)}};
}

Result<EvidenceListing> list_sigstruct(ByteView data) {
  const evidence::Sigstruct sigstruct = CASEMATE_TRY(evidence::parse_sigstruct(data));
  const bool is_good = evidence::verify_sigstruct(sigstruct).has_value();
  return EvidenceListing{"sigstruct",
                         {bytes("mrenclave", sigstruct.enclave_hash),
                          bytes("mrsigner", evidence::mr_signer_of(sigstruct)),
                          bytes("attributes", sigstruct.attributes),
                          bytes("attributemask", sigstruct.attribute_mask),
                          number("isvprodid", sigstruct.isv_product_id),
                          number("isvsvn", sigstruct.isv_svn),
                          {"signature", std::string(is_good ? "good" : "WRONG")}}};
}

Result<EvidenceListing> list_sgx_report(ByteView data) {
  const evidence::SgxReport report = CASEMATE_TRY(evidence::parse_sgx_report(data));
  return EvidenceListing{"sgx-report", attest::measurements_of(report.body)};
}

Result<EvidenceListing> list_certificate(ByteView data) {
  const crypto::Certificate certificate = CASEMATE_TRY(read_certificate(crypto::to_bytes(data)));
  const std::optional<evidence::CertificateEvidence> found =
      CASEMATE_TRY(evidence::find_certificate_evidence(certificate));
  if (!found) return Error(ErrorCategory::kFormat, "a certificate without evidence");
  EvidenceListing listing = CASEMATE_TRY(kind_of_evidence(found->evidence) == EvidenceKind::kSnpReport
                                             ? list_snp(found->evidence)
                                             : list_quote(without_open_enclave_header(found->evidence)));
  listing.format = "certificate with " + listing.format;
  if (found->nonce) listing.measurements.push_back(bytes("certificate_nonce", *found->nonce));
  return listing;
}

}  // namespace

Result<EvidenceListing> list_evidence(ByteView data) {
  switch (kind_of_evidence(data)) {
    case EvidenceKind::kDcapQuote:
      return list_quote(without_open_enclave_header(data));
    case EvidenceKind::kSnpReport:
      return list_snp(data);
    case EvidenceKind::kProcessEvidence:
      return list_process_evidence(data);
    case EvidenceKind::kCertificate:
      return list_certificate(data);
    case EvidenceKind::kHclReport:
      return list_hcl(data);
    case EvidenceKind::kTdReport:
      return list_td_report(data);
    case EvidenceKind::kSgxReport:
      return list_sgx_report(data);
    case EvidenceKind::kSgxTargetInfo:
      return list_target_info(data);
    case EvidenceKind::kSigstruct:
      return list_sigstruct(data);
    case EvidenceKind::kUnknown:
      break;
  }
  return Error(ErrorCategory::kFormat, "evidence of no known kind (" + std::to_string(data.size()) + " bytes)");
}

}  // namespace casemate::cli
