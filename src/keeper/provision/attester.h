// The service's end of provisioning (protocol/provision.h): connects to the CAS, gets evidence about this process from
// the LAS, bound to the connection, and receives the configuration.
//
// What a hostile host can do here -> what we answer
//   name a CAS of its own      -> it gets evidence that is good for that connection only; the service then runs with
//                                 what that CAS gave it: no secret of another one
//   name a LAS of its own      -> its answer is opaque bytes, which the CAS judges
//   cut, delay, garble         -> no configuration, one line, no program
#pragma once

#include <memory>
#include <string>

#include "crypto/tls_channel.h"
#include "protocol/start_request.h"

namespace casemate::keeper {

struct Provisioned {
  std::unique_ptr<crypto::TlsChannel> channel;  // stays open: positions of volumes go over it
  protocol::Configuration configuration;
  std::string receipt;
  crypto::AgreementKey key;  // the runtime key: later messages are sealed to it, too
};

// Requires: one thread, nothing mapped but the executable; SIGPIPE ignored. Errors are lines for the user.
Result<Provisioned> provision(const protocol::StartRequest& request);

}  // namespace casemate::keeper
