// Rules of the network shield, in two spellings that mean the same: our `network` key of a service, and SCONE's
// environment names (SCONE_NETWORK_SHIELD*, with CASEMATE_NETWORK_SHIELD* as our own prefix).
#include <algorithm>

#include "policy/names.h"
#include "policy/parse_internal.h"

namespace casemate::policy::internal {
namespace {

constexpr Choice<ShieldMode> kModes[] = {
    {"disabled", ShieldMode::kDisabled},
    {"unprotected", ShieldMode::kUnprotected},
    {"protected", ShieldMode::kProtected},
};
constexpr Choice<bool> kProtections[] = {{"protected", true}, {"unprotected", false}};
constexpr Choice<bool> kUnsupported[] = {{"refuse", true}, {"unprotected", false}};

constexpr std::size_t kMostPeerNames = 64;

bool is_port(std::string_view text) {
  if (text.empty() || text.size() > 5 || text.find_first_not_of("0123456789") != std::string_view::npos) return false;
  const int port = std::stoi(std::string(text));
  return port >= 1 && port <= 65535 && text.front() != '0';
}

bool is_host(std::string_view text) {
  return !text.empty() && text.size() <= 255 && std::all_of(text.begin(), text.end(), [](char letter) {
    return (letter >= '0' && letter <= '9') || (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
           letter == '.' || letter == '-' || letter == '_' || letter == '*' || letter == '[' || letter == ']' ||
           letter == ':';
  });
}

// "TCP:8443" and "unix:/run/x" for servers, "TCP:redis:6379" and "unix:/run/x" for clients.
void read_endpoint(NetworkRule& rule, const Node& node, Reader& reader) {
  rule.endpoint = reader.text(node, rule.side == RuleSide::kServer ? "`port`" : "`destination`");
  if (rule.endpoint.empty()) return;
  if (rule.endpoint.starts_with("unix:/")) return;
  std::string_view rest = rule.endpoint;
  bool good = rest.starts_with("TCP:");
  if (good) rest.remove_prefix(4);
  if (rule.side == RuleSide::kClient && good) {
    const std::size_t colon = rest.rfind(':');
    good = colon != std::string_view::npos && is_host(rest.substr(0, colon));
    rest = good ? rest.substr(colon + 1) : rest;
  }
  if (good && is_port(rest)) return;
  const bool is_server = rule.side == RuleSide::kServer;
  reader.out.error(
      node.where,
      std::string(is_server ? "`port`" : "`destination`") + ": `" + rule.endpoint.substr(0, 60) + "` is no endpoint",
      is_server ? "write \"TCP:8443\" or \"unix:/path\"; only TCP and path-named unix sockets can be shielded"
                : "write \"TCP:host:6379\" or \"unix:/path\"; only TCP and path-named unix sockets can be shielded");
}

void read_protection(NetworkRule& rule, const Node& node, Reader& reader) {
  rule.is_protected = reader.choice<bool>(node, "`protection`", kProtections);
}

void read_authentication(NetworkRule& rule, const Node& node, Reader& reader) {
  const std::string chain =
      reader.template_text(node, rule.side == RuleSide::kServer ? "`client_auth`" : "`server_auth`");
  rule.authentication = chain == "disabled" ? PeerAuthentication::kDisabled : PeerAuthentication::kChain;
  if (rule.authentication == PeerAuthentication::kChain) rule.peer_chain = chain;
}

void read_identity(NetworkRule& rule, const Node& node, Reader& reader) {
  rule.identity = reader.template_text(node, "`identity`");
}

void read_destination_ip(NetworkRule& rule, const Node& node, Reader& reader) {
  rule.destination_ip = reader.text(node, "`destination_ip`");
  if (rule.destination_ip.empty() || (is_host(rule.destination_ip) && rule.destination_ip.size() <= 45)) return;
  reader.out.error(node.where, "`destination_ip`: this is no address", "write an IPv4 or IPv6 address, or \"*\"");
}

std::string read_peer_name(Reader& reader, const Node& node) {
  std::string name = reader.text(node, "a peer's name");
  const bool has_kind = name.starts_with("dns:") || name.starts_with("uri:");
  if (!name.empty() && (!has_kind || name.size() <= 4)) {
    reader.wrong(node, "a peer's name", "\"dns:NAME\" or \"uri:URI\"");
  }
  return name;
}

// Never an empty list: it would read as "nobody" and mean "any name".
void read_peer_names(NetworkRule& rule, const Node& node, Reader& reader) {
  rule.peer_names = reader.list<std::string>(node, "`peer_names`", "names", read_peer_name);
  if (rule.peer_names.size() > kMostPeerNames) {
    reader.out.error(node.where, "`peer_names` has more than 64 names", "divide the rule");
  }
}

void read_rule_name(NetworkRule& rule, const Node& node, Reader& reader) {
  rule.name = reader.local_name(node, "a rule's `name`");
}

constexpr Field<NetworkRule> kServerFields[] = {
    {"name", read_rule_name, Presence::kRequired},
    {"port", read_endpoint, Presence::kRequired},
    {"protection", read_protection},
    {"identity", read_identity},
    {"client_auth", read_authentication},
    {"peer_names", read_peer_names},
};
constexpr Field<NetworkRule> kClientFields[] = {
    {"name", read_rule_name, Presence::kRequired},
    {"destination", read_endpoint, Presence::kRequired},
    {"destination_ip", read_destination_ip},
    {"protection", read_protection},
    {"identity", read_identity},
    {"server_auth", read_authentication},
    {"peer_names", read_peer_names},
};

NetworkRule read_server(Reader& reader, const Node& node) {
  NetworkRule rule;
  rule.where = node.where;
  read_mapping<NetworkRule>(rule, node, "a server rule", kServerFields, reader);
  return rule;
}

NetworkRule read_client(Reader& reader, const Node& node) {
  NetworkRule rule;
  rule.side = RuleSide::kClient;
  rule.where = node.where;
  read_mapping<NetworkRule>(rule, node, "a client rule", kClientFields, reader);
  return rule;
}

void append(std::vector<NetworkRule>& rules, std::vector<NetworkRule> more) {
  rules.insert(rules.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

constexpr Field<Network> kNetworkFields[] = {
    {"mode", [](Network& network, const Node& node,
                Reader& reader) { network.mode = reader.choice<ShieldMode>(node, "`mode`", kModes); }},
    {"unsupported_protocols",
     [](Network& network, const Node& node, Reader& reader) {
       network.refuse_unsupported_protocols = reader.choice<bool>(node, "`unsupported_protocols`", kUnsupported);
     }},
    {"servers",
     [](Network& network, const Node& node, Reader& reader) {
       append(network.rules, reader.list<NetworkRule>(node, "`servers`", "rules", read_server));
     }},
    {"clients",
     [](Network& network, const Node& node, Reader& reader) {
       append(network.rules, reader.list<NetworkRule>(node, "`clients`", "rules", read_client));
     }},
};

// ---- the environment's spelling -------------------------------------------------------------------------------------

constexpr std::string_view kPrefixes[] = {"SCONE_NETWORK_SHIELD", "CASEMATE_NETWORK_SHIELD"};

struct VariableField {
  std::string_view suffix;
  void (*read)(NetworkRule& rule, const Node& node, Reader& reader);
};
constexpr VariableField kServerVariables[] = {
    {"_PORT", read_endpoint}, {"_IDENTITY", read_identity}, {"_CLIENT_AUTH", read_authentication}};
constexpr VariableField kClientVariables[] = {{"_DESTINATION", read_endpoint},
                                              {"_DESTINATION_IP", read_destination_ip},
                                              {"_IDENTITY", read_identity},
                                              {"_SERVER_AUTH", read_authentication}};

NetworkRule& rule_of(Network& network, RuleSide side, std::string_view name, Position where) {
  for (NetworkRule& rule : network.rules) {
    if (rule.side == side && rule.name == name) return rule;
  }
  NetworkRule& rule = network.rules.emplace_back();
  rule.side = side;
  rule.name = name;
  rule.where = where;
  return rule;
}

// `rest` is what follows SERVER_ or CLIENT_.
void read_rule_variable(Network& network, RuleSide side, std::string_view rest, const Node& node, Reader& reader) {
  const std::span<const VariableField> fields = side == RuleSide::kServer
                                                    ? std::span<const VariableField>(kServerVariables)
                                                    : std::span<const VariableField>(kClientVariables);
  const VariableField* found = nullptr;
  for (const VariableField& field : fields) {
    if (rest.size() > field.suffix.size() && rest.ends_with(field.suffix)) found = &field;
  }
  if (found != nullptr) {
    rest.remove_suffix(found->suffix.size());
    found->read(rule_of(network, side, rest, node.where), node, reader);
    return;
  }
  NetworkRule& rule = rule_of(network, side, rest, node.where);
  rule.is_protected = reader.choice<bool>(node, "network shield rule `" + std::string(rest) + "`", kProtections);
}

}  // namespace

void read_network(Network& network, const Node& node, Reader& reader) {
  read_mapping<Network>(network, node, "`network`", kNetworkFields, reader);
}

bool is_network_variable(std::string_view name) {
  return std::any_of(std::begin(kPrefixes), std::end(kPrefixes),
                     [&](std::string_view prefix) { return name.starts_with(prefix); });
}

void read_network_variable(Network& network, const EnvironmentVariable& variable, Reader& reader) {
  Node node;
  node.where = variable.where;
  node.quoting = Quoting::kQuoted;
  node.text = variable.value;
  std::string_view rest = variable.name;
  for (const std::string_view prefix : kPrefixes) {
    if (rest.starts_with(prefix)) rest.remove_prefix(prefix.size());
  }
  constexpr std::string_view kServer = "_SERVER_", kClient = "_CLIENT_";
  if (rest.empty()) {
    network.mode = reader.choice<ShieldMode>(node, "`" + variable.name + "`", kModes);
  } else if (rest == "_UNSUPPORTED_PROTOCOLS") {
    network.refuse_unsupported_protocols = reader.choice<bool>(node, "`" + variable.name + "`", kUnsupported);
  } else if (rest.starts_with(kServer) && rest.size() > kServer.size()) {
    read_rule_variable(network, RuleSide::kServer, rest.substr(kServer.size()), node, reader);
  } else if (rest.starts_with(kClient) && rest.size() > kClient.size()) {
    read_rule_variable(network, RuleSide::kClient, rest.substr(kClient.size()), node, reader);
  } else {
    constexpr std::string_view kKnown[] = {"_UNSUPPORTED_PROTOCOLS", "_SERVER_<rule>", "_CLIENT_<rule>"};
    reader.out.error(variable.where, "`" + variable.name + "` is no setting of the network shield",
                     suggest(rest, kKnown));
  }
}

}  // namespace casemate::policy::internal
