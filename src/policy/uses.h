// Where a session uses which secret: the one walk over all templates that checker, explanation and CAS share.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "policy/names.h"
#include "policy/session.h"

namespace casemate::policy {

enum class UseKind {
  kCommand,
  kEnvironment,
  kInjectedFile,
  kNetwork,
  kSecurity,       // one-time password, access token: compared by CAS, given to nobody
  kValueOfSecret,  // inside another secret's value
  kPrivateKey,     // the key of a certificate
  kIssuer,         // signs a certificate: the certificate shows its public half only
  kFragment,       // read as access_policy or security
};

struct SecretUse {
  UseKind kind = UseKind::kCommand;
  std::string secret;  // the name inside the session
  std::string format;
  std::string holder;  // service, image or secret; empty for the session itself
  std::string place;   // "environment variable `X` of service `web`"
  Position where;
};

std::vector<SecretUse> secret_uses(const Session& session);

// Name and format of a reference, the 0.2 style with dots included: a secret that really has the dotted name wins.
struct NamedFormat {
  std::string secret, format;
};
NamedFormat named_format(const Session& session, const SecretReference& reference);

}  // namespace casemate::policy
