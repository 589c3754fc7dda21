#include "runtime/shield/pages.h"

#include "runtime/engine/process/host_call.h"
#include "runtime/shield/arena.h"
#include "runtime/shield/channel.h"

namespace casemate::runtime {
namespace {

using protocol::kPageAbsent;
using protocol::kPageBusy;
using protocol::kPageClean;
using protocol::kPageDirty;
using protocol::kPageEvicted;
using protocol::Operation;
using protocol::PopulatePurpose;

inline constexpr long kEio = -5;
inline constexpr unsigned kAttempts = 64;  // until a race with evictions counts as a defect

struct PageRange {
  std::uint64_t first, end;
  bool empty() const { return first >= end; }
};

std::uint8_t load_state(const std::uint8_t* state) { return __atomic_load_n(state, __ATOMIC_ACQUIRE); }

bool change_state(std::uint8_t* state, std::uint8_t from, std::uint8_t to) {
  return __atomic_compare_exchange_n(state, &from, to, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

// The smallest range that holds all pages of `pages` that the volume has and the cache does not.
PageRange find_absent(const SlotView& view, PageRange pages) {
  if (pages.end > view.backed_pages) pages.end = view.backed_pages;
  const auto absent = [&](std::uint64_t page) {
    const std::uint8_t* const state = page_state(view, page);
    if (state == nullptr) return true;
    const std::uint8_t seen = load_state(state);
    return seen == kPageAbsent || seen == kPageBusy || seen == kPageEvicted;
  };
  while (!pages.empty() && !absent(pages.first)) ++pages.first;
  while (!pages.empty() && !absent(pages.end - 1)) --pages.end;
  return pages;
}

long ask_populate(Thread& thread, std::uint32_t slot, PageRange pages, PopulatePurpose purpose) {
  const long result = slot_request(thread, Operation::kPopulate, slot, pages.first, pages.end - pages.first,
                                   static_cast<std::uint64_t>(purpose));
  return is_error(result) ? result : 0;
}

long ask(Thread& thread, Operation operation, std::uint32_t slot, std::uint64_t pages) {
  const long result = slot_request(thread, operation, slot, pages);
  return is_error(result) ? result : 0;
}

enum class Marked : std::uint8_t { kAll, kAgain, kNeedsSpace };

// Marks one page that will be written.
Marked mark_page(const SlotView& view, std::uint64_t page) {
  std::uint8_t* const state = page_state(view, page);
  if (state == nullptr) return Marked::kAgain;
  for (;;) {
    const std::uint8_t seen = load_state(state);
    if (seen == kPageDirty) return Marked::kAll;
    if (seen == kPageBusy || seen == kPageEvicted) return Marked::kAgain;
    if (seen == kPageAbsent) {
      if (page < view.backed_pages) return Marked::kAgain;  // evicted meanwhile
      if (!take_space(1)) return Marked::kNeedsSpace;
    }
    if (change_state(state, seen, kPageDirty)) return Marked::kAll;
  }
}

// One pass of mark_before_write: 0 done, 1 once more, or a negative errno.
long mark_pass(Thread& thread, std::uint32_t slot, PageRange pages) {
  SlotView view;
  if (!view_slot(slot, view)) return kEio;
  if (pages.end > view.states_count) {
    const long error = ask(thread, Operation::kGrowStates, slot, pages.end);
    return error != 0 ? error : 1;
  }
  if (const PageRange absent = find_absent(view, pages); !absent.empty()) {
    const long error = ask_populate(thread, slot, absent, PopulatePurpose::kWrite);
    return error != 0 ? error : 1;
  }
  for (std::uint64_t page = pages.first; page < pages.end; ++page) {
    const Marked marked = mark_page(view, page);
    if (marked == Marked::kAgain) {
      // Also for a page that the volume does not have: the keeper answers when it has finished with it.
      const long error = ask_populate(thread, slot, {page, page + 1}, PopulatePurpose::kWrite);
      return error != 0 ? error : 1;
    }
    if (marked == Marked::kNeedsSpace) {
      const long error = ask(thread, Operation::kReserve, slot, pages.end - page);
      return error != 0 ? error : 1;
    }
  }
  note_activity(slot);
  return view_is_current(slot, view) ? 0 : 1;
}

// The second mark. What the keeper holds, or has dropped, is not there to be marked.
Kept mark_written(const SlotView& view, PageRange pages) {
  Kept kept = Kept::kAll;
  for (std::uint64_t page = pages.first; page < pages.end; ++page) {
    std::uint8_t* const state = page_state(view, page);
    if (state == nullptr) return Kept::kLost;
    for (;;) {
      const std::uint8_t seen = load_state(state);
      if (seen == kPageDirty) break;
      if (seen == kPageBusy || seen == kPageEvicted || (seen == kPageAbsent && page < view.backed_pages)) {
        kept = Kept::kLost;
        break;
      }
      if (change_state(state, seen, kPageDirty)) break;
    }
  }
  return kept;
}

}  // namespace

namespace {

// Of one slot: which memory file, and the count of evictions + 1 at which it was complete. Seqlock by the second.
struct CompleteFile {
  std::atomic<std::uint64_t> inode, evictions;
};
constinit CompleteFile g_complete[protocol::kSlotCapacity] = {};
constinit std::atomic<std::uint32_t> g_considered{0};

// A scan costs a byte per page: large files are looked at every so many reads.
inline constexpr std::uint64_t kSmallFilePages = 64;
inline constexpr std::uint32_t kReadsBetweenScans = 64;

}  // namespace

bool is_complete(std::uint32_t slot, std::uint64_t evictions) {
  const CompleteFile& file = g_complete[slot];
  if (file.evictions.load(std::memory_order_acquire) != evictions + 1) return false;
  if (file.inode.load(std::memory_order_acquire) != slot_at(slot).memfd_inode) return false;
  return file.evictions.load(std::memory_order_relaxed) == evictions + 1;
}

void consider_complete(std::uint32_t slot, std::uint64_t evictions) {
  SlotView view;
  if (!view_slot(slot, view)) return;
  const bool turn = g_considered.fetch_add(1, std::memory_order_relaxed) % kReadsBetweenScans == 0;
  if (view.backed_pages > kSmallFilePages && !turn) return;
  const std::uint64_t inode = slot_at(slot).memfd_inode;
  if (!find_absent(view, {0, view.backed_pages}).empty()) return;
  if (!view_is_current(slot, view) || evictions_of(slot) != evictions) return;
  CompleteFile& file = g_complete[slot];
  file.evictions.store(0, std::memory_order_release);
  file.inode.store(inode, std::memory_order_release);
  file.evictions.store(evictions + 1, std::memory_order_release);
}

std::uint64_t evictions_of(std::uint32_t slot) { return slot_at(slot).eviction_count.load(std::memory_order_seq_cst); }

bool is_present(std::uint32_t slot, ByteRange range) {
  SlotView view;
  if (!view_slot(slot, view)) return false;
  for (std::uint64_t page = range.first_page(); page < range.end_page(); ++page) {
    const std::uint8_t* const state = page_state(view, page);
    if (state == nullptr) return false;
    const std::uint8_t seen = load_state(state);
    if (seen != kPageClean && seen != kPageDirty) return false;
  }
  return view_is_current(slot, view);
}

long populate_absent(Thread& thread, std::uint32_t slot, ByteRange range, PopulatePurpose purpose) {
  SlotView view;
  if (!view_slot(slot, view)) return kEio;
  const PageRange absent = find_absent(view, {range.first_page(), range.end_page()});
  return absent.empty() ? 0 : ask_populate(thread, slot, absent, purpose);
}

long populate_pinned(Thread& thread, std::uint32_t slot, ByteRange range, PopulatePurpose purpose) {
  PageRange pages{range.first_page(), range.end_page()};
  SlotView view;
  if (!view_slot(slot, view)) return kEio;
  const bool pinned = (slot_at(slot).flags & protocol::kSlotPinned) != 0;
  if (pinned && purpose != PopulatePurpose::kMapWritable && find_absent(view, pages).empty()) return 0;
  return ask_populate(thread, slot, pages, purpose);
}

long mark_before_write(Thread& thread, std::uint32_t slot, ByteRange range) {
  const PageRange pages{range.first_page(), range.end_page()};
  if (range.size == 0) return 0;
  for (unsigned attempt = 0; attempt < kAttempts; ++attempt) {
    const long outcome = mark_pass(thread, slot, pages);
    if (outcome <= 0) return outcome;
  }
  return kEio;
}

Kept mark_after_write(Thread& thread, std::uint32_t slot, ByteRange range) {
  if (range.size == 0) return Kept::kAll;
  for (unsigned attempt = 0; attempt < kAttempts; ++attempt) {
    SlotView view;
    if (!view_slot(slot, view)) break;
    if (range.end_page() > view.states_count) {
      if (ask(thread, Operation::kGrowStates, slot, range.end_page()) != 0) break;
      continue;
    }
    const Kept kept = mark_written(view, {range.first_page(), range.end_page()});
    note_activity(slot);
    if (view_is_current(slot, view)) return kept;
  }
  return Kept::kLost;
}

}  // namespace casemate::runtime
