// Calls that make, copy and close descriptors of connections; and those that would move bytes past the shield.
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "runtime/netshield/calls.h"

namespace casemate::runtime {

namespace {

inline constexpr std::uint64_t kBytesReady = 0x541b;  // FIONREAD
inline constexpr std::uint64_t kMostSent = 0x7ffff000;
inline constexpr std::uint64_t kSetSignal = 10, kAsynchronous = 020000;        // F_SETSIG, O_ASYNC
inline constexpr std::uint64_t kSetOwner = 0x8901, kSetAsynchronous = 0x5452;  // FIOSETOWN, FIOASYNC

bool is_connection(const Thread& thread, std::uint64_t fd) {
  return net_look(thread, static_cast<std::int32_t>(fd)).kind == NetKind::kConnection;
}

// The kernel must not move bytes of or to it.
bool is_closed_to_kernel(const Thread& thread, std::uint64_t fd) {
  const NetKind kind = net_look(thread, static_cast<std::int32_t>(fd)).kind;
  return kind == NetKind::kConnection || kind == NetKind::kDenied;
}

// Before the kernel gives the number `fd` another meaning, or none.
void forget(Thread& thread, std::int64_t fd) {
  if (!is_runtime_descriptor(thread, fd)) net_release_word(thread, net_take_word(thread, fd), fd);
}

void forget_range(Thread& thread, std::uint64_t first, std::uint64_t last) {
  const std::uint32_t member = thread.descriptors->net_member;
  const std::uint32_t limit = member == kNoMember ? 0 : net_arena().members[member].limit.load();
  for (std::uint64_t fd = first; fd <= last && fd < limit; ++fd) forget(thread, static_cast<std::int64_t>(fd));
}

long duplicate_onto(Thread& thread, Regs& regs) {
  const auto from = static_cast<std::int32_t>(regs.rdi), to = static_cast<std::int32_t>(regs.rsi);
  if (from == to || is_error(host_call(SYS_fcntl, from, F_GETFD))) return net_pass_on(thread, regs);
  const NetLook look = net_look(thread, from);
  if (look.kind == NetKind::kConnection && static_cast<std::uint32_t>(to) >= netshield::kWordCount) return -24;
  forget(thread, to);
  const long result = net_pass_on(thread, regs);
  if (!is_error(result) && result >= 0) net_copy_word(thread, from, result);
  return result;
}

// A new descriptor for the same description.
long note_copy(Thread& thread, std::int32_t from, long result) {
  if (is_error(result) || result < 0) return result;
  if (result >= netshield::kWordCount && is_connection(thread, static_cast<std::uint64_t>(from))) {
    host_call(SYS_close, result);
    return -24;
  }
  net_copy_word(thread, from, result);
  return result;
}

// Bytes that can be had at once, at least those of the first record.
long bytes_ready(Thread& thread, std::int32_t fd, const NetLook& look, GuestAddr address) {
  const NetTransfer transfer{thread, fd, look, kMsgDoNotWait};
  std::int32_t count = 0;
  if (net_await_handshake(transfer) == 0) {
    NetAccess access(look, fd);
    if (!access.is_current()) return kNetEbadf;
    if (access.slot().state.load() == netshield::SlotState::kOpen) {
      const long filled = netshield::fill(access.call());
      if (filled > 0) count = static_cast<std::int32_t>(filled);
    }
  }
  return write_guest(address, count);
}

bool is_file(std::int32_t fd) {
  struct stat status;
  if (host_call(SYS_fstat, fd, reinterpret_cast<long>(&status)) != 0) return false;
  return S_ISREG(status.st_mode) || S_ISBLK(status.st_mode);
}

// read(2) or pread(2) of the program's file into memory of ours, by the handlers that files have.
long read_file(Thread& thread, std::int32_t fd, const std::uint64_t* offset, std::uint8_t* bytes, std::size_t size) {
  Regs regs{};
  regs.original_rax = offset != nullptr ? SYS_pread64 : SYS_read;
  regs.rdi = static_cast<std::uint64_t>(fd);
  regs.rsi = reinterpret_cast<std::uint64_t>(bytes);
  regs.rdx = size;
  regs.r10 = offset != nullptr ? *offset : 0;
  return net_pass_on(thread, regs);
}

// The file's bytes go straight into the records.
long send_file(const NetTransfer& transfer, std::int32_t fd, std::uint64_t* offset, std::uint64_t size) {
  if (!is_file(fd)) return kNetEinval;
  const auto fetch = [&](std::uint64_t, std::uint8_t* bytes, std::size_t part) {
    const long got = read_file(transfer.thread, fd, offset, bytes, part);
    if (got > 0 && offset != nullptr) *offset += static_cast<std::uint64_t>(got);
    return got;
  };
  return net_send(transfer, size, fetch);
}

}  // namespace

long net_close(Thread& thread, Regs& regs) {
  forget(thread, static_cast<std::int32_t>(regs.rdi));
  return net_pass_on(thread, regs);
}

long net_close_range(Thread& thread, Regs& regs) {
  const auto first = static_cast<std::uint32_t>(regs.rdi), last = static_cast<std::uint32_t>(regs.rsi);
  const auto flags = static_cast<std::uint32_t>(regs.rdx);
  const bool closes = (flags & CLOSE_RANGE_CLOEXEC) == 0 && first <= last;
  // A table that is to be left keeps its descriptors: then the handler behind makes one of our own first.
  const bool is_shared = (flags & CLOSE_RANGE_UNSHARE) != 0 && thread.descriptors->references.load() > 1;
  if (!closes || (flags & ~std::uint32_t{CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC}) != 0) {
    return net_pass_on(thread, regs);
  }
  if (!is_shared) forget_range(thread, first, last);
  const long result = net_pass_on(thread, regs);
  if (is_shared && result == 0) forget_range(thread, first, last);
  return result;
}

long net_dup(Thread& thread, Regs& regs) {
  return note_copy(thread, static_cast<std::int32_t>(regs.rdi), net_pass_on(thread, regs));
}
long net_dup2(Thread& thread, Regs& regs) { return duplicate_onto(thread, regs); }
long net_dup3(Thread& thread, Regs& regs) { return duplicate_onto(thread, regs); }

long net_fcntl(Thread& thread, Regs& regs) {
  const bool copies = regs.rsi == F_DUPFD || regs.rsi == F_DUPFD_CLOEXEC;
  if (copies) return note_copy(thread, static_cast<std::int32_t>(regs.rdi), net_pass_on(thread, regs));
  const bool is_signalled = regs.rsi == kSetSignal || (regs.rsi == F_SETFL && (regs.rdx & kAsynchronous) != 0);
  if (is_signalled && is_connection(thread, regs.rdi)) {
    net_log("signal-driven I/O", nullptr, "refused: shielded connections have none; poll them");
    return kNetEinval;
  }
  return net_pass_on(thread, regs);
}

long net_ioctl(Thread& thread, Regs& regs) {
  const auto request = static_cast<std::uint32_t>(regs.rsi);
  if (request != kBytesReady && request != kSetAsynchronous && request != kSetOwner) return net_pass_on(thread, regs);
  const auto fd = static_cast<std::int32_t>(regs.rdi);
  const NetLook look = net_look(thread, fd);
  if (look.kind != NetKind::kConnection) return net_pass_on(thread, regs);
  return request == kBytesReady ? bytes_ready(thread, fd, look, guest(regs.rdx)) : kNetEinval;
}

// Remembers where a connection is watched, for its end.
long net_epoll_ctl(Thread& thread, Regs& regs) {
  constexpr std::uint64_t kAdd = 1;
  const long result = net_pass_on(thread, regs);
  const auto fd = static_cast<std::int32_t>(regs.rdx);
  if (result != 0 || static_cast<std::uint32_t>(regs.rsi) != kAdd) return result;
  const NetLook look = net_look(thread, fd);
  if (look.kind != NetKind::kConnection) return result;
  netshield::Slot& slot = net_arena().slots[look.value];
  netshield::Watcher& watcher = slot.watchers[slot.watcher_count.load() % netshield::kMostWatchers];
  watcher.epoll = static_cast<std::int32_t>(regs.rdi);
  watcher.descriptor = fd;
  slot.watcher_count.fetch_add(1);
  return result;
}

// Two threads with tables of their own would need members of their own.
long net_unshare(Thread& thread, Regs& regs) {
  if ((regs.rdi & CLONE_FILES) == 0) return net_pass_on(thread, regs);
  if (thread.descriptors->references.load() == 1) {  // nobody to leave
    Regs without = regs;
    without.rdi &= ~std::uint64_t{CLONE_FILES};
    return net_pass_on(thread, without);
  }
  net_log("unshare(CLONE_FILES)", nullptr, "refused: connections of a run with --net belong to whole processes");
  return kNetEperm;
}

long net_sendfile(Thread& thread, Regs& regs) {
  const auto out = static_cast<std::int32_t>(regs.rdi), in = static_cast<std::int32_t>(regs.rsi);
  const NetLook look = net_look(thread, out);
  if (is_closed_to_kernel(thread, regs.rsi) || look.kind == NetKind::kDenied) return kNetEinval;
  if (look.kind != NetKind::kConnection) return net_pass_on(thread, regs);
  const bool has_offset = regs.rdx != 0;
  std::uint64_t offset = 0;
  if (has_offset && read_guest(offset, guest(regs.rdx)) != 0) return -14;
  const std::uint64_t size = regs.r10 < kMostSent ? regs.r10 : kMostSent;
  const NetTransfer transfer{thread, out, look, 0};
  const long result = send_file(transfer, in, has_offset ? &offset : nullptr, size);
  if (result >= 0 && has_offset && write_guest(guest(regs.rdx), offset) != 0) return -14;
  return result;
}

long net_splice(Thread& thread, Regs& regs) {
  if (is_closed_to_kernel(thread, regs.rdi) || is_closed_to_kernel(thread, regs.rdx)) return kNetEinval;
  return net_pass_on(thread, regs);
}

// The kernel would read and write the socket itself. IOCB_CMD_POLL (5) moves no bytes.
long net_io_submit(Thread& thread, Regs& regs) {
  constexpr std::uint64_t kMost = 65536;
  struct {
    std::uint64_t data;
    std::uint32_t key;
    std::int32_t flags;
    std::uint16_t opcode;
    std::int16_t priority;
    std::uint32_t fd;
  } control{};
  for (std::uint64_t i = 0; i < regs.rsi && i < kMost; ++i) {
    std::uint64_t address = 0;
    if (read_guest(address, guest(regs.rdx + 8 * i)) != 0 || read_guest(control, guest(address)) != 0) break;
    if (control.opcode != 5 && is_closed_to_kernel(thread, control.fd)) return kNetEinval;
  }
  return net_pass_on(thread, regs);
}

}  // namespace casemate::runtime
