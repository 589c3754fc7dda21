// Channels: accepts them over the hello socket and serves each by a thread of its own. A request waits for nobody but
// the locks it needs, and a member's death ends its channel only.
//
// What a hostile member can do here -> what we answer
//   open channels without end           -> refused from a bound on; each costs a thread that sleeps
//   never read its reply                -> one reply fits into the socket's buffer; its thread waits, nobody else
//   send descriptors with a request     -> closed unseen
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <set>

#include "base/result.h"
#include "base/unique_fd.h"
#include "keeper/service.h"

namespace casemate::keeper {

class Server {
 public:
  Server(Service& service, UniqueFd hello) : service_(service), hello_(std::move(hello)) {}
  ~Server();

  // Returns when the application is gone and all channels are closed.
  void run();

 private:
  bool take_channel();
  void start_channel(UniqueFd channel);
  void serve(int channel);
  void end_channel(int channel);
  void close_all();

  Service& service_;
  UniqueFd hello_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable all_ended_;
  std::set<int> channels_;
};

}  // namespace casemate::keeper
