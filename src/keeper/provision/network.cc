#include "keeper/provision/network.h"

#include "base/result.h"

namespace casemate::keeper {
namespace {

Error unusable(const protocol::GrantedRule& rule, const std::string& why) {
  return Error(ErrorCategory::kFormat, "network rule `" + rule.name + "` of the CAS: " + why);
}

Result<policy::NetworkRule> rule_of(const protocol::GrantedRule& granted) {
  policy::NetworkRule rule;
  rule.side = granted.end == protocol::RuleEnd::kServer ? policy::RuleSide::kServer : policy::RuleSide::kClient;
  rule.name = granted.name;
  rule.endpoint = granted.endpoint;
  rule.destination_ip = granted.destination_ip;
  rule.is_protected = granted.is_protected;
  rule.identity = granted.identity;
  rule.peer_chain = granted.anchors;
  rule.peer_names = granted.peer_names;
  rule.authentication =
      granted.authenticates_peer ? policy::PeerAuthentication::kChain : policy::PeerAuthentication::kDisabled;
  for (const std::string* pem : {&rule.identity, &rule.peer_chain}) {
    if (pem->starts_with(policy::kFilePrefix)) return unusable(granted, "it names a file of this host");
  }
  if (!rule.is_protected) return rule;
  if (!rule.endpoint.starts_with("TCP:")) return unusable(granted, "only TCP can be protected by this version");
  if (rule.side == policy::RuleSide::kServer && rule.identity.empty()) return unusable(granted, "it has no identity");
  if (granted.authenticates_peer && rule.peer_chain.empty()) return unusable(granted, "it says not whom to trust");
  return rule;
}

}  // namespace

Result<policy::NetworkRules> network_rules_of(const protocol::GrantedNetwork& granted) {
  constexpr policy::ShieldMode kModes[] = {policy::ShieldMode::kDisabled, policy::ShieldMode::kUnprotected,
                                           policy::ShieldMode::kProtected};
  policy::NetworkRules rules;
  rules.network.mode = kModes[static_cast<std::size_t>(granted.mode)];
  rules.network.refuse_unsupported_protocols = granted.refuses_unsupported;
  for (const protocol::GrantedRule& rule : granted.rules) {
    rules.network.rules.push_back(CASEMATE_TRY(rule_of(rule)));
    rules.peer_names.push_back(rule.peer_names);  // exactly these: defaults were the CAS's to fill in
  }
  return rules;
}

}  // namespace casemate::keeper
