// Work on ranges of page states (src/protocol/shield.h) that members change at the same time.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>

#include "protocol/shield.h"

namespace casemate::keeper {

using StateByte = std::atomic<std::uint8_t>;
static_assert(sizeof(StateByte) == 1 && StateByte::is_always_lock_free);

inline bool change_state(StateByte& state, std::uint8_t from, std::uint8_t to) {
  return state.compare_exchange_strong(from, to, std::memory_order_acq_rel);
}

// The first page in [first, end) whose state is `wanted`, or `end`. By memchr, which looks at many at a time: a file of
// 1 GiB has 256 KiB of states, and every fsync asks.
inline std::uint64_t find_state(const StateByte* states, std::uint64_t first, std::uint64_t end, std::uint8_t wanted) {
  while (first < end) {
    const void* const from = states + first;
    const void* const found = std::memchr(from, wanted, static_cast<std::size_t>(end - first));
    if (found == nullptr) return end;
    first = static_cast<std::uint64_t>(static_cast<const StateByte*>(found) - states);
    // Members change states meanwhile: what counts is what is there now.
    if (states[first].load(std::memory_order_acquire) == wanted) return first;
    first += 1;
  }
  return end;
}

// The first page in [first, end) that the memfd lacks (absent or evicted), or `end`.
inline std::uint64_t find_missing(const StateByte* states, std::uint64_t first, std::uint64_t end) {
  return std::min(find_state(states, first, end, protocol::kPageAbsent),
                  find_state(states, first, end, protocol::kPageEvicted));
}

// Changes pages from `first` on from one state to another until one is in a third state; returns where it stopped.
inline std::uint64_t change_run(StateByte* states, std::uint64_t first, std::uint64_t end, std::uint8_t from,
                                std::uint8_t to) {
  std::uint64_t page = first;
  while (page < end && change_state(states[page], from, to)) page += 1;
  return page;
}

// Makes missing pages from `first` on busy until one is not missing; returns where it stopped.
inline std::uint64_t claim_missing_run(StateByte* states, std::uint64_t first, std::uint64_t end) {
  std::uint64_t page = first;
  while (page < end && (change_state(states[page], protocol::kPageAbsent, protocol::kPageBusy) ||
                        change_state(states[page], protocol::kPageEvicted, protocol::kPageBusy))) {
    page += 1;
  }
  return page;
}

// For pages that only the keeper may change (busy ones).
inline void set_run(StateByte* states, std::uint64_t first, std::uint64_t end, std::uint8_t to) {
  for (std::uint64_t page = first; page < end; ++page) states[page].store(to, std::memory_order_release);
}

constexpr std::uint64_t pages_of(std::uint64_t size) { return (size + protocol::kPageSize - 1) / protocol::kPageSize; }

}  // namespace casemate::keeper
