// The way of volume positions to the CAS, and of its pushes from it: at first the connection that the configuration
// came by, and after that broke a new one, for which this executable is started once more.
//
// Why a process: every connection needs evidence, and a LAS gives it to processes that have nothing mapped but their
// executable (docs/las.md, "Hosted executables"). A keeper that serves programs is none. The new process attests, holds
// the connection and passes messages on, pushes in plain text to its keeper only; it ends with its keeper.
//
// What a hostile host can do here -> what we answer
//   answer in the CAS's place          -> only the server key that the first connection had is talked to
//   roll the CAS back meanwhile        -> it names an older position than it acknowledged: no sync succeeds any more
//   kill or stop the process           -> as cutting the connection
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "crypto/tls_channel.h"
#include "protocol/start_request.h"

namespace casemate::keeper {

// What the CAS says without being asked, opened: new contents of injected files, or (no files, a reference) that this
// service is allowed no longer.
struct Push {
  std::uint64_t generation = 0;
  std::vector<protocol::GrantedFile> files;
  std::string revoked;  // the reference
};

// Threads: one at a time, but for descriptor().
class CasLink {
 public:
  using Take = std::function<void(Push push)>;

  virtual ~CasLink() = default;
  // Blocks; the position is durable when the answer says "accepted". Errors: kSystem, and the link is of no more use.
  // Pushes that come before the answer go to `take`.
  virtual Result<protocol::TagAnswer> report(const protocol::TagUpdate& update, const Take& take) = 0;
  // Takes what has come without being asked for; blocks only in the midst of a message. Errors: as report().
  virtual Result<void> take_pushes(const Take& take) = 0;
  // Readable when take_pushes() may have something to take.
  virtual int descriptor() const = 0;
};

// `key`: the runtime key of the activation, which pushes are sealed to.
std::unique_ptr<CasLink> link_over(std::unique_ptr<crypto::TlsChannel> channel, crypto::AgreementKey key);

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
