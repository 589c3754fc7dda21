// Shakes hands on sockets of the application's, many at a time, in one thread that never waits for a peer; then the
// socket's Stream is ready for whoever reads and writes.
//
// What a hostile peer can do here -> what we answer
//   send slowly, nothing, or take nothing -> the time limit; others go on meanwhile
//   open connections without end          -> beyond a bound they are refused at once; each costs one descriptor and
//   about
//                                            100 KiB while it lasts
//   everything else                       -> crypto/tls_handshake.h
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "crypto/tls_handshake.h"
#include "netshield/record/stream.h"

namespace casemate::keeper {

struct HandshakeReport {
  crypto::TlsPeer peer;
  std::string protocol, server_name;
  bool is_resumed = false;
  UniqueFd socket;  // the one of the request
};

struct HandshakeRequest {
  UniqueFd socket;  // connected, TCP; may be one of several descriptors. Nobody else reads or writes meanwhile
  crypto::TlsEndpoint endpoint;
  crypto::TlsSide side = crypto::TlsSide::kServer;
  std::string server_name;              // clients
  netshield::Stream* stream = nullptr;  // stays where it is until `done`
  std::chrono::milliseconds time_limit{10'000};
  // Called once, from the thread of the handshakes or of start(); must not wait. After success the stream is open and
  // the peer's first records are still in the kernel. After an error the connection was shut down, an alert sent if it
  // could be.
  std::function<void(Result<HandshakeReport>)> done;
};

// Threads: start() from any. The destructor ends what is under way, with errors.
class Handshakes {
 public:
  static constexpr std::size_t kMostAtOnce = 1024;

  // Errors: kSystem.
  static Result<std::unique_ptr<Handshakes>> create(std::size_t most_at_once = kMostAtOnce);
  ~Handshakes();

  void start(HandshakeRequest request);

 private:
  class Loop;
  explicit Handshakes(std::unique_ptr<Loop> loop);
  std::unique_ptr<Loop> loop_;
};

}  // namespace casemate::keeper
