// From a rule of the network shield to what a handshake needs: identities and anchors from PEM text or files.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "crypto/tls_handshake.h"
#include "policy/network_rules.h"

namespace casemate::keeper {

inline constexpr std::size_t kMostPemBytes = 256 * 1024;

// `directory`: where "file:" paths that are not absolute begin, "" for the working directory. Requires: the rule is
// protected. Errors: kSystem and kFormat with the rule's name; kUsage when others may read a file with a private key.
Result<crypto::TlsEndpointSettings> endpoint_settings_of(const policy::NetworkRules& rules, std::size_t rule,
                                                         const std::string& directory);

// What NetworkService needs of a run's rules, wherever they come from.
struct NetworkSettings {
  policy::NetworkRules rules;
  std::vector<std::optional<crypto::TlsEndpointSettings>> endpoints;  // by rule; none for plain ones
};

// endpoint_settings_of() for each protected rule. Errors: as there.
Result<NetworkSettings> network_settings_of(const policy::NetworkRules& rules, const std::string& directory);
// The rules file of `casemate run --net`. Errors: kUsage with the file's diagnostics.
Result<NetworkSettings> load_network_settings(const std::string& path);

}  // namespace casemate::keeper
