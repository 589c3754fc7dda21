// Threads that wait for sockets together: whichever of them is free takes the next event and stays with it until it is
// done, so that a conversation has no handing over from thread to thread. There are as many as conversations are under
// way, within a limit; those that find nothing to do for a while end.
//
// What a hostile peer can do here -> what we answer
//   keep many threads waiting for it -> the number is limited; who calls bounds how long one may take
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>

#include "base/result.h"
#include "base/unique_fd.h"

namespace casemate::cas {

class EventWorkers {
 public:
  // `events`: of epoll(7). Called from any thread, several at once, and once per event that was armed.
  using Handler = std::function<void(std::uint64_t id, std::uint32_t events)>;

  EventWorkers(Handler handler, std::size_t most_threads) : handler_(std::move(handler)), most_(most_threads) {}
  ~EventWorkers() { stop(); }
  EventWorkers(const EventWorkers&) = delete;
  EventWorkers& operator=(const EventWorkers&) = delete;

  // Starts the first thread. Errors: kSystem.
  Result<void> start();
  // Ends all threads when they are done with what they have, and waits for that. Not from a handler.
  void stop();

  // From now on `id` is told about `fd`, once for `events` and then not before the next arm(); with EPOLLET as often
  // as something new is there. False: the kernel refuses.
  bool add(int fd, std::uint64_t id, std::uint32_t events) const;
  bool arm(int fd, std::uint64_t id, std::uint32_t events) const;
  void remove(int fd) const;

 private:
  void work();
  bool start_thread();

  Handler handler_;
  const std::size_t most_;
  UniqueFd epoll_, stop_;
  std::mutex mutex_;
  std::condition_variable ended_;
  std::size_t threads_ = 0, idle_ = 0;
};

}  // namespace casemate::cas
