// Azure's wrapper around hardware reports of confidential VMs: what the paravisor (HCL) leaves in the vTPM. It carries
// the SNP report or the TDREPORT, and runtime data (JSON with the vTPM's keys) whose digest stands in the report data.
// Layout: Microsoft, "Azure confidential VM attestation: HCL report"; 32-byte header, report, then the request data.
//
// What a hostile host can do here: the wrapper is unsigned. It counts only as far as the digest in the signed report
// covers it, which binds_runtime_data() checks; all sizes are compared with what is there.
#pragma once

#include "evidence/byte_reader.h"

namespace casemate::evidence {

enum class HclReportType : std::uint32_t { kSnp = 2, kTdx = 4 };
enum class HclHash : std::uint32_t { kSha256 = 1, kSha384 = 2, kSha512 = 3 };

// Views are into the argument of parse_hcl_report.
struct HclReport {
  HclReportType type = HclReportType::kSnp;
  HclHash hash = HclHash::kSha256;
  ByteView hardware_report;  // SNP: 1184 bytes; TDX: TDREPORT, 1024 bytes
  ByteView runtime_data;
};

bool looks_like_hcl_report(ByteView data);
// Zero bytes may follow (the vTPM's area is of fixed size). Errors: kFormat.
Result<HclReport> parse_hcl_report(ByteView data);
Bytes build(const HclReport& report);

// Digest of the runtime data, zero-padded to the size of report data.
FixedBytes<64> expected_report_data(const HclReport& report);
// Of an SNP report, a TD quote or a TDREPORT: whether it speaks for this runtime data.
bool binds_runtime_data(const HclReport& report, const FixedBytes<64>& report_data);

}  // namespace casemate::evidence
