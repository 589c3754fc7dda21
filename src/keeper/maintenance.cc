#include "keeper/maintenance.h"

#include <chrono>

namespace casemate::keeper {
namespace {

constexpr std::chrono::milliseconds kTick{250};
constexpr std::uint64_t kWriteBackTicks = 2;  // what changed is on its way after half a second
constexpr std::uint64_t kSyncTicks = 20;      // and durable after five, as on ordinary file systems
constexpr std::size_t kProbesPerTick = 2048;

}  // namespace

void Maintenance::start() {
  thread_ = std::thread([this] { run(); });
}

void Maintenance::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Maintenance::run() {
  std::unique_lock lock(mutex_);
  for (std::uint64_t count = 1; !stopping_; ++count) {
    wake_.wait_for(lock, kTick);
    if (stopping_) return;
    lock.unlock();
    tick(count);
    lock.lock();
  }
}

void Maintenance::tick(std::uint64_t count) {
  cache_.probe(kProbesPerTick);
  Result<void> done;
  const bool syncs = count % kSyncTicks == 0;
  // Finding what was written through mappings costs reading all that is mapped: at syncs only.
  if (count % kWriteBackTicks == 0) done = syncs ? cache_.write_back_all(nullptr) : cache_.write_back_marked();
  if (done && syncs) done = durability_.sync_all();
  if (!done && warn_) warn_(done.error().message());
  cache_.measure();
  cache_.make_room(0);
}

}  // namespace casemate::keeper
