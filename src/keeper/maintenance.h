// What must happen when nobody asks: finds files that nobody has open any more, writes back what changed, and keeps the
// cache below its bound.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "keeper/durability.h"
#include "keeper/page_cache.h"

namespace casemate::keeper {

class Maintenance {
 public:
  Maintenance(PageCache& cache, Durability& durability, std::function<void(const std::string&)> warn)
      : cache_(cache), durability_(durability), warn_(std::move(warn)) {}
  ~Maintenance() { stop(); }

  void start();
  void stop();

 private:
  void run();
  void tick(std::uint64_t count);

  PageCache& cache_;
  Durability& durability_;
  std::function<void(const std::string&)> warn_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace casemate::keeper
