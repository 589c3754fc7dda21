// The runtime's descriptors are not the program's: close does not close them, dup2 moves them, /proc/self/fd does not
// list them.
#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/syscall.h>

#include "runtime/intercept/dispatch.h"
#include "runtime/intercept/line.h"
#include "runtime/intercept/process.h"
#include "runtime/memory/guest.h"
#include "runtime/netshield/net.h"
#include "runtime/shield/calls.h"
#include "runtime/shield/channel.h"
#include "runtime/shield/kinds.h"
#include "runtime/task/tasks.h"

namespace casemate::runtime {
namespace {

inline constexpr long kEbadf = -9;
inline constexpr std::int64_t kProcMagic = 0x9fa0;

long move_descriptor(std::atomic<std::int32_t>& fd) {
  const long moved = host_call(SYS_fcntl, fd, F_DUPFD_CLOEXEC, fd + 1);
  if (is_error(moved)) return moved;
  fd = static_cast<std::int32_t>(moved);
  return 0;
}

long make_room(Thread& thread, std::int32_t wanted) {
  DescriptorState& state = *thread.descriptors;
  const std::uint32_t count = state.own_count;
  for (std::uint32_t i = 0; i < count; ++i) {
    if (state.own[i] == wanted) return i < kFirstChannelFd ? move_descriptor(state.own[i]) : move_channel(state, i);
  }
  return 0;
}

long duplicate_onto(Thread& thread, Regs& regs) {
  const auto wanted = static_cast<std::int32_t>(regs.rsi);
  if (is_runtime_descriptor(thread, static_cast<std::int32_t>(regs.rdi))) return kEbadf;
  if (!is_runtime_descriptor(thread, wanted)) return pass_through(thread, regs);
  if (const long error = make_room(thread, wanted); error != 0) return error;
  const long result = pass_through(thread, regs);
  // Our descriptor has gone elsewhere and the program's has not come: the number is free.
  if (is_error(result)) host_call(SYS_close, wanted);
  return result;
}

// Insertion sort: three entries, or a few more with a file shield.
std::uint32_t sort_own(const DescriptorState& state, std::int64_t (&sorted)[kOwnCapacity]) {
  const std::uint32_t count = state.own_count;
  for (std::uint32_t i = 0; i < count; ++i) {
    std::uint32_t place = i;
    const std::int64_t fd = state.own[i];
    for (; place > 0 && sorted[place - 1] > fd; --place) sorted[place] = sorted[place - 1];
    sorted[place] = fd;
  }
  return count;
}

long close_span(const Thread& thread, std::uint64_t first, std::uint64_t last, std::uint64_t flags) {
  if (first > last) return 0;
  const std::uint64_t arguments[6] = {first, last, flags, 0, 0, 0};
  const long result = pass_arguments(SYS_close_range, arguments);
  if (g_process.shield_active && (flags & CLOSE_RANGE_CLOEXEC) == 0) kinds_closed(thread, first, last);
  return result;
}

// Is `fd` a directory that lists this process's descriptors?
bool lists_descriptors(std::int32_t fd) {
  std::int64_t statistics[16];
  if (host_call(SYS_fstatfs, fd, reinterpret_cast<long>(statistics)) != 0 || statistics[0] != kProcMagic) return false;
  Line link;
  link.text("/proc/self/fd/").number(fd);
  char target[64];
  const long size = host_call(SYS_readlinkat, AT_FDCWD, reinterpret_cast<long>(link.c_str()),
                              reinterpret_cast<long>(target), sizeof(target) - 1);
  if (size <= 0) return false;
  target[size] = 0;
  Line own;
  own.text("/proc/").number(host_call(SYS_getpid)).text("/");
  for (std::uint64_t i = 0; i < own.size(); ++i) {
    if (target[i] != own.data()[i]) return false;
  }
  const char* last = target + size;
  while (last[-1] != '/') --last;
  return last[0] == 'f' && last[1] == 'd' && (last[2] == 0 || last[2] == 'i');  // fd, fdinfo
}

std::int64_t number_of(const char* name) {
  std::int64_t value = 0;
  if (*name == 0) return -1;
  for (; *name != 0; ++name) {
    if (*name < '0' || *name > '9' || value > 100000000) return -1;
    value = value * 10 + (*name - '0');
  }
  return value;
}

struct DirectoryEntry {
  std::uint64_t inode, offset;
  std::uint16_t size;
  std::uint8_t type;
  char name[301];
};

// Removes our entries from `size` bytes of records; returns what is left, or a negative errno.
long hide_entries(const Thread& thread, std::uint64_t buffer, long size) {
  long out = 0;
  for (long in = 0; in < size;) {
    DirectoryEntry entry{};
    const auto at = guest(buffer + static_cast<std::uint64_t>(in));
    if (copy_from_guest(&entry, at, 19) != 0 || entry.size < 20 || entry.size > 300) return size;
    if (copy_from_guest(&entry, at, entry.size) != 0) return -14;
    const bool ours = is_runtime_descriptor(thread, number_of(entry.name));
    if (!ours && out != in && copy_to_guest(guest(buffer + static_cast<std::uint64_t>(out)), &entry, entry.size) != 0) {
      return -14;
    }
    if (!ours) out += entry.size;
    in += entry.size;
  }
  return out;
}

}  // namespace

bool is_runtime_descriptor(const Thread& thread, std::int64_t fd) {
  const DescriptorState& state = *thread.descriptors;
  const std::uint32_t count = state.own_count.load(std::memory_order_relaxed);
  for (std::uint32_t i = 0; fd >= 0 && i < count; ++i) {
    if (fd == state.own[i].load(std::memory_order_relaxed)) return true;
  }
  return false;
}

namespace {
// By these calls programs find out which descriptors are open; the runtime's must not seem to be.
long unless_ours(Thread& thread, Regs& regs) {
  if (is_runtime_descriptor(thread, static_cast<std::int32_t>(regs.rdi))) return kEbadf;
  return pass_through(thread, regs);
}
}  // namespace

long sys_close(Thread& thread, Regs& regs) {
  if (!g_process.shield_active) return unless_ours(thread, regs);
  const auto fd = static_cast<std::int32_t>(regs.rdi);
  kind_changing(thread, fd);
  const long result = unless_ours(thread, regs);
  kind_changed(thread, fd);
  return result;
}

long sys_fstat(Thread& thread, Regs& regs) {
  return g_process.shield_active ? shield_fstat(thread, regs) : unless_ours(thread, regs);
}

long sys_fcntl(Thread& thread, Regs& regs) {
  return g_process.shield_active ? shield_fcntl(thread, regs) : unless_ours(thread, regs);
}

long sys_dup(Thread& thread, Regs& regs) {
  const long result = unless_ours(thread, regs);
  if (g_process.shield_active && result >= 0) kind_changed(thread, result);
  return result;
}

namespace {
long duplicate(Thread& thread, Regs& regs) {
  if (!g_process.shield_active || regs.rdi == regs.rsi) return duplicate_onto(thread, regs);
  const auto wanted = static_cast<std::int32_t>(regs.rsi);
  kind_changing(thread, wanted);
  const long result = duplicate_onto(thread, regs);
  kind_changed(thread, wanted);
  return result;
}
}  // namespace

long sys_dup2(Thread& thread, Regs& regs) { return duplicate(thread, regs); }
long sys_dup3(Thread& thread, Regs& regs) { return duplicate(thread, regs); }

long sys_close_range(Thread& thread, Regs& regs) {
  std::uint64_t first = static_cast<std::uint32_t>(regs.rdi);
  const std::uint64_t last = static_cast<std::uint32_t>(regs.rsi);
  std::uint64_t flags = static_cast<std::uint32_t>(regs.rdx);
  if (first > last || (flags & ~std::uint64_t{CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC}) != 0) {
    return pass_through(thread, regs);
  }
  if ((flags & CLOSE_RANGE_UNSHARE) != 0) {
    DescriptorState* own = descriptors_create(*thread.descriptors);
    if (own == nullptr) return -12;
    if (g_process.net_active && (own->net_member = net_copy_member(thread)) == kNoMember) {
      own->references.store(0);
      return -12;
    }
    if (const long error = host_call(SYS_unshare, 0x400); error != 0) {  // CLONE_FILES
      if (g_process.net_active) net_drop_member(thread, own->net_member);
      own->references.store(0);
      return error;
    }
    DescriptorState* const left = thread.descriptors;
    thread.descriptors = own;
    if (left->references.fetch_sub(1) == 1 && g_process.net_active) net_drop_member(thread, left->net_member);
    flags &= ~std::uint64_t{CLOSE_RANGE_UNSHARE};
  }
  std::int64_t ours_sorted[kOwnCapacity];
  const std::uint32_t count = sort_own(*thread.descriptors, ours_sorted);
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::int64_t ours = ours_sorted[i];
    if (ours < 0 || static_cast<std::uint64_t>(ours) < first || static_cast<std::uint64_t>(ours) > last) continue;
    if (ours > 0) {
      const long error = close_span(thread, first, static_cast<std::uint64_t>(ours) - 1, flags);
      if (error != 0) return error;
    }
    first = static_cast<std::uint64_t>(ours) + 1;
  }
  return close_span(thread, first, last, flags);
}

long sys_getdents64(Thread& thread, Regs& regs) {
  if (g_process.shield_active && is_shielded(thread, static_cast<std::int32_t>(regs.rdi))) {
    return shield_getdents64(thread, regs);
  }
  for (;;) {
    const long size = pass_through(thread, regs);
    if (size <= 0 || !lists_descriptors(static_cast<std::int32_t>(regs.rdi))) return size;
    const long left = hide_entries(thread, regs.rsi, size);
    if (left != 0) return left;
  }
}

long sys_getdents(Thread& thread, Regs& regs) {
  if (g_process.shield_active && is_shielded(thread, static_cast<std::int32_t>(regs.rdi))) {
    return shield_getdents(thread, regs);
  }
  return pass_through(thread, regs);
}

}  // namespace casemate::runtime
