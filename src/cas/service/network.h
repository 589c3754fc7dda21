// The network rules of a service as it gets them: references and defaults resolved to identities, anchors and names.
//
// Where a rule of our own version of the language says nothing, services of one session authenticate each other: each
// shows an identity that the CAS makes for this activation (secrets.h), and believes the session's own authority.
//
// What a hostile session can do here -> what we answer
//   name a service of another session in a certificate -> refused: "casemate://" names are of the session's own
//   services
#pragma once

#include <string>

#include "cas/service/secrets.h"
#include "policy/network_rules.h"

namespace casemate::cas {

// "casemate://clinic/triage/web": the last segment is the service.
std::string service_uri(std::string_view session, std::string_view service);

// Whether a rule leaves open what the service shows, or whom it believes.
bool needs_service_identity(const policy::Session& session, const policy::Service& service);

// `secret` (a certificate of `session`) with the names of the services besides that show it by their network rules.
// Errors: kUsage when it claims the name of anything else.
Result<policy::Secret> with_service_names(const policy::Secret& secret, const policy::Session& session);

// Errors: kUsage, kFormat and kNotFound with a sentence for the owner.
Result<protocol::GrantedNetwork> granted_network(const policy::Session& session, const policy::Service& service,
                                                 const ServiceSecrets& secrets);

}  // namespace casemate::cas
