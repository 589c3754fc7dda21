// SGX REPORT, its body and TARGETINFO (Intel SDM vol. 3D, chapter 37). The body is what a DCAP quote signs.
#pragma once

#include "evidence/byte_reader.h"

namespace casemate::evidence {

inline constexpr std::size_t kSgxReportBodySize = 384, kSgxReportSize = 432, kSgxTargetInfoSize = 512;

// Bits of SgxReportBody::flags().
inline constexpr std::uint64_t kSgxAttributeInit = 0x1, kSgxAttributeDebug = 0x2, kSgxAttributeMode64 = 0x4,
                               kSgxAttributeProvisionKey = 0x10, kSgxAttributeLaunchKey = 0x20;

struct SgxReportBody {
  FixedBytes<16> cpu_svn{};
  std::uint32_t misc_select = 0;
  std::uint8_t cet_attributes = 0;
  FixedBytes<16> isv_extended_product_id{};
  FixedBytes<16> attributes{};  // 8 bytes FLAGS, 8 bytes XFRM
  FixedBytes<32> mr_enclave{};
  FixedBytes<32> mr_signer{};
  FixedBytes<64> config_id{};
  std::uint16_t isv_product_id = 0;
  std::uint16_t isv_svn = 0;
  std::uint16_t config_svn = 0;
  FixedBytes<16> isv_family_id{};
  FixedBytes<64> report_data{};

  std::uint64_t flags() const { return FieldView(attributes).number<std::uint64_t>(0); }
  bool is_debug() const { return (flags() & kSgxAttributeDebug) != 0; }
};

// A local report: the body and a MAC that only the target enclave on the same machine can check.
struct SgxReport {
  SgxReportBody body;
  FixedBytes<32> key_id{};
  FixedBytes<16> mac{};
};

struct SgxTargetInfo {
  FixedBytes<32> mr_enclave{};
  FixedBytes<16> attributes{};
  std::uint8_t cet_attributes = 0;
  std::uint16_t config_svn = 0;
  std::uint32_t misc_select = 0;
  FixedBytes<64> config_id{};
};

// Errors of the parsers: kFormat for any other size. Reserved bytes of a body are not judged here: what is signed stays
// readable whatever a later processor puts there.
Result<SgxReportBody> parse_sgx_report_body(ByteView data);
Result<SgxReport> parse_sgx_report(ByteView data);
// Reserved bytes must be zero: EREPORT refuses them otherwise.
Result<SgxTargetInfo> parse_sgx_target_info(ByteView data);

Bytes build(const SgxReportBody& body);
Bytes build(const SgxReport& report);
Bytes build(const SgxTargetInfo& target);

}  // namespace casemate::evidence
