// TDX: the TD report body that quotes sign (TDX 1.0 and 1.5) and the local TDREPORT structure (Intel TDX module ABI).
#pragma once

#include <optional>

#include "evidence/byte_reader.h"

namespace casemate::evidence {

inline constexpr std::size_t kTdReport10Size = 584, kTdReport15Size = 648, kTdReportStructureSize = 1024;

// Bits of TdReportBody::attribute_bits().
inline constexpr std::uint64_t kTdAttributeDebug = 0x1;
inline constexpr std::uint64_t kTdAttributeOtherDebug = 0xfe;  // the rest of the TUD group ("TD under debug")
inline constexpr std::uint64_t kTdAttributeSeptVeDisable = std::uint64_t{1} << 28;

// What TDX 1.5 adds.
struct TdReport15Fields {
  FixedBytes<16> tee_tcb_svn2{};
  FixedBytes<48> mr_service_td{};
};

struct TdReportBody {
  FixedBytes<16> tee_tcb_svn{};
  FixedBytes<48> mr_seam{};
  FixedBytes<48> mr_signer_seam{};
  FixedBytes<8> seam_attributes{};
  FixedBytes<8> td_attributes{};
  FixedBytes<8> xfam{};
  FixedBytes<48> mr_td{};
  FixedBytes<48> mr_config_id{};
  FixedBytes<48> mr_owner{};
  FixedBytes<48> mr_owner_config{};
  std::array<FixedBytes<48>, 4> rtmr{};
  FixedBytes<64> report_data{};
  std::optional<TdReport15Fields> version15;

  std::uint64_t attribute_bits() const { return FieldView(td_attributes).number<std::uint64_t>(0); }
  bool is_debug() const { return (attribute_bits() & (kTdAttributeDebug | kTdAttributeOtherDebug)) != 0; }
};

// The size decides between 1.0 and 1.5. Errors: kFormat for any other size.
Result<TdReportBody> parse_td_report_body(ByteView data);
Bytes build(const TdReportBody& body);

// TDREPORT as TDG.MR.REPORT gives it. Only the same machine can check its MAC (SEAMREPORT).
struct TdReportStructure {
  std::uint8_t type = 0x81, subtype = 0, version = 0;
  FixedBytes<16> cpu_svn{};
  FixedBytes<48> tee_tcb_info_hash{};
  FixedBytes<48> td_info_hash{};
  FixedBytes<64> report_data{};
  FixedBytes<32> mac{};
  FixedBytes<239> tee_tcb_info{};
  FixedBytes<512> td_info{};
};

// Errors: kFormat for another size, another TEE type or reserved bytes that are not zero.
Result<TdReportStructure> parse_td_report_structure(ByteView data);
Bytes build(const TdReportStructure& report);

}  // namespace casemate::evidence
