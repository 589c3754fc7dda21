// Quotes of confidential virtual machines through configfs-tsm (Linux 6.7; Documentation/ABI/testing/configfs-tsm): one
// directory per request below the tree, report data written to `inblob`, the quote read from `outblob`.
//
// What a hostile host can do here -> what we answer
//  - return anything as a quote, or nothing -> the verifier checks it; we bound sizes and retries
//  - let another writer of the tree change our request -> a directory of our own, and `generation` must have counted
//    exactly our one write
#pragma once

#include <string>

#include "base/result.h"
#include "crypto/bytes.h"
#include "evidence/simulation.h"

namespace casemate::las {

inline constexpr const char* kTsmTree = "/sys/kernel/config/tsm/report";

struct TsmReport {
  std::string provider;     // "tdx_guest", "sev_guest"
  crypto::Bytes quote;      // outblob
  crypto::Bytes auxiliary;  // auxblob; may be empty
};

// Blocks until the hardware and its service answered, up to seconds. Errors: kNotFound when there is no such tree,
// kSystem.
Result<TsmReport> tsm_report(const std::string& tree, const evidence::Digest64& report_data);

// Which hardware stands behind the tree, without asking it for a quote. Errors as above.
Result<std::string> tsm_provider(const std::string& tree);

}  // namespace casemate::las
