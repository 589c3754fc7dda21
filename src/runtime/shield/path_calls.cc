// The calls that take paths: one description each, and the driver. calls.h explains.
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "runtime/engine/process/host_call.h"
#include "runtime/intercept/dispatch.h"
#include "runtime/memory/guest.h"
#include "runtime/shield/answers.h"
#include "runtime/shield/arena.h"
#include "runtime/shield/calls.h"
#include "runtime/shield/directories.h"
#include "runtime/shield/kinds.h"
#include "runtime/shield/status.h"
#include "runtime/table/table.h"

namespace casemate::runtime {
namespace {

using protocol::NodeKind;
using protocol::Operation;
using protocol::PlaceKind;
using protocol::ReplyKind;
using protocol::ResolvePurpose;

inline constexpr long kEbadf = -9, kE2big = -7, kEfbig = -27, kEfault = -14, kEinval = -22, kEopnotsupp = -95,
                      kErange = -34;
inline constexpr std::uint64_t kInotifyDontFollow = 0x02000000, kFanotifyDontFollow = 4;
inline constexpr std::uint32_t kEffectiveAccess = 0x200;     // AT_EACCESS
inline constexpr std::uint32_t kStatusSyncFlags = 0x6000;    // AT_STATX_SYNC_TYPE
inline constexpr std::uint32_t kStatxReserved = 0x80000000;  // STATX__RESERVED

// The program's own call on the host paths of the reply.
long own_call(CallState& state) {
  for (unsigned which = 0; which < 2; ++which) {
    const PathArgument& place = state.call.places[which];
    if (place.path < 0 || state.memory.reply.host_path_size[which] == 0) continue;
    if (place.directory >= 0) state.arguments[place.directory] = static_cast<std::uint64_t>(AT_FDCWD);
    state.arguments[place.path] = reinterpret_cast<std::uint64_t>(state.memory.host_path[which]);
  }
  if (state.call.adjust != nullptr) state.call.adjust(state);
  return pass_arguments(state.regs.original_rax, state.arguments);
}

long ask(CallState& state) {
  if (state.call.text >= 0) {
    const auto address = guest(state.arguments[state.call.text]);
    const long size = read_guest_string(state.memory.path[1], protocol::kPathCapacity, address);
    if (is_error(size)) return size;
    state.memory.request.path_size[1] = static_cast<std::uint32_t>(size);
  }
  // The one of openat and its kin ran already, because the path's last link depends on the flags.
  if (state.call.fill != nullptr && state.call.links != Links::kOpenFlags) {
    if (const long error = state.call.fill(state); error != 0) return error;
  }
  long result = 0;
  if (find_answer(state, result))
    return result == 0 && state.call.finish != nullptr ? state.call.finish(state, 0) : result;
  result = exchange(state.thread, state.memory, state.data, state.received);
  if (result == kEfbig && state.call.operation == Operation::kTruncate &&
      state.arguments[1] > state.memory.request.arguments[1]) {
    return exceed_size_limit(state.thread);
  }
  if (is_error(result)) return result;
  if (state.memory.reply.kind == ReplyKind::kHostPaths && state.call.operation != Operation::kChangeDirectory) {
    return own_call(state);
  }
  return state.call.finish != nullptr ? state.call.finish(state, result) : result;
}

// --- arguments of requests ---

std::uint64_t& request_argument(CallState& state, unsigned index) { return state.memory.request.arguments[index]; }

std::uint64_t no_follow(const CallState& state) {
  const std::uint64_t flags = state.call.flags >= 0 ? state.arguments[state.call.flags] : 0;
  const bool keeps = state.call.links == Links::kKeep || (flags & AT_SYMLINK_NOFOLLOW) != 0;
  return keeps ? AT_SYMLINK_NOFOLLOW : 0;
}

template <unsigned kSource, unsigned kTarget = 0>
long fill_number(CallState& state) {
  request_argument(state, kTarget) = state.arguments[kSource];
  return 0;
}

long fill_truncate(CallState& state) {
  request_argument(state, 0) = state.arguments[1];
  request_argument(state, 1) = file_size_limit();
  return 0;
}

template <std::uint64_t kValue>
long fill_constant(CallState& state) {
  request_argument(state, 0) = kValue;
  return 0;
}

long fill_status(CallState& state) {
  request_argument(state, 0) = no_follow(state);
  return 0;
}

template <unsigned kMode>
long fill_access(CallState& state) {
  const bool effective = state.call.flags >= 0 && (state.arguments[state.call.flags] & kEffectiveAccess) != 0;
  request_argument(state, 0) = state.arguments[kMode];
  request_argument(state, 1) = no_follow(state) | (effective ? kEffectiveAccess : 0);
  if (effective) return 0;
  state.memory.request.credentials.uid = static_cast<std::uint32_t>(host_call(SYS_getuid));
  state.memory.request.credentials.gid = static_cast<std::uint32_t>(host_call(SYS_getgid));
  return 0;
}

template <unsigned kMode>
long fill_directory(CallState& state) {
  request_argument(state, 0) = (state.arguments[kMode] & 07777) | S_IFDIR;
  return 0;
}

template <unsigned kMode>
long fill_node(CallState& state) {
  const std::uint64_t mode = state.arguments[kMode] & 0177777;
  request_argument(state, 0) = (mode & S_IFMT) == 0 ? mode | S_IFREG : mode;
  request_argument(state, 1) = static_cast<std::uint32_t>(state.arguments[kMode + 1]);
  return 0;
}

template <unsigned kMode>
long fill_mode(CallState& state) {
  request_argument(state, 0) = state.arguments[kMode] & 07777;
  request_argument(state, 1) = no_follow(state);
  return 0;
}

// -1, as a 32-bit number, keeps the owner.
template <unsigned kOwner>
long fill_owner(CallState& state) {
  const auto id = [&](unsigned index) {
    return static_cast<std::uint64_t>(static_cast<std::int64_t>(static_cast<std::int32_t>(state.arguments[index])));
  };
  request_argument(state, 0) = id(kOwner);
  request_argument(state, 1) = id(kOwner + 1);
  request_argument(state, 2) = no_follow(state);
  return 0;
}

long fill_link(CallState& state) {
  const std::uint64_t flags = state.call.flags >= 0 ? state.arguments[state.call.flags] : 0;
  request_argument(state, 0) = flags & AT_SYMLINK_FOLLOW;
  return 0;
}

// --- times ---

struct Microseconds {
  std::int64_t seconds, microseconds;
};

long give_times(CallState& state, const timespec (&times)[2]) {
  __builtin_memcpy(state.memory.outgoing, times, sizeof(times));
  state.data = {state.memory.outgoing, sizeof(times)};
  request_argument(state, 0) = no_follow(state);
  return 0;
}

// utimes, futimesat; a null pointer means now.
template <unsigned kTimes>
long fill_microseconds(CallState& state) {
  if (state.arguments[kTimes] == 0) return 0;
  Microseconds given[2];
  if (const long error = read_guest(given, guest(state.arguments[kTimes])); error != 0) return error;
  timespec times[2];
  for (int i = 0; i < 2; ++i) {
    if (given[i].microseconds < 0 || given[i].microseconds >= 1000000) return kEinval;
    times[i] = {given[i].seconds, given[i].microseconds * 1000};
  }
  return give_times(state, times);
}

long fill_seconds(CallState& state) {
  if (state.arguments[1] == 0) return 0;
  std::int64_t given[2];
  if (const long error = read_guest(given, guest(state.arguments[1])); error != 0) return error;
  const timespec times[2] = {{given[0], 0}, {given[1], 0}};
  return give_times(state, times);
}

long fill_nanoseconds(CallState& state) {
  request_argument(state, 0) = no_follow(state);
  if (state.arguments[2] == 0) return 0;
  timespec times[2];
  if (const long error = read_guest(times, guest(state.arguments[2])); error != 0) return error;
  return give_times(state, times);
}

// --- opening ---

void set_open(CallState& state, std::uint64_t flags, std::uint64_t mode, std::uint64_t resolve) {
  state.open_flags = flags;
  state.received = (flags & O_CLOEXEC) != 0 ? ReceivedKind::kCloseOnExec : ReceivedKind::kInherited;
  request_argument(state, 0) = flags;
  request_argument(state, 1) = mode & 07777;
  request_argument(state, 2) = resolve;
}

// The checks of build_open_flags() in Linux's fs/open.c: this call, unlike its elders, refuses what it does not know.
bool is_known(const struct open_how& how) {
  constexpr std::uint64_t kFlags = 037777703, kResolve = 0x3f;
  constexpr std::uint64_t kWithPath = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  if ((how.flags & ~kFlags) != 0 || (how.resolve & ~kResolve) != 0) return false;
  if ((how.resolve & RESOLVE_BENEATH) != 0 && (how.resolve & RESOLVE_IN_ROOT) != 0) return false;
  if ((how.flags & O_PATH) != 0 && (how.flags & ~kWithPath) != 0) return false;
  const bool creates = (how.flags & O_CREAT) != 0 || (how.flags & O_TMPFILE) == std::uint64_t{O_TMPFILE};
  return creates ? (how.mode & ~std::uint64_t{07777}) == 0 : how.mode == 0;
}

// Fields that later kernels append must be zero.
long fill_openat2(CallState& state) {
  struct open_how how {};
  const std::uint64_t size = state.arguments[3];
  if (size < sizeof(how)) return kEinval;
  if (size > protocol::kPageSize) return kE2big;
  if (const long error = read_guest(how, guest(state.arguments[2])); error != 0) return error;
  for (std::uint64_t at = sizeof(how); at < size; ++at) {
    char extra = 0;
    if (const long error = read_guest(extra, guest(state.arguments[2] + at)); error != 0) return error;
    if (extra != 0) return kE2big;
  }
  if (!is_known(how)) return kEinval;
  set_open(state, how.flags, how.mode, how.resolve);
  return 0;
}

// The keeper has kept the path below its start already; host paths are absolute.
void adjust_openat2(CallState& state) {
  struct open_how how {};
  how.flags = state.open_flags;
  how.mode = state.memory.request.arguments[1];
  how.resolve = state.memory.request.arguments[2] & ~std::uint64_t{RESOLVE_BENEATH | RESOLVE_IN_ROOT};
  __builtin_memcpy(state.memory.outgoing, &how, sizeof(how));
  state.arguments[2] = reinterpret_cast<std::uint64_t>(state.memory.outgoing);
  state.arguments[3] = sizeof(how);
}

// --- extended attributes: path 1 is the name ---

template <unsigned kValue>
long fill_set_attribute(CallState& state) {
  const std::uint64_t size = state.arguments[kValue + 1];
  if (size > 65536) return kE2big;
  if (size > sizeof(state.memory.outgoing)) return kE2big;
  if (copy_from_guest(state.memory.outgoing, guest(state.arguments[kValue]), size) != 0) return kEfault;
  state.data = {state.memory.outgoing, size};
  request_argument(state, 0) = state.arguments[kValue + 2];
  request_argument(state, 1) = no_follow(state);
  return 0;
}

template <unsigned kBuffer>
long fill_capacity(CallState& state) {
  request_argument(state, 0) = state.arguments[kBuffer + 1];
  request_argument(state, 1) = no_follow(state);
  return 0;
}

long fill_remove_attribute(CallState& state) {
  request_argument(state, 1) = no_follow(state);
  return 0;
}

// --- answers ---

template <unsigned kBuffer>
long finish_stat(CallState& state, long) {
  return give_stat(state.memory.reply.attributes, guest(state.arguments[kBuffer]));
}

long finish_statx(CallState& state, long) {
  return give_statx(state.memory.reply.attributes, guest(state.arguments[4]));
}

template <unsigned kBuffer>
long finish_link_text(CallState& state, long) {
  const auto capacity = static_cast<std::int32_t>(state.arguments[kBuffer + 1]);
  if (capacity <= 0) return kEinval;
  std::uint64_t size = state.memory.reply.data_size;
  if (size > static_cast<std::uint64_t>(capacity)) size = static_cast<std::uint64_t>(capacity);
  if (copy_to_guest(guest(state.arguments[kBuffer]), reply_data(state.memory), size) != 0) return kEfault;
  return static_cast<long>(size);
}

// Sizes only when the capacity is 0.
template <unsigned kBuffer>
long finish_attribute(CallState& state, long result) {
  const std::uint64_t capacity = state.arguments[kBuffer + 1], size = state.memory.reply.data_size;
  if (capacity == 0) return size != 0 ? static_cast<long>(size) : result;
  if (size > capacity) return kErange;
  if (copy_to_guest(guest(state.arguments[kBuffer]), reply_data(state.memory), size) != 0) return kEfault;
  return static_cast<long>(size);
}

long finish_file_system(CallState& state, long) {
  if (copy_to_guest(guest(state.arguments[1]), reply_data(state.memory), state.memory.reply.data_size) != 0) {
    return kEfault;
  }
  return 0;
}

long finish_directory(CallState& state, long) { return finish_chdir(state.thread, state.memory); }
long finish_root(CallState& state, long) { return finish_chroot(state.thread, state.memory); }

// A file of a volume where only host files will do.
long finish_unsupported(CallState&, long) { return kEopnotsupp; }

template <unsigned kMask>
long fill_watch(CallState& state) {
  const std::uint64_t flag = kMask == 2 ? kInotifyDontFollow : kFanotifyDontFollow;
  const unsigned index = kMask;
  request_argument(state, 0) = (state.arguments[index] & flag) != 0 ? AT_SYMLINK_NOFOLLOW : 0;
  request_argument(state, 1) = static_cast<std::uint64_t>(ResolvePurpose::kWatch);
  return 0;
}

long fill_handle(CallState& state) {
  request_argument(state, 0) = (state.arguments[4] & AT_SYMLINK_FOLLOW) != 0 ? 0 : AT_SYMLINK_NOFOLLOW;
  request_argument(state, 1) = static_cast<std::uint64_t>(ResolvePurpose::kOther);
  return 0;
}

constexpr PathArgument path_at(int path) { return {-1, static_cast<std::int8_t>(path)}; }
constexpr PathArgument path_in(int directory) {
  return {static_cast<std::int8_t>(directory), static_cast<std::int8_t>(directory + 1)};
}
constexpr PathArgument descriptor_at(int fd) { return {static_cast<std::int8_t>(fd), -1}; }

}  // namespace

long finish_open(CallState& state, long) {
  const std::int32_t fd = state.memory.received[0];
  if (fd < 0) return kEbadf;
  const std::uint32_t slot = state.memory.reply.slot;
  // Only what the arena confirms is kept; anything else is looked up when it is used.
  if (slot < protocol::kSlotCapacity && slot_at(slot).memfd_inode != 0) {
    kind_opened(state.thread, fd, slot, state.open_flags);
  }
  return fd;
}

namespace {
// The kernel's own checks of AT_* flags come before the path.
bool knows_flags(const ShieldCall& call, const Regs& regs) {
  if (call.flags < 0) return true;
  std::uint32_t known = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH;
  if (call.operation == Operation::kStatus) known |= AT_NO_AUTOMOUNT | kStatusSyncFlags;
  if (call.operation == Operation::kAccess) known |= kEffectiveAccess;
  if (call.operation == Operation::kUnlink) known = AT_REMOVEDIR;
  if (call.operation == Operation::kLink) known = AT_SYMLINK_FOLLOW | AT_EMPTY_PATH;
  if (call.operation == Operation::kResolve) return true;
  return (call_argument(regs, static_cast<unsigned>(call.flags)) & ~std::uint64_t{known} & 0xffffffff) == 0;
}
}  // namespace

long shield_call(Thread& thread, const Regs& regs, const ShieldCall& call) {
  if (!knows_flags(call, regs)) return kEinval;
  RequestMemory* const memory = begin_request(thread, call.operation);
  if (memory == nullptr) return -12;
  CallState state{thread, regs, call, *memory, {regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9}};
  if (call.links == Links::kOpenFlags) {
    if (const long error = call.fill(state); error != 0) return error;
  }
  Way way = Way::kKernel;
  for (unsigned which = 0; which < 2; ++which) {
    if (!call.places[which].used()) continue;
    const Located located = locate(state, which);
    if (located.error != 0) return located.error;
    if (located.way == Way::kInvalid) return pass_arguments(regs.original_rax, state.arguments);
    if (located.way == Way::kKeeper) way = Way::kKeeper;
  }
  // Where the process stands is known here, so the kernel never moves it alone.
  if (call.operation == Operation::kChangeDirectory) way = Way::kKeeper;
  return way == Way::kKernel ? pass_arguments(regs.original_rax, state.arguments) : ask(state);
}

#define SHIELDED(name, ...)                            \
  long sys_##name(Thread& thread, Regs& regs) {        \
    static constexpr ShieldCall kCall = {__VA_ARGS__}; \
    return shield_call(thread, regs, kCall);           \
  }
