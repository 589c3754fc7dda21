// TCB info and QE identity: Intel's signed statements which security versions are current (Intel PCS API, versions 2 to
// 4 of the service, structures of versions 2 and 3). Parsers only; signatures are checked by dcap_collateral.h.
#pragma once

#include <array>
#include <optional>
#include <string_view>
#include <vector>

#include "attest/result.h"
#include "crypto/bytes.h"

namespace casemate::attest {

using ComponentSvns = std::array<std::uint8_t, 16>;

struct TcbLevel {
  ComponentSvns sgx_svns{};
  ComponentSvns tdx_svns{};  // of TCB info for TDX only
  std::uint16_t pce_svn = 0;
  TcbStatus status = TcbStatus::kNotSupported;
  std::string date;
  std::vector<std::string> advisories;
};

// A level by one number: of a quoting enclave or a TDX module.
struct SvnLevel {
  std::uint32_t isv_svn = 0;
  TcbStatus status = TcbStatus::kNotSupported;
  std::string date;
  std::vector<std::string> advisories;
};
// The first level that `isv_svn` reaches; nullptr when none.
const SvnLevel* find_level(const std::vector<SvnLevel>& levels, std::uint32_t isv_svn);

struct TdxModule {
  crypto::Bytes mr_signer;        // 48
  crypto::Bytes attributes;       // 8
  crypto::Bytes attributes_mask;  // 8
};

struct TdxModuleIdentity {
  std::string id;  // "TDX_03", upper case
  TdxModule module;
  std::vector<SvnLevel> levels;
};

struct TcbInfo {
  std::string id;  // "SGX" or "TDX"
  std::uint32_t version = 0;
  Moment issue_date = 0, next_update = 0;
  crypto::Bytes fmspc, pce_id;
  std::uint32_t evaluation_data_number = 0;
  std::optional<TdxModule> tdx_module;
  std::vector<TdxModuleIdentity> tdx_module_identities;
  std::vector<TcbLevel> levels;  // best first, as signed

  // nullptr when Intel lists no module of this major version.
  const TdxModuleIdentity* find_module_identity(std::uint8_t major_version) const;
};

struct QeIdentity {
  std::string id;  // "QE" or "TD_QE"
  Moment issue_date = 0, next_update = 0;
  std::uint32_t evaluation_data_number = 0;
  std::uint32_t misc_select = 0, misc_select_mask = 0;
  crypto::Bytes attributes, attributes_mask;  // 16
  crypto::Bytes mr_signer;                    // 32
  std::uint16_t isv_product_id = 0;
  std::vector<SvnLevel> levels;
};

// `text`: the value of "tcbInfo" or "enclaveIdentity". Errors: kFormat.
Result<TcbInfo> parse_tcb_info(std::string_view text);
Result<QeIdentity> parse_qe_identity(std::string_view text);

}  // namespace casemate::attest
