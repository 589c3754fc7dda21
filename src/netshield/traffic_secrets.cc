#include "netshield/traffic_secrets.h"

#include <cstring>

namespace casemate::netshield {

TrafficSecrets traffic_secrets_of(const crypto::TlsOutcome& outcome, crypto::TlsSide side) {
  const bool is_server = side == crypto::TlsSide::kServer;
  TrafficSecrets secrets = {};
  secrets.suite = static_cast<Suite>(outcome.suite);
  secrets.side = is_server ? Side::kServer : Side::kClient;
  const auto& ours = is_server ? outcome.server_secret : outcome.client_secret;
  const auto& theirs = is_server ? outcome.client_secret : outcome.server_secret;
  std::memcpy(secrets.write_secret, ours.expose().data(), secret_size_of(secrets.suite));
  std::memcpy(secrets.read_secret, theirs.expose().data(), secret_size_of(secrets.suite));
  secrets.write_sequence = outcome.write_sequence;
  return secrets;
}

}  // namespace casemate::netshield