#define SHIELDED_BESIDE(name, ...)                     \
  long shield_##name(Thread& thread, Regs& regs) {     \
    static constexpr ShieldCall kCall = {__VA_ARGS__}; \
    return shield_call(thread, regs, kCall);           \
  }
using enum Operation;
using enum Links;

namespace {
long fill_open(CallState& state) {
  set_open(state, static_cast<std::uint32_t>(state.arguments[1]), state.arguments[2], 0);
  return 0;
}
long fill_creat(CallState& state) {
  set_open(state, O_CREAT | O_WRONLY | O_TRUNC, state.arguments[1], 0);
  return 0;
}
long fill_openat(CallState& state) {
  set_open(state, static_cast<std::uint32_t>(state.arguments[2]), state.arguments[3], 0);
  return 0;
}
}  // namespace

SHIELDED_BESIDE(open, kOpen, {path_at(0)}, kOpenFlags, -1, -1, fill_open, finish_open)
SHIELDED_BESIDE(creat, kOpen, {path_at(0)}, kOpenFlags, -1, -1, fill_creat, finish_open)
SHIELDED_BESIDE(openat, kOpen, {path_in(0)}, kOpenFlags, -1, -1, fill_openat, finish_open)
SHIELDED_BESIDE(openat2, kOpen, {path_in(0)}, kOpenFlags, -1, -1, fill_openat2, finish_open, adjust_openat2)

