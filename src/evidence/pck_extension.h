// The SGX extension of a PCK certificate (OID 1.2.840.113741.1.13.1; Intel "SGX PCK Certificate and CRL Profile"):
// which platform the certificate stands for and at which security version.
#pragma once

#include <optional>
#include <string_view>

#include "evidence/byte_reader.h"

namespace casemate::evidence {

inline constexpr std::string_view kPckExtensionOid = "1.2.840.113741.1.13.1";

struct PckExtension {
  FixedBytes<16> ppid{};
  std::array<std::uint8_t, 16> component_svns{};
  std::uint16_t pce_svn = 0;
  FixedBytes<16> cpu_svn{};
  FixedBytes<2> pce_id{};
  FixedBytes<6> fmspc{};
  std::uint8_t sgx_type = 0;  // 0 standard, 1 scalable, 2 scalable with integrity
  // Of certificates of the Platform CA only.
  std::optional<FixedBytes<16>> platform_instance_id;
};

// `value`: of the extension. Errors: kFormat, also when one of the fields above is missing or there twice.
Result<PckExtension> parse_pck_extension(ByteView value);
Bytes build(const PckExtension& extension);

}  // namespace casemate::evidence
