// The way of volume positions to the CAS: at first the connection that the configuration came by, and after that broke
// a new one, for which this executable is started once more.
//
// Why a process: every connection needs evidence, and a LAS gives it to processes that have nothing mapped but their
// executable (docs/las.md, "Hosted executables"). A keeper that serves programs is none. The new process attests, holds
// the connection and passes messages on; it knows no key, and ends with its keeper.
//
// What a hostile host can do here -> what we answer
//   answer in the CAS's place          -> only the server key that the first connection had is talked to
//   roll the CAS back meanwhile        -> it names an older position than it acknowledged: no sync succeeds any more
//   kill or stop the process           -> as cutting the connection
#pragma once

#include <memory>
#include <vector>

#include "crypto/tls_channel.h"
#include "protocol/start_request.h"

namespace casemate::keeper {

// Threads: one at a time.
class CasLink {
 public:
  virtual ~CasLink() = default;
  // Blocks; the position is durable when the answer says "accepted". Errors: kSystem, and the link is of no more use.
  virtual Result<protocol::TagAnswer> report(const protocol::TagUpdate& update) = 0;
};

std::unique_ptr<CasLink> link_over(std::unique_ptr<crypto::TlsChannel> channel);

struct Rejoined {
  std::unique_ptr<CasLink> link;
  std::vector<protocol::TagUpdate> known;  // positions that the CAS has
};

// Goes on with the activation request.resumed, once. Threads: any; other threads may run. Errors: kUsage when the CAS
// refuses, which it will again; kSystem when it may go better later.
Result<Rejoined> rejoin(const protocol::StartRequest& request);

// The life of the process that rejoin() starts: `request` as handed over, `keeper` the socket to it. Returns when
// either end is gone.
void serve_rejoined(const Result<protocol::StartRequest>& request, int keeper);

}  // namespace casemate::keeper