SHIELDED_BESIDE(stat, kStatus, {path_at(0)}, kFollow, -1, -1, fill_status, finish_stat<1>)
SHIELDED_BESIDE(lstat, kStatus, {path_at(0)}, kKeep, -1, -1, fill_status, finish_stat<1>)
SHIELDED_BESIDE(access, kAccess, {path_at(0)}, kFollow, -1, -1, fill_access<1>)
SHIELDED_BESIDE(faccessat, kAccess, {path_in(0)}, kFollow, -1, -1, fill_access<2>)
SHIELDED_BESIDE(faccessat2, kAccess, {path_in(0)}, kUnlessNoFollow, 3, -1, fill_access<2>)
SHIELDED_BESIDE(readlink, kReadLink, {path_at(0)}, kKeep, -1, -1, nullptr, finish_link_text<1>)
SHIELDED_BESIDE(readlinkat, kReadLink, {path_in(0)}, kKeep, -1, -1, nullptr, finish_link_text<2>)

SHIELDED(mkdir, kMakeNode, {path_at(0)}, kKeep, -1, -1, fill_directory<1>)
SHIELDED(mkdirat, kMakeNode, {path_in(0)}, kKeep, -1, -1, fill_directory<2>)
SHIELDED(mknod, kMakeNode, {path_at(0)}, kKeep, -1, -1, fill_node<1>)
SHIELDED(mknodat, kMakeNode, {path_in(0)}, kKeep, -1, -1, fill_node<2>)
SHIELDED(symlink, kMakeSymbolicLink, {path_at(1)}, kKeep, -1, 0)
SHIELDED(symlinkat, kMakeSymbolicLink, {path_in(1)}, kKeep, -1, 0)
SHIELDED(link, kLink, {path_at(0), path_at(1)}, kKeep, -1, -1, fill_link)
SHIELDED(linkat, kLink, {path_in(0), path_in(2)}, kIfFollow, 4, -1, fill_link)
SHIELDED(rmdir, kUnlink, {path_at(0)}, kKeep, -1, -1, fill_constant<AT_REMOVEDIR>)
SHIELDED(unlink, kUnlink, {path_at(0)}, kKeep, -1, -1, fill_constant<0>)
SHIELDED(unlinkat, kUnlink, {path_in(0)}, kKeep, 2, -1, fill_number<2>)
SHIELDED(rename, kRename, {path_at(0), path_at(1)}, kKeep, -1, -1, fill_constant<0>)
SHIELDED(renameat, kRename, {path_in(0), path_in(2)}, kKeep, -1, -1, fill_constant<0>)
SHIELDED(renameat2, kRename, {path_in(0), path_in(2)}, kKeep, -1, -1, fill_number<4>)

