// Certificates that sessions give to everybody (`export_public`): those who connect to a service from outside check its
// certificate with the authority of its session.
//
// What a hostile client can do here -> what we answer
//   ask for anything else, or guess names -> every secret that is not public is answered like one that is not there
//   ask without end                       -> a certificate is issued once, and anew at half of its time; else it is
//   read
#pragma once

#include <optional>
#include <string>

#include "cas/service/secrets.h"

namespace casemate::cas {

struct PublicCertificate {
  policy::SecretKind kind = policy::SecretKind::kX509;
  std::uint64_t version = 1;
  std::string certificate, chain;  // PEM; the chain begins with the certificate
  std::string not_after;           // 2027-11-24T00:00:00Z
};

// nullopt: there is no such session or secret, or it is not public, or no certificate of the session itself. Issues it
// when no service has needed it yet, which is durable then. Errors: kUsage with a sentence for the session's owner;
// those of the store.
Result<std::optional<PublicCertificate>> public_certificate(Store& store, const SessionRegistry& sessions,
                                                            const std::string& session, const std::string& secret,
                                                            std::uint64_t now_ms);

}  // namespace casemate::cas
