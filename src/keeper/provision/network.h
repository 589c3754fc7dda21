// From the network rules of a service's configuration to those that `casemate run --net` reads from a file: the same
// structure, with PEM texts where a file would have paths. keeper/network_endpoints.h makes endpoints of either.
//
// What a hostile CAS can do here -> what we answer
//   name a file of this host as identity ("file:...") -> refused: it has PEM text, or the run does not start
//   protect without saying by whom                    -> refused, too
#pragma once

#include "policy/network_rules.h"
#include "protocol/provision.h"

namespace casemate::keeper {

// Errors: kFormat with the rule's name.
Result<policy::NetworkRules> network_rules_of(const protocol::GrantedNetwork& granted);

}  // namespace casemate::keeper
