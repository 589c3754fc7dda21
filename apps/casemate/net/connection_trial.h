// One connection by a client rule, up to the end of its handshake: what `casemate net test` reports.
#pragma once

#include <chrono>
#include <string>

#include "base/result.h"
#include "crypto/tls_handshake.h"
#include "policy/network_rules.h"

namespace casemate::cli {

// Connects, shakes hands, waits shortly for a refusal (a TLS 1.3 server judges the client's certificate after the
// client is done), ends in order. The result is for people. Errors: kSystem when there is no connection, kFormat when
// the handshake fails. Blocks up to `time_limit`.
Result<std::string> test_connection(const policy::ConnectionQuery& query, const crypto::TlsEndpoint& endpoint,
                                    const std::string& server_name, std::chrono::milliseconds time_limit);

}  // namespace casemate::cli
