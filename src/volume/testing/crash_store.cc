#include "volume/testing/crash_store.h"

namespace casemate::volume::testing {

void CrashStates::apply(const StoreEvent& event) {
  if (event.kind == StoreEvent::Kind::kResize) durable_.resize(event.offset);
  if (event.kind != StoreEvent::Kind::kWrite) return;
  if (event.offset + event.data.size() > durable_.size()) durable_.resize(event.offset + event.data.size());
  std::memcpy(&durable_[event.offset], event.data.data(), event.data.size());
}

void CrashStates::advance(std::size_t point) {
  std::size_t covered = covered_;
  std::set<std::size_t> durable;
  for (std::size_t index = 0; index < point; ++index) {
    if (events_[index].kind == StoreEvent::Kind::kFlush)
      covered = std::max(covered, std::size_t{events_[index].offset});
    if (events_[index].kind == StoreEvent::Kind::kRangeFlush) durable.insert(events_[index].offset);
  }
  for (; covered_ < covered; ++covered_) apply(events_[covered_]);
  loose_.clear();
  pieces_.clear();
  loose_sizes_.clear();
  for (std::size_t index = covered_; index < point; ++index) {
    const StoreEvent& event = events_[index];
    if (event.kind == StoreEvent::Kind::kResize) loose_sizes_.push_back(event.offset);
    if (event.kind != StoreEvent::Kind::kWrite) continue;
    for (std::size_t begin = 0; begin < event.data.size();) {
      const std::uint64_t offset = event.offset + begin;
      const std::size_t size = std::min<std::size_t>(event.data.size() - begin, kSectorSize - offset % kSectorSize);
      pieces_.push_back({{index, offset, begin, size}, durable.contains(index)});
      if (!pieces_.back().second) loose_.push_back(pieces_.back().first);
      begin += size;
    }
  }
}

Bytes CrashStates::random_image(Random& random) const {
  std::set<std::size_t> events;
  for (const LooseSector& sector : loose_) {
    if (below(random, 2) == 0) events.insert(sector.event);
  }
  const std::uint64_t prefix = below(random, loose_.size() + 1), rare = below(random, 30) + 2;
  const std::uint64_t last_kept = below(random, events_.size() + 1);
  switch (below(random, 7)) {
    case 0:
      return image([](std::size_t) { return true; });
    case 1:
      return image([](std::size_t) { return false; });
    case 2:
      return image([&](std::size_t index) { return events.contains(loose_[index].event); });
    case 3:
      return image([&](std::size_t) { return below(random, 2) == 0; });
    case 4:
      return image([&](std::size_t index) { return index < prefix; });
    case 5:
      return image([&](std::size_t index) { return loose_[index].event > last_kept; });
    default:
      return image([&](std::size_t) { return below(random, rare) != 0; });
  }
}

}  // namespace casemate::volume::testing
