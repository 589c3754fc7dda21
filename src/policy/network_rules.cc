#include "policy/network_rules.h"

#include <algorithm>

#include "policy/names.h"
#include "policy/parse_internal.h"
#include "policy/yaml_tree.h"

namespace casemate::policy {
namespace {

// ---- the rules file -------------------------------------------------------------------------------------------------

void refuse_reference(const NetworkRule& rule, const std::string& text, const char* what, Diagnostics& out) {
  const Result<std::vector<SecretReference>> references = find_references(text);
  if (references.has_value() && references.value().empty()) return;
  out.error(rule.where, std::string("`") + what + "` of rule `" + rule.name + "` refers to a secret of a CAS",
            "a rules file has PEM text or \"file:PATH\" here; for secrets use `casemate run --policy`");
}

void check_rule(const NetworkRule& rule, Diagnostics& out) {
  const bool is_server = rule.side == RuleSide::kServer;
  const std::string who = "rule `" + rule.name + "`";
  refuse_reference(rule, rule.identity, "identity", out);
  refuse_reference(rule, rule.peer_chain, is_server ? "client_auth" : "server_auth", out);
  if (!rule.is_protected) return;
  if (is_server && rule.identity.empty()) {
    out.error(rule.where, who + " is protected, but has no identity", "add identity: file:server.pem");
  }
  if (rule.authentication == PeerAuthentication::kUnset) {
    out.error(rule.where, who + " does not say whom it trusts at the other end",
              is_server ? "add client_auth: file:clients-ca.pem, or client_auth: disabled to serve anybody"
                        : "add server_auth: file:servers-ca.pem");
  }
  if (rule.authentication == PeerAuthentication::kDisabled) {
    out.warning(rule.where, who + " authenticates no peer: anybody may be at the other end",
                "name a certificate authority");
  }
}

void check_unique_rules(const std::vector<NetworkRule>& rules, Diagnostics& out) {
  for (std::size_t i = 0; i < rules.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const NetworkRule &rule = rules[i], &other = rules[j];
      if (rule.side != other.side) continue;
      const std::string before = " as in line " + std::to_string(other.where.line);
      if (rule.name == other.name) out.error(rule.where, "rule `" + rule.name + "` has the same name" + before);
      if (rule.endpoint == other.endpoint && rule.destination_ip == other.destination_ip) {
        out.error(rule.where, "rule `" + rule.name + "` is for the same connections" + before, "remove one of them");
      }
    }
  }
}

// ---- matching -------------------------------------------------------------------------------------------------------

struct Endpoint {
  std::string_view host;  // clients; without brackets
  std::string_view port;
  std::string_view path;  // unix
};

std::string_view without_brackets(std::string_view host) {
  const bool has = host.size() > 2 && host.front() == '[' && host.back() == ']';
  return has ? host.substr(1, host.size() - 2) : host;
}

Endpoint split(std::string_view endpoint) {
  Endpoint parts;
  if (endpoint.starts_with("unix:")) {
    parts.path = endpoint.substr(5);
    return parts;
  }
  endpoint.remove_prefix(std::min<std::size_t>(4, endpoint.size()));
  const std::size_t colon = endpoint.rfind(':');
  parts.port = colon == std::string_view::npos ? endpoint : endpoint.substr(colon + 1);
  parts.host = colon == std::string_view::npos ? "" : without_brackets(endpoint.substr(0, colon));
  return parts;
}

bool is_numeric_address(std::string_view host) {
  if (host.find(':') != std::string_view::npos) return true;
  return !host.empty() && host.find_first_not_of("0123456789.") == std::string_view::npos;
}

// How well a rule's destination fits; a better one wins.
enum class Fit { kNone, kAnyHost, kHostName, kExact };

Fit fit_of_destination(const NetworkRule& rule, const Endpoint& endpoint, const ConnectionQuery& query) {
  const std::string_view ip = without_brackets(rule.destination_ip);
  if (!ip.empty() && ip != "*") return ip == query.address ? Fit::kExact : Fit::kNone;
  if (endpoint.host == query.address) return Fit::kExact;
  if (is_numeric_address(endpoint.host)) return Fit::kNone;
  if (endpoint.host == "*") return Fit::kAnyHost;
  // Programs connect to addresses: which name was looked up is not known. The peer's certificate must have the name.
  return is_numeric_address(query.address) ? Fit::kHostName : Fit::kNone;
}

Fit fit_of(const NetworkRule& rule, const ConnectionQuery& query) {
  const bool is_server = rule.side == RuleSide::kServer;
  if (is_server != (query.purpose == Purpose::kServe)) return Fit::kNone;
  const Endpoint endpoint = split(rule.endpoint);
  if (query.transport == Transport::kUnix) {
    return !endpoint.path.empty() && endpoint.path == query.path ? Fit::kExact : Fit::kNone;
  }
  if (endpoint.port != std::to_string(query.port)) return Fit::kNone;
  return is_server ? Fit::kExact : fit_of_destination(rule, endpoint, query);
}

NetworkDecision without_rule(const Network& network, const ConnectionQuery& query) {
  const ShieldMode mode = mode_of(network);
  if (query.transport == Transport::kOther) {
    if (refuses_unsupported(network))
      return {Protection::kDeny, {}, "only TCP and path-named unix sockets can be protected"};
    return {Protection::kPlain, {}, "`unsupported_protocols` is `unprotected`"};
  }
  if (mode == ShieldMode::kProtected) return {Protection::kDeny, {}, "no rule names it, and `mode` is `protected`"};
  return {Protection::kPlain, {}, "no rule names it, and `mode` is `unprotected`"};
}

struct Best {
  Fit fit = Fit::kNone;
  std::size_t rule = 0;
  bool is_ambiguous = false;
  std::size_t other = 0;
};

Best best_rule(const Network& network, const ConnectionQuery& query) {
  Best best;
  for (std::size_t i = 0; i < network.rules.size(); ++i) {
    const Fit fit = fit_of(network.rules[i], query);
    if (fit == Fit::kNone || fit < best.fit) continue;
    if (fit == best.fit) {
      best.is_ambiguous = true;
      best.other = i;
    } else {
      best = {fit, i, false, 0};
    }
  }
  return best;
}

Result<std::uint16_t> port_of(std::string_view text) {
  const bool digits =
      !text.empty() && text.size() <= 5 && text.find_first_not_of("0123456789") == std::string_view::npos;
  const unsigned long port = digits ? std::stoul(std::string(text)) : 0;
  if (port >= 1 && port <= 65535) return static_cast<std::uint16_t>(port);
  return Error(ErrorCategory::kUsage, "`" + std::string(text) + "` is no port (1 to 65535)");
}

}  // namespace

