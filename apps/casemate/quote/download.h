// Gets one URL by the program casemate-fetch, which stands beside this one: the command line itself is static and has
// no network code.
//
// What a hostile server can do here -> what we answer
//  - break casemate-fetch (libcurl, TLS, the resolver) -> it is another process, with an empty environment and nothing
//    to steal; what it writes is read up to a limit and believed by nobody
#pragma once

#include <string>

#include "attest/collateral_requests.h"
#include "base/result.h"

namespace casemate::cli {

// Debian's and most distributions' roots, in one file.
inline constexpr const char* kSystemRoots = "/etc/ssl/certs/ca-certificates.crt";

struct DownloadOptions {
  std::string ca_file = kSystemRoots;
  unsigned timeout_seconds = 30;
};

// Any HTTP status is a response. Errors: kSystem, with the URL; kNotFound when casemate-fetch is not installed. Blocks
// for timeout_seconds at most.
Result<attest::CollateralResponse> download(const std::string& url, const DownloadOptions& options);

}  // namespace casemate::cli
