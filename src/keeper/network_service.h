// The keeper's part of a run with the network shield: fills the arena with what the rules say, shakes hands on sockets
// that members send, sends what they could not, and takes the connections of killed processes out of the table.
//
// What a hostile member can do here -> what we answer
//   send odd messages, indices, sockets -> indices are checked; what is not a message is dropped
//   change the arena while we use it    -> its own application's connections break; sizes are copied before they are
//   used flood                               -> its own handshakes wait
// What a hostile peer can do: handshakes.h.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "keeper/network_endpoints.h"

namespace casemate::keeper {

class NetworkService {
 public:
  using Warn = std::function<void(const std::string&)>;

  // `arena`: an empty memory file of the run's; `socket`: the keeper's end of the sequenced socket pair whose other end
  // all members have. `warn` gets single lines, from any thread. Errors: kUsage, kFormat of identities; kSystem.
  static Result<std::unique_ptr<NetworkService>> start(const NetworkSettings& settings, UniqueFd arena, UniqueFd socket,
                                                       Warn warn);
  ~NetworkService();

  // Returns when no member is left.
  void wait();

 private:
  class Loop;
  explicit NetworkService(std::unique_ptr<Loop> loop);
  std::unique_ptr<Loop> loop_;
};

}  // namespace casemate::keeper
