// Mappings of shielded files. The kernel maps the memory file; before that its pages are fetched and pinned, because
// nobody sees when the program touches them. Shared mappings are noted: for msync, for mremap, and because those that
// may write are announced to the keeper only when they can.
#include <sys/mman.h>
#include <sys/syscall.h>

#include "runtime/boot/launch_state.h"
#include "runtime/engine/process/host_call.h"
#include "runtime/intercept/dispatch.h"
#include "runtime/intercept/process.h"
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

inline constexpr long kEbadf = -9, kEacces = -13, kEnodev = -19, kEopnotsupp = -95;
inline constexpr std::size_t kMappingCapacity = 1024;

// Ranges may be stale (unmapped in part, or replaced): msync then makes something durable that nobody asked for.
struct SharedMapping {
  std::uint64_t begin, end;
  std::uint64_t offset;  // in the file, of `begin`
  std::uint32_t slot;
  bool may_write, announced;
};

constinit Lock g_lock;
constinit SharedMapping g_mappings[kMappingCapacity] = {};
constinit std::uint32_t g_count = 0;
constinit std::uint32_t g_unannounced = 0;  // entries that may write and were not announced
constinit bool g_overflow = false;          // some are not in the table: msync means everything

bool is_unannounced(const SharedMapping& mapping) { return mapping.may_write && !mapping.announced; }

void remove_at(std::uint32_t index) {
  if (is_unannounced(g_mappings[index])) --g_unannounced;
  g_mappings[index] = g_mappings[--g_count];
}

// False: no room.
bool note_shared(const SharedMapping& mapping) {
  const LockGuard guard(g_lock);
  for (std::uint32_t i = 0; i < g_count; ++i) {
    if (g_mappings[i].begin != mapping.begin || g_mappings[i].slot != mapping.slot) continue;
    remove_at(i);
    break;
  }
  if (g_count == kMappingCapacity) {
    g_overflow = true;
    return false;
  }
  if (is_unannounced(mapping)) ++g_unannounced;
  g_mappings[g_count++] = mapping;
  return true;
}

// The first entry at or behind position `index` that touches the range, and the position behind it. False: none.
bool next_shared(std::uint32_t& index, std::uint64_t begin, std::uint64_t end, SharedMapping& found) {
  const LockGuard guard(g_lock);
  for (; index < g_count; ++index) {
    const SharedMapping& mapping = g_mappings[index];
    if (mapping.begin >= end || begin >= mapping.end) continue;
    found = mapping;
    ++index;
    return true;
  }
  return false;
}

ByteRange file_range(const SharedMapping& mapping) { return {mapping.offset, mapping.end - mapping.begin}; }

struct PageSpan {
  std::uint64_t first, count;
};
// Of the file, where the mapping shows it in [begin, end), which it touches.
PageSpan pages_in(const SharedMapping& mapping, std::uint64_t begin, std::uint64_t end) {
  if (begin < mapping.begin) begin = mapping.begin;
  if (end > mapping.end) end = mapping.end;
  const ByteRange range{mapping.offset + (begin - mapping.begin), end - begin};
  return {range.first_page(), range.end_page() - range.first_page()};
}

long announce(Thread& thread, std::uint32_t slot, ByteRange range) {
  return populate_pinned(thread, slot, range, PopulatePurpose::kMapWritable);
}

void mark_announced(const SharedMapping& announced) {
  const LockGuard guard(g_lock);
  for (std::uint32_t i = 0; i < g_count; ++i) {
    SharedMapping& mapping = g_mappings[i];
    const bool same =
        mapping.begin == announced.begin && mapping.slot == announced.slot && mapping.end == announced.end;
    if (!same || !is_unannounced(mapping)) continue;
    mapping.announced = true;
    --g_unannounced;
  }
}

}  // namespace

void mappings_after_fork() { g_lock.reset(); }

void mappings_removed(std::uint64_t begin, std::uint64_t size) {
  if (__atomic_load_n(&g_count, __ATOMIC_RELAXED) == 0) return;
  const LockGuard guard(g_lock);
  for (std::uint32_t i = 0; i < g_count;) {
    if (g_mappings[i].begin >= begin && g_mappings[i].end <= begin + size) {
      remove_at(i);
    } else {
      ++i;
    }
  }
}

