// Mappings of shielded files. The kernel maps the memory file; before that its pages are fetched and pinned, because
// nobody sees when the program touches them. Which ranges are shared and writable is noted for msync.
#include <sys/mman.h>
#include <sys/syscall.h>

#include "runtime/engine/process/host_call.h"
#include "runtime/intercept/dispatch.h"
#include "runtime/shield/arena.h"
#include "runtime/shield/calls.h"
#include "runtime/shield/channel.h"
#include "runtime/shield/kinds.h"
#include "runtime/shield/mappings.h"
#include "runtime/shield/pages.h"
#include "runtime/table/table.h"

namespace casemate::runtime {
namespace {

using protocol::NodeKind;
using protocol::Operation;
using protocol::PopulatePurpose;

inline constexpr long kEacces = -13, kEnodev = -19, kEopnotsupp = -95;
inline constexpr std::size_t kMappingCapacity = 1024;

// Ranges may be stale (unmapped in part, or replaced): msync then makes something durable that nobody asked for.
struct SharedMapping {
  std::uint64_t begin, end;
  std::uint32_t slot;
};

constinit Lock g_lock;
constinit SharedMapping g_mappings[kMappingCapacity] = {};
constinit std::uint32_t g_count = 0;
constinit bool g_overflow = false;  // some are not in the table: msync means everything

void note_shared(std::uint64_t begin, std::uint64_t size, std::uint32_t slot) {
  const LockGuard guard(g_lock);
  for (std::uint32_t i = 0; i < g_count; ++i) {
    if (g_mappings[i].begin == begin && g_mappings[i].slot == slot) {
      g_mappings[i].end = begin + size;
      return;
    }
  }
  if (g_count == kMappingCapacity) {
    g_overflow = true;
    return;
  }
  g_mappings[g_count++] = {begin, begin + size, slot};
}

// The slot of the first shared mapping at or behind position `index` that the range touches; kNoSlot ends.
std::uint32_t next_shared(std::uint32_t& index, std::uint64_t begin, std::uint64_t end) {
  const LockGuard guard(g_lock);
  for (; index < g_count; ++index) {
    const SharedMapping& mapping = g_mappings[index];
    if (mapping.begin < end && begin < mapping.end) return g_mappings[index++].slot;
  }
  return kNoSlot;
}

}  // namespace

void mappings_after_fork() { g_lock.reset(); }

void mappings_removed(std::uint64_t begin, std::uint64_t size) {
  if (__atomic_load_n(&g_count, __ATOMIC_RELAXED) == 0) return;
  const LockGuard guard(g_lock);
  for (std::uint32_t i = 0; i < g_count;) {
    if (g_mappings[i].begin >= begin && g_mappings[i].end <= begin + size) {
      g_mappings[i] = g_mappings[--g_count];
    } else {
      ++i;
    }
  }
}

void mappings_moved(std::uint64_t begin, std::uint64_t size, std::uint64_t new_begin, std::uint64_t new_size) {
  std::uint32_t index = 0;
  const std::uint32_t slot = next_shared(index, begin, begin + size);
  if (slot != kNoSlot) note_shared(new_begin, new_size, slot);
}

long prepare_mapping(Thread& thread, const Regs& regs, PreparedMapping& prepared) {
  prepared = {kNoSlot};
  if ((regs.r10 & MAP_ANONYMOUS) != 0) return 0;
  const DescriptorKind kind = kind_of(thread, static_cast<std::int32_t>(regs.r8));
  if (!kind.shielded()) return 0;
  const protocol::FileSlot& slot = slot_at(kind.slot);
  if (slot.kind != NodeKind::kRegular) return kEnodev;
  // Direct access to persistent memory, which no memory file has. Refused before the keeper prepares a writable
  // mapping: databases ask for it first with their whole log.
  if ((regs.r10 & MAP_TYPE) == MAP_SHARED_VALIDATE && (regs.r10 & MAP_SYNC) != 0) return kEopnotsupp;
  const bool shared = (regs.r10 & MAP_TYPE) != MAP_PRIVATE;
  const bool writable = shared && (kind.flags & kKindWritable) != 0;
  if (shared && (regs.rdx & PROT_WRITE) != 0 && (slot.flags & protocol::kSlotReadOnly) != 0) return kEacces;
  const PopulatePurpose purpose = writable ? PopulatePurpose::kMapWritable : PopulatePurpose::kMap;
  const long error = populate_pinned(thread, kind.slot, {regs.r9, regs.rsi}, purpose);
  if (error == 0 && writable) prepared.shared_slot = kind.slot;
  return error;
}

void finish_mapping(const PreparedMapping& prepared, std::uint64_t start, std::uint64_t size) {
  if (prepared.shared_slot != kNoSlot) note_shared(start, size, prepared.shared_slot);
}

long sys_msync(Thread& thread, Regs& regs) {
  const long result = pass_through(thread, regs);
  if (result != 0) return result;
  const bool synchronous = (regs.rdx & MS_SYNC) != 0;
  if (g_overflow) {
    RequestMemory* const memory = synchronous ? begin_request(thread, Operation::kSynchronizeAll) : nullptr;
    const long done = memory == nullptr ? 0 : exchange(thread, *memory);
    return is_error(done) ? done : 0;
  }
  std::uint32_t index = 0;
  for (;;) {
    const std::uint32_t slot = next_shared(index, regs.rdi, regs.rdi + regs.rsi);
    if (slot == kNoSlot) return 0;
    note_activity(slot);
    const long done = synchronous ? slot_request(thread, Operation::kSynchronize, slot) : 0;
    if (is_error(done)) return done;
  }
}

}  // namespace casemate::runtime