ShieldMode mode_of(const Network& network) {
  // SCONE: rules switch the shield on, and only what they name is shielded.
  return network.mode.value_or(network.rules.empty() ? ShieldMode::kDisabled : ShieldMode::kUnprotected);
}

bool refuses_unsupported(const Network& network) {
  return network.refuse_unsupported_protocols.value_or(mode_of(network) == ShieldMode::kProtected);
}

std::optional<NetworkRules> parse_network_rules(std::string_view text, Diagnostics& diagnostics) {
  const std::optional<Node> root = parse_yaml(text, diagnostics);
  if (!root) return std::nullopt;
  Reader reader("rules", Version::kCasemate1, diagnostics);
  Network network;
  internal::read_network(network, *root, reader);
  if (!network.mode) network.mode = ShieldMode::kProtected;
  for (const NetworkRule& rule : network.rules) check_rule(rule, diagnostics);
  check_unique_rules(network.rules, diagnostics);
  if (diagnostics.has_errors()) return std::nullopt;
  return network_rules_of(network);
}

NetworkRules network_rules_of(const Network& network) {
  NetworkRules rules{network, {}};
  for (const NetworkRule& rule : network.rules) {
    std::vector<std::string>& names = rules.peer_names.emplace_back(rule.peer_names);
    if (!names.empty()) continue;
    const std::string_view host = rule.side == RuleSide::kClient ? split(rule.endpoint).host : std::string_view();
    if (!host.empty() && host != "*" && !is_numeric_address(host)) names.push_back("dns:" + std::string(host));
  }
  return rules;
}

Result<ConnectionQuery> parse_query(Purpose purpose, std::string_view text) {
  ConnectionQuery query;
  query.purpose = purpose;
  if (text.starts_with("unix:/")) {
    query.transport = Transport::kUnix;
    query.path = text.substr(5);
    return query;
  }
  if (!text.starts_with("TCP:") && !text.starts_with("UDP:")) {
    return Error(ErrorCategory::kUsage, "`" + std::string(text) + "` is neither TCP:..., UDP:... nor unix:/PATH");
  }
  if (text.starts_with("UDP:")) query.transport = Transport::kOther;
  const Endpoint parts = split(text);
  query.port = CASEMATE_TRY(port_of(parts.port));
  query.address = parts.host;
  if (purpose == Purpose::kConnect && query.address.empty()) {
    return Error(ErrorCategory::kUsage, "`" + std::string(text) + "` names no address; write TCP:10.0.0.1:6379");
  }
  return query;
}

NetworkDecision decide(const NetworkRules& rules, const ConnectionQuery& query) {
  const Network& network = rules.network;
  if (mode_of(network) == ShieldMode::kDisabled) return {Protection::kPlain, {}, "`mode` is `disabled`"};
  if (query.transport == Transport::kOther) return without_rule(network, query);
  const Best best = best_rule(network, query);
  if (best.fit == Fit::kNone) return without_rule(network, query);
  const NetworkRule& rule = network.rules[best.rule];
  if (best.is_ambiguous) {
    return {Protection::kDeny, best.rule,
            "rules `" + rule.name + "` and `" + network.rules[best.other].name +
                "` fit equally well; give them different destination_ip"};
  }
  const char* const how = best.fit == Fit::kHostName  ? "this port of any address, whose certificate decides"
                          : best.fit == Fit::kAnyHost ? "this port of any host"
                                                      : "exactly this";
  const std::string reason = "rule `" + rule.name + "` names " + how;
  if (!rule.is_protected) return {Protection::kPlain, best.rule, reason + ", and leaves it unprotected"};
  return {rule.side == RuleSide::kServer ? Protection::kTlsServer : Protection::kTlsClient, best.rule, reason};
}

std::string_view name_of(Protection protection) {
  constexpr std::string_view kNames[] = {"tls-server", "tls-client", "plain", "deny"};
  return kNames[static_cast<std::size_t>(protection)];
}

}  // namespace casemate::policy