SHIELDED(chmod, kChangeMode, {path_at(0)}, kFollow, -1, -1, fill_mode<1>)
SHIELDED(fchmod, kChangeMode, {descriptor_at(0)}, kFollow, -1, -1, fill_mode<1>)
SHIELDED(fchmodat, kChangeMode, {path_in(0)}, kFollow, -1, -1, fill_mode<2>)
SHIELDED(fchmodat2, kChangeMode, {path_in(0)}, kUnlessNoFollow, 3, -1, fill_mode<2>)
SHIELDED(chown, kChangeOwner, {path_at(0)}, kFollow, -1, -1, fill_owner<1>)
SHIELDED(lchown, kChangeOwner, {path_at(0)}, kKeep, -1, -1, fill_owner<1>)
SHIELDED(fchown, kChangeOwner, {descriptor_at(0)}, kFollow, -1, -1, fill_owner<1>)
SHIELDED(fchownat, kChangeOwner, {path_in(0)}, kUnlessNoFollow, 4, -1, fill_owner<2>)
SHIELDED(utime, kChangeTimes, {path_at(0)}, kFollow, -1, -1, fill_seconds)
SHIELDED(utimes, kChangeTimes, {path_at(0)}, kFollow, -1, -1, fill_microseconds<1>)
SHIELDED(futimesat, kChangeTimes, {path_in(0)}, kFollow, -1, -1, fill_microseconds<2>)
SHIELDED(utimensat, kChangeTimes, {path_in(0)}, kUnlessNoFollow, 3, -1, fill_nanoseconds)
SHIELDED(truncate, kTruncate, {path_at(0)}, kFollow, -1, -1, fill_truncate)

