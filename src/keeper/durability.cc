#include "keeper/durability.h"

#include <algorithm>
#include <chrono>

namespace casemate::keeper {
namespace {

constexpr std::uint64_t kLongestInterval = 250;  // milliseconds

bool has_durable_volume(const Region& region) { return region.kind == RegionKind::kEncrypted && region.writes_volume; }

}  // namespace

Durability::Durability(const MountTable& table, std::function<void(const std::string&)> warn)
    : table_(table), warn_(std::move(warn)) {}

Durability::~Durability() { stop(); }

Result<void> Durability::sync(const Region& region) {
  if (!has_durable_volume(region)) return {};
  const auto position = region.volume->sync();
  if (!position) return position.error();
  if (region.volume->wants_checkpoint()) wake_.notify_one();
  const Region& owner = *region.owner;
  if (owner.anchor == nullptr || owner.freshness == Freshness::kBounded) return {};
  auto noted = owner.anchor->note(position.value());
  if (!noted || owner.freshness == Freshness::kLocal) return noted;
  auto durable = owner.anchor->make_durable();
  if (!durable) return durable.error();
  return {};
}

Result<void> Durability::sync_all() {
  Result<void> first;
  for (const auto& region : table_.regions()) {
    auto done = sync(*region);
    if (!done && first) first = done.error();
  }
  return first;
}

void Durability::push_one(const Region& region) {
  if (region.anchor != nullptr) {
    auto noted = region.anchor->note(region.volume->position());
    auto durable = region.anchor->make_durable();
    if (noted && durable && durable.value()) {
      region.volume->acknowledge(*durable.value());
    } else if (warn_ && (!noted || !durable)) {
      warn_(region.path + ": " + (noted ? durable.error().message() : noted.error().message()));
    }
  }
  if (!region.volume->wants_checkpoint()) return;
  const auto done = region.volume->checkpoint();
  if (!done && warn_) warn_(region.path + ": checkpoint: " + done.error().message());
}

void Durability::push() {
  const std::lock_guard lock(push_mutex_);
  for (const auto& region : table_.regions()) {
    if (region->owner == region.get() && has_durable_volume(*region)) push_one(*region);
  }
}

void Durability::start() {
  thread_ = std::thread([this] { run(); });
}

void Durability::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Durability::run() {
  std::uint64_t interval = kLongestInterval;
  for (const auto& region : table_.regions()) {
    if (region->freshness == Freshness::kBounded) interval = std::min(interval, region->bound_milliseconds / 2);
  }
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    wake_.wait_for(lock, std::chrono::milliseconds(std::max<std::uint64_t>(interval, 5)));
    if (stopping_) return;
    lock.unlock();
    push();
    lock.lock();
  }
}

}  // namespace casemate::keeper
