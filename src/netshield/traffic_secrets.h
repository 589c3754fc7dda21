// From a finished handshake (src/crypto) to the record layer.
#pragma once

#include "crypto/tls_handshake.h"
#include "netshield/record/record_layer.h"

namespace casemate::netshield {

// The caller wipes the result.
TrafficSecrets traffic_secrets_of(const crypto::TlsOutcome& outcome, crypto::TlsSide side);

}  // namespace casemate::netshield
