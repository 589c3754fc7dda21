#include "cas/service/network.h"

#include <algorithm>

#include "policy/names.h"
#include "policy/uses.h"

namespace casemate::cas {
namespace {

using policy::NetworkRule;
using policy::PeerAuthentication;

constexpr std::string_view kOwnNames = "uri:casemate://";

// SCONE's sessions say everything that they want themselves.
bool shows_own_identity(const policy::Session& session, const NetworkRule& rule) {
  return rule.identity.empty() && session.version == policy::Version::kCasemate1;
}

bool is_shown_by(const NetworkRule& rule, const std::string& secret, const policy::Session& session) {
  if (!rule.is_protected) return false;
  const auto references = policy::find_references(rule.identity);
  if (!references) return false;
  return std::ranges::any_of(references.value(), [&](const policy::SecretReference& reference) {
    return policy::named_format(session, reference).secret == secret;
  });
}

Error unusable(const NetworkRule& rule, const Error& why) {
  return why.with_context("network rule '" + rule.name + "'");
}

Result<std::string> identity_of(const NetworkRule& rule, const policy::Session& session,
                                const ServiceSecrets& secrets) {
  std::string pem;
  if (!shows_own_identity(session, rule)) {
    const auto text = CASEMATE_TRY(policy::substitute(rule.identity, session, secrets));
    pem = text->expose();
    return pem;
  }
  for (const char* format : {"key", "chain"}) {
    const auto part = CASEMATE_TRY(policy::write_secret(*secrets.identity(), "identity", format));
    pem += part->expose();
  }
  return pem;
}

Result<std::string> anchors_of(const NetworkRule& rule, const policy::Session& session, const ServiceSecrets& secrets) {
  if (rule.authentication == PeerAuthentication::kUnset) {
    return crypto::to_pem(secrets.identity()->issuers.back(), "CERTIFICATE");
  }
  const auto text = CASEMATE_TRY(policy::substitute(rule.peer_chain, session, secrets));
  return std::string(text->expose());
}

Result<protocol::GrantedRule> granted_rule(const NetworkRule& rule, const policy::Session& session,
                                           const ServiceSecrets& secrets) {
  protocol::GrantedRule granted;
  granted.end = rule.side == policy::RuleSide::kServer ? protocol::RuleEnd::kServer : protocol::RuleEnd::kClient;
  granted.name = rule.name;
  granted.endpoint = rule.endpoint;
  granted.destination_ip = rule.destination_ip;
  granted.is_protected = rule.is_protected;
  granted.authenticates_peer = rule.is_protected && rule.authentication != PeerAuthentication::kDisabled;
  if (!rule.is_protected) return granted;
  granted.identity = CASEMATE_TRY(identity_of(rule, session, secrets));
  if (granted.authenticates_peer) granted.anchors = CASEMATE_TRY(anchors_of(rule, session, secrets));
  return granted;
}

}  // namespace

std::string service_uri(std::string_view session, std::string_view service) {
  return "casemate://" + std::string(session) + "/" + std::string(service);
}

bool needs_service_identity(const policy::Session& session, const policy::Service& service) {
  if (policy::mode_of(service.network) == policy::ShieldMode::kDisabled) return false;
  return std::ranges::any_of(service.network.rules, [&](const NetworkRule& rule) {
    const bool leaves_open = shows_own_identity(session, rule) || rule.authentication == PeerAuthentication::kUnset;
    return rule.is_protected && leaves_open;
  });
}

Result<policy::Secret> with_service_names(const policy::Secret& secret, const policy::Session& session) {
  policy::Secret named = secret;
  for (const std::string& name : secret.alternative_names) {
    if (!name.starts_with(kOwnNames)) continue;
    const bool is_own = std::ranges::any_of(session.services, [&](const policy::Service& service) {
      return name == "uri:" + service_uri(session.name, service.name);
    });
    if (is_own) continue;
    return Error(ErrorCategory::kUsage, "secret '" + secret.name + "': '" + name + "' is no service of this session");
  }
  if (secret.kind != policy::SecretKind::kX509) return named;
  for (const policy::Service& service : session.services) {
    const bool shows = std::ranges::any_of(
        service.network.rules, [&](const NetworkRule& rule) { return is_shown_by(rule, secret.name, session); });
    const std::string name = "uri:" + service_uri(session.name, service.name);
    const bool has = std::ranges::find(named.alternative_names, name) != named.alternative_names.end();
    if (shows && !has) named.alternative_names.push_back(name);
  }
  return named;
}

Result<protocol::GrantedNetwork> granted_network(const policy::Session& session, const policy::Service& service,
                                                 const ServiceSecrets& secrets) {
  constexpr protocol::NetworkMode kModes[] = {protocol::NetworkMode::kOff, protocol::NetworkMode::kNamedOnly,
                                              protocol::NetworkMode::kDenyOthers};
  protocol::GrantedNetwork granted;
  const policy::ShieldMode mode = policy::mode_of(service.network);
  if (mode == policy::ShieldMode::kDisabled) return granted;
  granted.mode = kModes[static_cast<std::size_t>(mode)];
  granted.refuses_unsupported = policy::refuses_unsupported(service.network);
  const policy::NetworkRules rules = policy::network_rules_of(service.network);
  for (std::size_t i = 0; i < rules.network.rules.size(); ++i) {
    Result<protocol::GrantedRule> rule = granted_rule(rules.network.rules[i], session, secrets);
    if (!rule) return unusable(rules.network.rules[i], rule.error());
    rule.value().peer_names = rules.peer_names[i];
    granted.rules.push_back(std::move(rule).value());
  }
  return granted;
}

}  // namespace casemate::cas
