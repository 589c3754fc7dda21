// A store that remembers what was written and flushed in which order, and the states in which a power failure could
// leave it: everything before the last completed flush is there; of what came later, any part of any write (in sectors
// of 512 bytes) may be missing.
#pragma once

#include <algorithm>
#include <optional>
#include <set>
#include <vector>

#include "volume/testing/memory_store.h"
#include "volume/testing/operation.h"

namespace casemate::volume::testing {

inline constexpr std::size_t kSectorSize = 512;

struct StoreEvent {
  enum class Kind { kWrite, kResize, kFlush, kRangeFlush } kind{};
  // Of a write; the new size; how many events were over when the flush began; which write is durable from now on.
  std::uint64_t offset = 0;
  Bytes data;
};

// The trace of one run. Events are numbered from 0; a crash point n means: n events had happened.
class TraceStore : public MemoryStore {
 public:
  using MemoryStore::MemoryStore;

  Result<void> write(std::uint64_t offset, std::span<const std::byte> data) override {
    if (offset >= meanwhile_from) do_meanwhile();
    const std::lock_guard lock(trace_mutex_);
    events_.push_back({StoreEvent::Kind::kWrite, offset, Bytes(data.begin(), data.end())});
    return MemoryStore::write(offset, data);
  }
  Result<void> resize(std::uint64_t size) override {
    const std::lock_guard lock(trace_mutex_);
    events_.push_back({StoreEvent::Kind::kResize, size, {}});
    return MemoryStore::resize(size);
  }
  Result<void> flush() override {
    std::size_t begin = 0;
    {
      const std::lock_guard lock(trace_mutex_);
      begin = events_.size();
    }
    do_meanwhile();
    const std::lock_guard lock(trace_mutex_);
    events_.push_back({StoreEvent::Kind::kFlush, begin, {}});
    return {};
  }

  Result<void> write_durably(std::uint64_t offset, std::span<const std::byte> data) override {
    std::size_t index = 0;
    {
      const std::lock_guard lock(trace_mutex_);
      index = events_.size();
      events_.push_back({StoreEvent::Kind::kWrite, offset, Bytes(data.begin(), data.end())});
    }
    if (auto written = MemoryStore::write(offset, data); !written) return written;
    do_meanwhile();
    const std::lock_guard lock(trace_mutex_);
    events_.push_back({StoreEvent::Kind::kRangeFlush, index, {}});
    return {};
  }

  // Called within flushes, and before writes from an offset on: what other threads would do at that moment. Not while
  // it runs itself.
  std::function<void()> meanwhile;
  std::uint64_t meanwhile_from = ~std::uint64_t{0};

  std::size_t event_count() const {
    const std::lock_guard lock(trace_mutex_);
    return events_.size();
  }
  // Not while somebody writes.
  const std::vector<StoreEvent>& events() const { return events_; }

 private:
  void do_meanwhile() {
    if (!meanwhile || is_within_) return;
    is_within_ = true;
    meanwhile();
    is_within_ = false;
  }

  bool is_within_ = false;
  mutable std::mutex trace_mutex_;
  std::vector<StoreEvent> events_;
};

// One sector-sized piece of a write that no flush covers.
struct LooseSector {
  std::size_t event = 0;
  std::uint64_t offset = 0;         // in the store
  std::size_t begin = 0, size = 0;  // in the event's data
};

// Builds states for ascending crash points of one trace.
class CrashStates {
 public:
  CrashStates(Bytes base, const std::vector<StoreEvent>& events) : durable_(std::move(base)), events_(events) {}

  // Requires: points never go back.
  void advance(std::size_t point);
  // Pieces that may be missing at this point, in the order of writing.
  const std::vector<LooseSector>& loose() const { return loose_; }
  // The image with those loose pieces for which `keep` says so. Loose changes of size are kept.
  template <typename Keep>
  Bytes image(const Keep& keep) const {
    Bytes bytes = durable_;
    for (const std::uint64_t size : loose_sizes_) bytes.resize(std::max<std::uint64_t>(bytes.size(), size));
    std::size_t index = 0;  // in loose_
    for (const auto& [sector, is_durable] : pieces_) {
      if (!is_durable && !keep(index++)) continue;
      if (sector.offset + sector.size > bytes.size()) bytes.resize(sector.offset + sector.size);
      std::memcpy(&bytes[sector.offset], &events_[sector.event].data[sector.begin], sector.size);
    }
    return bytes;
  }
  // A random choice of a random kind: all, none, whole writes, single sectors, the first n, all but few.
  Bytes random_image(Random& random) const;

 private:
  void apply(const StoreEvent& event);

  Bytes durable_;
  const std::vector<StoreEvent>& events_;
  std::size_t covered_ = 0;  // events in durable_
  std::vector<LooseSector> loose_;
  std::vector<std::pair<LooseSector, bool>> pieces_;  // the loose ones and, among them, those that are durable alone
  std::vector<std::uint64_t> loose_sizes_;
};

}  // namespace casemate::volume::testing
