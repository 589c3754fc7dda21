// What "durable" and "fresh" mean for each region: one sync of the volume, then the anchor.
//
// With freshness `local` the anchor is noted before a sync is acknowledged: it survives the keeper at once and a loss
// of power a moment later. `bounded` pushes from the push thread only, within the bound. Either way a position is
// acknowledged to the engine only when the anchor is durable on its disk, since older records may be recycled then.
//
// Threads: any.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "keeper/mount_table.h"

namespace casemate::keeper {

class Durability {
 public:
  Durability(const MountTable& table, std::function<void(const std::string&)> warn);
  ~Durability();

  // Everything staged in the region's volume is durable, and as fresh as the region promises, when it returns.
  Result<void> sync(const Region& region);
  Result<void> sync_all();
  // Makes anchors durable, and checkpoints where the engine wants it. Called by the background thread and at the end.
  void push();

  void start();  // the push thread
  void stop();

 private:
  void run();
  void push_one(const Region& region);

  const MountTable& table_;
  std::function<void(const std::string&)> warn_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
  std::mutex push_mutex_;
};

}  // namespace casemate::keeper
