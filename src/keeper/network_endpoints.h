// From a rule of the network shield to what a handshake needs: identities and anchors from PEM text or files.
#pragma once

#include <cstddef>
#include <string>

#include "crypto/tls_handshake.h"
#include "policy/network_rules.h"

namespace casemate::keeper {

inline constexpr std::size_t kMostPemBytes = 256 * 1024;

// `directory`: where "file:" paths that are not absolute begin, "" for the working directory. Requires: the rule is
// protected. Errors: kSystem and kFormat with the rule's name; kUsage when others may read a file with a private key.
Result<crypto::TlsEndpointSettings> endpoint_settings_of(const policy::NetworkRules& rules, std::size_t rule,
                                                         const std::string& directory);

}  // namespace casemate::keeper
