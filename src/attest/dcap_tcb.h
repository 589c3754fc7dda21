// How Intel derives the TCB status of a platform from its security versions (Intel "SGX TDX DCAP quote verification",
// "Intel PCS API: determining the TCB level"): platform level, TDX module, relaunch advice, quoting enclave.
#pragma once

#include "attest/result.h"
#include "attest/tcb_info.h"
#include "evidence/dcap_quote.h"
#include "evidence/pck_extension.h"

namespace casemate::attest {

struct TcbEvaluation {
  TcbStatus status = TcbStatus::kNotSupported;  // all together
  std::optional<TcbStatus> platform, quoting_enclave, tdx_module;
  std::string date;                     // of the platform's level
  std::vector<std::string> advisories;  // of every level that applies, each once
};

// Requires: TCB info and QE identity of the quote's TEE, whose signatures and modules were checked before; for a TDX
// module of a major version above 0, TCB info that lists it.
TcbEvaluation evaluate_tcb(const evidence::DcapQuote& quote, const evidence::PckExtension& pck, const TcbInfo& info,
                           const QeIdentity& identity);

}  // namespace casemate::attest