SHIELDED(chdir, kChangeDirectory, {path_at(0)}, kFollow, -1, -1, nullptr, finish_directory)
SHIELDED(chroot, kChangeDirectory, {path_at(0)}, kFollow, -1, -1, nullptr, finish_root)
SHIELDED(statfs, kStatusOfFileSystem, {path_at(0)}, kFollow, -1, -1, nullptr, finish_file_system)
SHIELDED(fstatfs, kStatusOfFileSystem, {descriptor_at(0)}, kFollow, -1, -1, nullptr, finish_file_system)

SHIELDED(setxattr, kSetAttribute, {path_at(0)}, kFollow, -1, 1, fill_set_attribute<2>)
SHIELDED(lsetxattr, kSetAttribute, {path_at(0)}, kKeep, -1, 1, fill_set_attribute<2>)
SHIELDED(fsetxattr, kSetAttribute, {descriptor_at(0)}, kFollow, -1, 1, fill_set_attribute<2>)
SHIELDED(getxattr, kGetAttribute, {path_at(0)}, kFollow, -1, 1, fill_capacity<2>, finish_attribute<2>)
SHIELDED(lgetxattr, kGetAttribute, {path_at(0)}, kKeep, -1, 1, fill_capacity<2>, finish_attribute<2>)
SHIELDED(fgetxattr, kGetAttribute, {descriptor_at(0)}, kFollow, -1, 1, fill_capacity<2>, finish_attribute<2>)
SHIELDED(listxattr, kListAttributes, {path_at(0)}, kFollow, -1, -1, fill_capacity<1>, finish_attribute<1>)
SHIELDED(llistxattr, kListAttributes, {path_at(0)}, kKeep, -1, -1, fill_capacity<1>, finish_attribute<1>)
SHIELDED(flistxattr, kListAttributes, {descriptor_at(0)}, kFollow, -1, -1, fill_capacity<1>, finish_attribute<1>)
SHIELDED(removexattr, kRemoveAttribute, {path_at(0)}, kFollow, -1, 1, fill_remove_attribute)
SHIELDED(lremovexattr, kRemoveAttribute, {path_at(0)}, kKeep, -1, 1, fill_remove_attribute)
SHIELDED(fremovexattr, kRemoveAttribute, {descriptor_at(0)}, kFollow, -1, 1, fill_remove_attribute)