void mappings_moved(std::uint64_t begin, std::uint64_t size, std::uint64_t new_begin, std::uint64_t new_size) {
  std::uint32_t index = 0;
  SharedMapping mapping;
  if (!next_shared(index, begin, begin + 1, mapping)) return;
  mappings_removed(begin, size);
  mapping.offset += begin - mapping.begin;
  mapping.begin = new_begin;
  mapping.end = new_begin + new_size;
  note_shared(mapping);
}

long prepare_growth(Thread& thread, std::uint64_t begin, std::uint64_t old_size, std::uint64_t new_size) {
  if (new_size <= old_size || __atomic_load_n(&g_count, __ATOMIC_RELAXED) == 0) return 0;
  std::uint32_t index = 0;
  SharedMapping mapping;
  if (!next_shared(index, begin, begin + 1, mapping)) return 0;
  const ByteRange range{mapping.offset + (begin - mapping.begin), new_size};
  const PopulatePurpose purpose = mapping.announced ? PopulatePurpose::kMapWritable : PopulatePurpose::kMap;
  const long error = populate_pinned(thread, mapping.slot, range, purpose);
  return error == kEbadf ? 0 : error;
}

long mappings_become_writable(Thread& thread, std::uint64_t begin, std::uint64_t size) {
  if (__atomic_load_n(&g_unannounced, __ATOMIC_RELAXED) == 0) return 0;
  std::uint32_t index = 0;
  SharedMapping mapping;
  while (next_shared(index, begin, begin + size, mapping)) {
    if (!is_unannounced(mapping)) continue;
    const long error = announce(thread, mapping.slot, file_range(mapping));
    // A range that was unmapped since, of a file that nobody has open.
    if (error != 0 && error != kEbadf) return error;
    mark_announced(mapping);
  }
  return 0;
}

long prepare_mapping(Thread& thread, const Regs& regs, PreparedMapping& prepared) {
  prepared = {kNoSlot, regs.r9, false, false};
  if ((regs.r10 & MAP_ANONYMOUS) != 0) return 0;
  const DescriptorKind kind = kind_of(thread, static_cast<std::int32_t>(regs.r8));
  if (!kind.shielded()) {
    const bool is_host_code = (regs.rdx & PROT_EXEC) != 0 && (g_process.launch_flags & kLaunchNoHostCode) != 0;
    return is_host_code ? kEacces : 0;
  }
  const protocol::FileSlot& slot = slot_at(kind.slot);
  if (slot.kind != NodeKind::kRegular) return kEnodev;
  // Direct access to persistent memory, which no memory file has. Refused before the keeper prepares a writable
  // mapping: databases ask for it first with their whole log.
  if ((regs.r10 & MAP_TYPE) == MAP_SHARED_VALIDATE && (regs.r10 & MAP_SYNC) != 0) return kEopnotsupp;
  const bool shared = (regs.r10 & MAP_TYPE) != MAP_PRIVATE;
  const bool writable = shared && (kind.flags & kKindWritable) != 0;
  if (shared && (regs.rdx & PROT_WRITE) != 0 && (slot.flags & protocol::kSlotReadOnly) != 0) return kEacces;
  // Databases map for reading what they write by other ways: then nobody need look for changes.
  prepared.may_write = writable;
  prepared.announced = writable && (regs.rdx & PROT_WRITE) != 0;
  const PopulatePurpose purpose = prepared.announced ? PopulatePurpose::kMapWritable : PopulatePurpose::kMap;
  const long error = populate_pinned(thread, kind.slot, {regs.r9, regs.rsi}, purpose);
  if (error == 0 && shared) prepared.shared_slot = kind.slot;
  return error;
}

void finish_mapping(Thread& thread, const PreparedMapping& prepared, std::uint64_t start, std::uint64_t size) {
  if (prepared.shared_slot == kNoSlot) return;
  const SharedMapping mapping{
      start, start + size, prepared.offset, prepared.shared_slot, prepared.may_write, prepared.announced};
  // What is not in the table cannot be announced later.
  if (!note_shared(mapping) && is_unannounced(mapping)) announce(thread, mapping.slot, file_range(mapping));
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
  SharedMapping mapping;
  while (next_shared(index, regs.rdi, regs.rdi + regs.rsi, mapping)) {
    if (!mapping.may_write) continue;
    note_activity(mapping.slot);
    const PageSpan pages = pages_in(mapping, regs.rdi, regs.rdi + regs.rsi);
    const long done =
        synchronous ? slot_request(thread, Operation::kSynchronize, mapping.slot, pages.first, pages.count) : 0;
    if (is_error(done)) return done;
  }
  return 0;
}

}  // namespace casemate::runtime
