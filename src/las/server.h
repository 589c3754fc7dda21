// Accepts callers and serves each on a thread of its own, as many as there are seats.
//
// What a hostile caller can do here -> what we answer
//  - take all seats and sit there -> when all are taken, the user with the most seats loses the one that has been taken
//    for longest; a caller that works is done in a millisecond, so it is the idle who lose theirs. There is no limit
//    per user or address: thousands of services may share one
//  - fill the log -> a few lines per second, then a count
#pragma once

#include <condition_variable>
#include <functional>
#include <list>
#include <mutex>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "las/conversation.h"

namespace casemate::las {

using LogLine = std::function<void(const std::string&)>;

// Passes on at most ten lines per second and says how many it left out. Threads: any.
class LimitedLog {
 public:
  explicit LimitedLog(LogLine log) : log_(std::move(log)) {}
  void write(const std::string& line);

 private:
  std::mutex mutex_;
  LogLine log_;
  std::chrono::steady_clock::time_point second_;
  unsigned written_ = 0, left_out_ = 0;
};

struct Limits {
  std::size_t seats = 64;
};

class Server {
 public:
  // `listener`: of listen_unix(). All references must outlive the server.
  Server(UniqueFd listener, Service& service, LogLine log, Limits limits)
      : listener_(std::move(listener)), service_(service), log_(std::move(log)), limits_(limits) {}
  ~Server();

  // Blocks until `stop` is readable; then all conversations are ended. Errors: kSystem when accepting fails for good.
  Result<void> run(int stop);

 private:
  struct Seat {
    UniqueFd socket;
    uid_t user = 0;
    bool given_up = false;
  };
  using Seats = std::list<Seat>;  // in the order of arrival

  void take_seat(UniqueFd socket);
  void free_a_seat();
  void serve(Seats::iterator seat);
  void end_all();

  UniqueFd listener_;
  Service& service_;
  LimitedLog log_;
  Limits limits_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Seats seats_;
};

}  // namespace casemate::las