SHIELDED(inotify_add_watch, kResolve, {path_at(1)}, kFollow, -1, -1, fill_watch<2>, finish_unsupported)
SHIELDED(fanotify_mark, kResolve, {path_in(3)}, kFollow, -1, -1, fill_watch<1>, finish_unsupported)
SHIELDED(name_to_handle_at, kResolve, {path_in(0)}, kIfFollow, 4, -1, fill_handle, finish_unsupported)

namespace {
constexpr ShieldCall kStatusAt = {kStatus, {path_in(0)}, kUnlessNoFollow, 3, -1, fill_status, finish_stat<2>};
constexpr ShieldCall kStatusExtended = {kStatus, {path_in(0)}, kUnlessNoFollow, 2, -1, fill_status, finish_statx};

// The fstat of newer libcs: a descriptor and an empty path. Answered from shared memory.
bool is_about_descriptor(std::uint64_t path, std::uint64_t flags) {
  if ((flags & AT_EMPTY_PATH) == 0) return false;
  char first = 0;
  return path == 0 || (read_guest(first, guest(path)) == 0 && first == 0);
}

// False: not a shielded descriptor.
bool status_by_descriptor(Thread& thread, std::uint64_t fd, protocol::ShieldAttributes& attributes, long& result) {
  const DescriptorKind kind = kind_of(thread, static_cast<std::int32_t>(fd));
  if (!kind.shielded()) return false;
  result = attributes_of(static_cast<std::int32_t>(fd), kind.slot, attributes);
  return true;
}
}  // namespace

