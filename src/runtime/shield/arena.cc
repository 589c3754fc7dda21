#include "runtime/shield/arena.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#include "runtime/engine/process/host_call.h"
#include "runtime/intercept/thread.h"

namespace casemate::runtime {
namespace {

using protocol::FileSlot;
using protocol::IndexEntry;
using protocol::ShieldArena;

inline constexpr long kEproto = -71;
inline constexpr unsigned kPatience = 1 << 20;  // looks at a slot that is being changed

constinit const ShieldArena* g_arena = nullptr;
constinit std::uint8_t* g_states = nullptr;
constinit std::uint64_t g_states_size = 0;

std::uint64_t whole_pages(std::uint64_t size) { return (size + protocol::kPageSize - 1) & ~(protocol::kPageSize - 1); }

// An even sequence number, or false when there is none for long.
bool begin_read(const FileSlot& slot, std::uint32_t& sequence) {
  for (unsigned attempt = 0; attempt < kPatience; ++attempt) {
    sequence = slot.sequence.load(std::memory_order_acquire);
    if ((sequence & 1) == 0) return true;
    host_call(SYS_sched_yield);
  }
  return false;
}

bool end_read(const FileSlot& slot, std::uint32_t sequence) {
  std::atomic_thread_fence(std::memory_order_acquire);
  return slot.sequence.load(std::memory_order_relaxed) == sequence;
}

// Length of the components up to and with `prefix`; prefixes end with '/', and "/proc" itself is below "/proc/".
bool starts_below(const char* path, const char* prefix) {
  while (*prefix != 0 && *path == *prefix) {
    ++path;
    ++prefix;
  }
  return *prefix == 0 || (*path == 0 && prefix[0] == '/' && prefix[1] == 0);
}

}  // namespace

long arena_map(long arena_fd, long states_fd) {
  const long mapped = host_call(SYS_mmap, 0, protocol::kArenaMemorySize, PROT_READ, MAP_SHARED, arena_fd, 0);
  if (is_error(mapped)) return mapped;
  protect_range(static_cast<std::uint64_t>(mapped), whole_pages(protocol::kArenaMemorySize));
  g_arena = reinterpret_cast<const ShieldArena*>(mapped);
  if (g_arena->magic != protocol::kShieldMagic || g_arena->version != protocol::kShieldVersion) return kEproto;
  g_states_size = g_arena->states_size;
  if (g_states_size < protocol::kStatesStart) return kEproto;
  const long states =
      host_call(SYS_mmap, 0, static_cast<long>(g_states_size), PROT_READ | PROT_WRITE, MAP_SHARED, states_fd, 0);
  if (is_error(states)) return states;
  protect_range(static_cast<std::uint64_t>(states), whole_pages(g_states_size));
  g_states = reinterpret_cast<std::uint8_t*>(states);
  return 0;
}

const ShieldArena& arena() { return *g_arena; }

const protocol::SharedAnswers& shared_answers() {
  const auto* const memory = reinterpret_cast<const std::byte*>(g_arena);
  return *reinterpret_cast<const protocol::SharedAnswers*>(memory + protocol::kAnswersOffset);
}

std::uint32_t slot_of_inode(std::uint64_t inode) {
  if (inode == 0) return kNoSlot;
  std::uint64_t at = (inode * 0x9e3779b97f4a7c15) >> 46;
  for (std::size_t looked = 0; looked < protocol::kIndexCapacity; ++looked) {
    const IndexEntry& entry = g_arena->index[at];
    const std::uint64_t found = entry.memfd_inode.load(std::memory_order_acquire);
    if (found == 0) return kNoSlot;
    if (found == inode) {
      const std::uint32_t slot = entry.slot.load(std::memory_order_acquire);
      return slot < protocol::kSlotCapacity ? slot : kNoSlot;
    }
    at = (at + 1) % protocol::kIndexCapacity;
  }
  return kNoSlot;
}

bool view_slot(std::uint32_t index, SlotView& view) {
  const FileSlot& slot = slot_at(index);
  for (;;) {
    if (!begin_read(slot, view.sequence)) return false;
    view.states_offset = slot.states_offset;
    view.states_count = slot.states_count;
    view.backed_pages = slot.backed_pages.load(std::memory_order_acquire);
    if (end_read(slot, view.sequence)) return true;
  }
}

bool view_is_current(std::uint32_t index, const SlotView& view) { return end_read(slot_at(index), view.sequence); }

bool copy_attributes(std::uint32_t index, protocol::ShieldAttributes& attributes,
                     protocol::ShieldTime& loaded_modify_time) {
  const FileSlot& slot = slot_at(index);
  for (;;) {
    std::uint32_t sequence = 0;
    if (!begin_read(slot, sequence)) return false;
    attributes = slot.attributes;
    loaded_modify_time = slot.loaded_modify_time;
    if (end_read(slot, sequence)) return true;
  }
}

std::uint8_t* page_state(const SlotView& view, std::uint64_t page) {
  if (page >= view.states_count) return nullptr;
  const std::uint64_t offset = view.states_offset + page;
  if (offset < protocol::kStatesStart || offset >= g_states_size) return nullptr;
  return g_states + offset;
}

void note_activity(std::uint32_t slot) {
  auto* const activity = reinterpret_cast<protocol::SlotActivity*>(g_states) + slot;
  if (activity->dirty.load(std::memory_order_seq_cst) == 0) activity->dirty.store(1, std::memory_order_seq_cst);
}

bool take_space(std::uint64_t count) {
  auto* const space = reinterpret_cast<std::int64_t*>(g_states + protocol::kSpaceOffset);
  const auto wanted = static_cast<std::int64_t>(count);
  std::int64_t left = __atomic_load_n(space, __ATOMIC_RELAXED);
  while (left >= wanted) {
    if (__atomic_compare_exchange_n(space, &left, left - wanted, true, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) return true;
  }
  return false;
}

bool is_passed_path(const char* path) {
  const char* prefix = g_arena->passed_prefixes;
  const char* const end = prefix + sizeof(g_arena->passed_prefixes);
  bool below = false;
  while (prefix < end && *prefix != 0 && !below) {
    below = starts_below(path, prefix);
    while (prefix < end && *prefix != 0) ++prefix;
    ++prefix;
  }
  if (!below) return false;
  for (const char* at = path; *at != 0; ++at) {
    if (at[0] == '/' && at[1] == '.' && at[2] == '.' && (at[3] == '/' || at[3] == 0)) return false;
  }
  return true;
}

}  // namespace casemate::runtime
