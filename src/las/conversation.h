// One connection, from hello to the answer (protocol/las.h).
//
// What a hostile caller can do here -> what we answer
//  - send nothing, half, too much, descriptors, or at the wrong time -> a time limit for the whole conversation; every
//    message has one exact size; descriptors are never taken
//  - let another process speak on its connection -> each message carries its sender's process id from the kernel
//  - ask twice, from other connections too -> one evidence per process, remembered before the answer is sent
//  - end at any moment -> an error of send() that concerns this connection only
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "base/result.h"
#include "crypto/bytes.h"
#include "las/backend.h"
#include "las/caller.h"
#include "las/measured_files.h"
#include "protocol/las.h"

namespace casemate::las {

// Processes that have had their evidence. Threads: any. Forgets those that ended.
class Served {
 public:
  // False when it was there already.
  bool add(pid_t pid, std::uint64_t start_time);

 private:
  void forget_ended();

  std::mutex mutex_;
  std::map<pid_t, std::uint64_t> start_times_;
  std::size_t next_cleaning_ = 1024;
};

struct Counters {
  std::atomic<std::uint64_t> given = 0, refused = 0;
};

// What all conversations of a service share. Threads: any.
struct Service {
  const Backend& backend;
  CallerRules rules;
  MeasuredFiles& files;
  Served& served;
  Counters& counters;
  std::uint64_t started_at = 0;
  std::chrono::milliseconds time_limit{10000};
};

// How it ended, for the log and for tests.
struct Ending {
  protocol::LasResult result = protocol::LasResult::kOk;
  protocol::LasRefusal reason = protocol::LasRefusal::kNone;
  pid_t pid = 0;
  uid_t uid = 0;
  std::string detail;  // of kBackendFailed
};

// Blocks until the caller has its answer, at most `time_limit` for everything that the caller has to send. shutdown()
// of the socket by another thread ends it early.
Ending converse(Service& service, int socket);

const char* describe(protocol::LasRefusal reason);
const char* describe(protocol::LasResult result);

}  // namespace casemate::las