long shield_newfstatat(Thread& thread, Regs& regs) {
  if (!knows_flags(kStatusAt, regs)) return kEinval;
  if (!is_about_descriptor(regs.rsi, regs.r10)) return shield_call(thread, regs, kStatusAt);
  protocol::ShieldAttributes attributes;
  long result = 0;
  if (!status_by_descriptor(thread, regs.rdi, attributes, result)) {
    const bool working = static_cast<std::int32_t>(regs.rdi) == AT_FDCWD;
    return working ? shield_call(thread, regs, kStatusAt) : pass_through(thread, regs);
  }
  return result != 0 ? result : give_stat(attributes, guest(regs.rdx));
}

long shield_statx(Thread& thread, Regs& regs) {
  const bool both_ways = (regs.rdx & kStatusSyncFlags) == kStatusSyncFlags;
  if (both_ways || (regs.r10 & kStatxReserved) != 0 || !knows_flags(kStatusExtended, regs)) return kEinval;
  if (!is_about_descriptor(regs.rsi, regs.rdx)) return shield_call(thread, regs, kStatusExtended);
  protocol::ShieldAttributes attributes;
  long result = 0;
  if (!status_by_descriptor(thread, regs.rdi, attributes, result)) {
    const bool working = static_cast<std::int32_t>(regs.rdi) == AT_FDCWD;
    return working ? shield_call(thread, regs, kStatusExtended) : pass_through(thread, regs);
  }
  return result != 0 ? result : give_statx(attributes, guest(regs.r8));
}

}  // namespace casemate::runtime
