#include "keeper/shared_arena.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "keeper/memory_file.h"

namespace casemate::keeper {
namespace {

using protocol::IndexEntry;
using protocol::kIndexCapacity;
using protocol::kIndexDeleted;
using protocol::kSlotCapacity;

// Address space in every member, memory only where it is used: states for 2 TiB of open files.
constexpr std::uint64_t kStatesSize = std::uint64_t{512} << 20;
constexpr std::uint64_t kSmallestRange = 256;  // 1 MiB of a file
constexpr std::uint64_t kPunchedFrom = 64 * 1024;
constexpr std::chrono::seconds kQuarantine{5};

std::size_t index_start(std::uint64_t memfd_inode) {
  return static_cast<std::size_t>((memfd_inode * 0x9e3779b97f4a7c15) >> 46);
}

std::size_t next_entry(std::size_t at) { return (at + 1) % kIndexCapacity; }
std::size_t previous_entry(std::size_t at) { return (at + kIndexCapacity - 1) % kIndexCapacity; }

void copy_prefixes(char (&out)[4096], const std::vector<std::string>& prefixes) {
  std::size_t at = 0;
  for (const std::string& prefix : prefixes) {
    if (at + prefix.size() + 2 > sizeof(out)) break;  // what does not fit costs requests, nothing else
    std::memcpy(out + at, prefix.c_str(), prefix.size() + 1);
    at += prefix.size() + 1;
  }
  out[at] = '\0';
}

}  // namespace

static_assert(kIndexCapacity == std::size_t{1} << (64 - 46));

Result<std::unique_ptr<SharedArena>> SharedArena::create(const std::vector<std::string>& passed_prefixes) {
  std::unique_ptr<SharedArena> arena(new SharedArena);
  if (auto mapped = arena->map(passed_prefixes); !mapped) return mapped.error();
  return arena;
}

Result<void> SharedArena::map(const std::vector<std::string>& passed_prefixes) {
  arena_file_ = CASEMATE_TRY(create_sealed_memory("casemate-arena", protocol::kArenaMemorySize));
  states_file_ = CASEMATE_TRY(create_sealed_memory("casemate-states", kStatesSize));
  arena_for_members_ = reopen(arena_file_.get(), O_RDONLY);
  if (!arena_for_members_.is_open()) return Error::from_errno("cannot reopen memory for the file shield", errno);
  void* const arena =
      mmap(nullptr, protocol::kArenaMemorySize, PROT_READ | PROT_WRITE, MAP_SHARED, arena_file_.get(), 0);
  void* const states =
      mmap(nullptr, kStatesSize, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, states_file_.get(), 0);
  if (arena == MAP_FAILED || states == MAP_FAILED) return Error::from_errno("cannot map memory for the shield", errno);
  arena_ = static_cast<protocol::ShieldArena*>(arena);
  states_ = static_cast<std::byte*>(states);
  free_ranges_.resize(64);
  struct stat status = {};
  if (fstat(arena_file_.get(), &status) != 0) return Error::from_errno("cannot look at a memory file", errno);
  arena_->magic = protocol::kShieldMagic;
  arena_->version = protocol::kShieldVersion;
  arena_->keeper_pid = getpid();
  arena_->memfd_device = status.st_dev;
  arena_->states_size = kStatesSize;
  copy_prefixes(arena_->passed_prefixes, passed_prefixes);
  return {};
}

SharedArena::~SharedArena() {
  if (arena_ != nullptr) munmap(arena_, protocol::kArenaMemorySize);
  if (states_ != nullptr) munmap(states_, kStatesSize);
}

std::optional<std::uint32_t> SharedArena::allocate_slot() {
  std::uint32_t slot = 0;
  if (!free_slots_.empty()) {
    slot = free_slots_.back();
    free_slots_.pop_back();
  } else if (slots_end_ < kSlotCapacity) {
    slot = slots_end_++;
  } else {
    return std::nullopt;
  }
  slots_in_use_ += 1;
  activity(slot).dirty.store(0, std::memory_order_relaxed);
  return slot;
}

void SharedArena::free_slot(std::uint32_t slot) {
  const std::uint64_t memfd_inode = arena_->slots[slot].memfd_inode;
  if (memfd_inode != 0) remove_from_index(memfd_inode);
  update(slot, [](protocol::FileSlot& entry) {
    entry.memfd_inode = 0;
    entry.kind = protocol::NodeKind::kNone;
    entry.states_offset = entry.states_count = 0;
  });
  free_slots_.push_back(slot);
  slots_in_use_ -= 1;
}

void SharedArena::insert_in_index(std::uint64_t memfd_inode, std::uint32_t slot) {
  std::size_t at = index_start(memfd_inode);
  for (;; at = next_entry(at)) {
    const std::uint64_t present = arena_->index[at].memfd_inode.load(std::memory_order_relaxed);
    if (present == 0 || present == kIndexDeleted) break;
  }
  arena_->index[at].slot.store(slot, std::memory_order_relaxed);
  arena_->index[at].memfd_inode.store(memfd_inode, std::memory_order_release);
}

// Deleted marks before a free entry end no search that the free entry would not end; they are given back, so the
// index never fills with them.
void SharedArena::remove_from_index(std::uint64_t memfd_inode) {
  std::size_t at = index_start(memfd_inode);
  for (;; at = next_entry(at)) {
    const std::uint64_t present = arena_->index[at].memfd_inode.load(std::memory_order_relaxed);
    if (present == 0) return;
    if (present == memfd_inode) break;
  }
  arena_->index[at].memfd_inode.store(kIndexDeleted, std::memory_order_release);
  if (arena_->index[next_entry(at)].memfd_inode.load(std::memory_order_relaxed) != 0) return;
  while (arena_->index[at].memfd_inode.load(std::memory_order_relaxed) == kIndexDeleted) {
    arena_->index[at].memfd_inode.store(0, std::memory_order_release);
    at = previous_entry(at);
  }
}

std::optional<StateRange> SharedArena::allocate_states(std::uint64_t count) {
  if (count > kStatesSize) return std::nullopt;
  end_quarantine();
  const std::uint64_t size = std::bit_ceil(std::max(count, kSmallestRange));
  auto& free = free_ranges_[static_cast<std::size_t>(std::countr_zero(size))];
  if (!free.empty()) {
    const StateRange range = {free.back(), size};
    free.pop_back();
    return range;
  }
  const std::uint64_t start = (states_end_ + size - 1) / size * size;
  if (start + size > kStatesSize) return std::nullopt;
  states_end_ = start + size;
  return StateRange{start, size};
}

void SharedArena::free_states(const StateRange& range) {
  if (range.count == 0) return;
  quarantine_.push_back({range, std::chrono::steady_clock::now()});
}

void SharedArena::end_quarantine() {
  const auto now = std::chrono::steady_clock::now();
  while (!quarantine_.empty() && now - quarantine_.front().since >= kQuarantine) {
    const StateRange range = quarantine_.front().range;
    quarantine_.pop_front();
    if (range.count >= kPunchedFrom) {
      fallocate(states_file_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(range.offset),
                static_cast<off_t>(range.count));
    } else {
      std::memset(states_ + range.offset, 0, range.count);
    }
    free_ranges_[static_cast<std::size_t>(std::countr_zero(range.count))].push_back(range.offset);
  }
}

}  // namespace casemate::keeper
