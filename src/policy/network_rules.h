// Which connection of a program is protected, by which rule, and why: the rules of `casemate run --net FILE`, and those
// of a session's service (session.h), which are the same but for where identities come from. Pure: no files are read
// and no names looked up here.
//
// A rules file is YAML: the keys of a service's `network` (docs/formats/session.md). `identity`, `client_auth` and
// `server_auth` are PEM text, or "file:PATH" relative to the rules file. References to secrets ($$...$$) need a CAS and
// are refused. Without `mode` it is `protected`: what no rule names is denied.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "policy/diagnostics.h"
#include "policy/session.h"

namespace casemate::policy {

inline constexpr std::string_view kFilePrefix = "file:";

struct NetworkRules {
  Network network;
  // Per rule of network.rules: what the peer's certificate must be named, one of them; "dns:..." or "uri:...". Clients
  // without the key want the destination's host name, unless that is an address or "*". Empty: any name.
  std::vector<std::vector<std::string>> peer_names;
};

// Nothing when there are errors. Blocks: no. Threads: any.
std::optional<NetworkRules> parse_network_rules(std::string_view text, Diagnostics& diagnostics);
// The rules of a session's service, with the defaults of that key.
NetworkRules network_rules_of(const Network& network);

// With the defaults of keys that are not given.
ShieldMode mode_of(const Network& network);
bool refuses_unsupported(const Network& network);  // UDP and whatever else no rule can name

// ---- decisions ------------------------------------------------------------------------------------------------------

enum class Transport { kTcp, kUnix, kOther };  // kOther: UDP, raw and whatever cannot be shielded
enum class Purpose { kServe, kConnect };

// What a program wants of the network: to serve at a port or path, or to connect to an address or path.
struct ConnectionQuery {
  Purpose purpose = Purpose::kServe;
  Transport transport = Transport::kTcp;
  std::string address;  // numeric, without brackets; a host name where the caller has one. kConnect only
  std::uint16_t port = 0;
  std::string path;  // kUnix
};

// "TCP:8443" (serve), "TCP:10.0.0.1:6379", "TCP:[::1]:6379", "TCP:db:3306", "unix:/run/x", "UDP:10.0.0.1:53". Errors:
// kUsage.
Result<ConnectionQuery> parse_query(Purpose purpose, std::string_view text);

enum class Protection { kTlsServer, kTlsClient, kPlain, kDeny };

struct NetworkDecision {
  Protection protection = Protection::kDeny;
  std::optional<std::size_t> rule;  // index in network.rules, where one decided
  std::string reason;               // one clause, for people
};

NetworkDecision decide(const NetworkRules& rules, const ConnectionQuery& query);

std::string_view name_of(Protection protection);  // "tls-server", "tls-client", "plain", "deny"

}  // namespace casemate::policy
