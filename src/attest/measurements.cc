#include "attest/measurements.h"

namespace casemate::attest {
namespace {

using evidence::ByteView;

Measurement bytes(const char* name, ByteView value) { return {name, crypto::to_hex(value)}; }
Measurement number(const char* name, std::uint64_t value) { return {name, value}; }

std::string hex_number(std::uint64_t value) {
  std::string digits;
  do {
    digits.insert(digits.begin(), "0123456789abcdef"[value & 0xf]);
    value >>= 4;
  } while (value != 0);
  return "0x" + digits;
}

Measurement tcb(const char* name, const evidence::FixedBytes<8>& raw,
                std::optional<evidence::SnpGeneration> generation) {
  if (!generation) return bytes(name, raw);
  return {name, evidence::to_text(evidence::decode_snp_tcb(raw, *generation), *generation)};
}

}  // namespace

std::vector<Measurement> measurements_of(const evidence::SgxReportBody& body) {
  evidence::Bytes misc_select;
  evidence::append_number(misc_select, body.misc_select);
  return {
      bytes("cpusvn", body.cpu_svn),
      bytes("miscselect", misc_select),
      bytes("isvextprodid", body.isv_extended_product_id),
      bytes("attributes", body.attributes),
      bytes("mrenclave", body.mr_enclave),
      bytes("mrsigner", body.mr_signer),
      bytes("configid", body.config_id),
      number("isvprodid", body.isv_product_id),
      number("isvsvn", body.isv_svn),
      number("configsvn", body.config_svn),
      bytes("isvfamilyid", body.isv_family_id),
      bytes("report_data", body.report_data),
  };
}

std::vector<Measurement> measurements_of(const evidence::TdReportBody& body) {
  std::vector<Measurement> list = {
      bytes("tee_tcb_svn", body.tee_tcb_svn),
      bytes("mrseam", body.mr_seam),
      bytes("mrsignerseam", body.mr_signer_seam),
      bytes("seamattributes", body.seam_attributes),
      bytes("tdattributes", body.td_attributes),
      bytes("xfam", body.xfam),
      bytes("mrtd", body.mr_td),
      bytes("mrconfigid", body.mr_config_id),
      bytes("mrowner", body.mr_owner),
      bytes("mrownerconfig", body.mr_owner_config),
      bytes("rtmr0", body.rtmr[0]),
      bytes("rtmr1", body.rtmr[1]),
      bytes("rtmr2", body.rtmr[2]),
      bytes("rtmr3", body.rtmr[3]),
      bytes("report_data", body.report_data),
  };
  if (body.version15) {
    list.push_back(bytes("tee_tcb_svn2", body.version15->tee_tcb_svn2));
    list.push_back(bytes("mrservicetd", body.version15->mr_service_td));
  }
  return list;
}

std::vector<Measurement> measurements_of(const evidence::SnpReport& report,
                                         std::optional<evidence::SnpGeneration> generation) {
  std::vector<Measurement> list = {
      bytes("measurement", report.measurement),
      bytes("report_data", report.report_data),
      bytes("host_data", report.host_data),
      {"policy", hex_number(report.policy)},
      number("vmpl", report.vmpl),
      number("guest_svn", report.guest_svn),
      bytes("family_id", report.family_id),
      bytes("image_id", report.image_id),
      bytes("id_key_digest", report.id_key_digest),
      bytes("author_key_digest", report.author_key_digest),
      bytes("report_id", report.report_id),
      bytes("report_id_ma", report.report_id_migration_agent),
      bytes("chip_id", report.chip_id),
      {"platform_info", hex_number(report.platform_info)},
      tcb("current_tcb", report.current_tcb, generation),
      tcb("reported_tcb", report.reported_tcb, generation),
      tcb("committed_tcb", report.committed_tcb, generation),
      tcb("launch_tcb", report.launch_tcb, generation),
  };
  if (report.version >= evidence::kSnpVersionWithCpuid) {
    list.push_back(number("cpuid_family", report.cpuid_family));
    list.push_back(number("cpuid_model", report.cpuid_model));
    list.push_back(number("cpuid_stepping", report.cpuid_stepping));
  }
  if (report.version >= evidence::kSnpVersionWithMitigations) {
    list.push_back({"launch_mitigation_vector", hex_number(report.launch_mitigations)});
    list.push_back({"current_mitigation_vector", hex_number(report.current_mitigations)});
  }
  return list;
}

}  // namespace casemate::attest
