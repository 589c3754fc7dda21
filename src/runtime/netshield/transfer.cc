// Reading and writing of shielded connections: the stream does what goes without waiting; the waits are the kernel's,
// in calls that signals end as they end the program's own.
#include <linux/futex.h>
#include <sys/syscall.h>

#include "runtime/netshield/calls.h"
#include "runtime/signal/signals.h"

namespace casemate::runtime {

using netshield::Slot;
using netshield::SlotState;

namespace {

inline constexpr long kEtimedout = -110, kSigPipe = 13, kGetFlags = 3, kNonBlocking = 04000;
inline constexpr long kSolSocket = 1, kSoSendTimeout = 21, kSoReceiveTimeout = 20;
inline constexpr std::uint64_t kSmallRecord = 2048;
inline constexpr short kPollOut = 4, kPollError = 8, kPollHangUp = 16;

struct PollEntry {
  std::int32_t fd;
  short events, results;
};
struct Time {
  std::int64_t seconds, parts;  // micro- or nanoseconds
};

bool is_non_blocking(const NetTransfer& transfer) {
  return (transfer.flags & kMsgDoNotWait) != 0 || net_is_non_blocking(transfer.fd);
}

bool has_time_limit(std::int32_t fd, long name, Time& limit) {
  unsigned size = sizeof(limit);
  const long error =
      host_call(SYS_getsockopt, fd, kSolSocket, name, reinterpret_cast<long>(&limit), reinterpret_cast<long>(&size));
  return !is_error(error) && (limit.seconds != 0 || limit.parts != 0);
}

// A wait that the kernel does not make again itself: as a read, it is made again if all handlers want that.
long after_signal(const Thread& thread, bool has_limit) {
  if (has_limit) return kNetEintr;
  const std::uint32_t count = __atomic_load_n(&thread.pending_count, __ATOMIC_ACQUIRE);
  for (std::uint32_t i = 0; i < count && i < kPendingCapacity; ++i) {
    if ((thread.actions->action[thread.pending[i].info.signal].flags & kSaRestart) == 0) return kNetEintr;
  }
  return kRestartCall;
}

bool keeper_is_gone(const Thread& thread) {
  PollEntry entry{thread.descriptors->own[kNetFd].load(), 0, 0};
  const long ready = host_call(SYS_poll, reinterpret_cast<long>(&entry), 1, 0);
  return ready > 0 && (entry.results & (kPollError | kPollHangUp)) != 0;
}

// How many bytes a call without MSG_PEEK wants before it returns.
std::uint64_t wanted_count(const NetTransfer& transfer, const Slot& slot, std::uint64_t size) {
  if ((transfer.flags & kMsgWaitAll) != 0) return size;
  const std::uint64_t low_water = slot.low_water.load(std::memory_order_relaxed);
  return low_water < size ? low_water : size;
}

// One look. The count, 0 at the end, or the errno.
long receive_now(const NetTransfer& transfer, NetAccess& access, GuestVectors& to, std::uint64_t size) {
  const netshield::StreamCall call = access.call();
  const bool drops = (transfer.flags & kMsgTruncate) != 0;
  const auto copy = [&](std::size_t, const std::uint8_t* bytes, std::size_t part) {
    return drops ? 0 : to.copy_out(bytes, part);
  };
  long result = 0;
  if ((transfer.flags & kMsgPeek) != 0) {
    result = netshield::fill(call);
    if (result > 0) {
      const std::size_t part = static_cast<std::uint64_t>(result) < size ? static_cast<std::size_t>(result) : size;
      const long error = copy(0, netshield::data_of(call.stream), part);
      result = error != 0 ? error : static_cast<long>(part);
    }
  } else {
    result = netshield::read_stream(call, size, copy);
  }
  const bool is_shut = (access.slot().flags.load() & netshield::kReadingShut) != 0;
  return is_shut && (result == kNetEconnreset || result == kNetEagain) ? 0 : result;
}

// Until there is something to look at: the kernel waits as it would for the program, with its time limit. 0: look
// again.
long wait_readable(const NetTransfer& transfer) {
  char byte;
  const std::uint64_t arguments[6] = {static_cast<std::uint64_t>(transfer.fd),
                                      reinterpret_cast<std::uint64_t>(&byte),
                                      1,
                                      kMsgPeek | (transfer.flags & kMsgDoNotWait),
                                      0,
                                      0};
  const long result = pass_arguments(SYS_recvfrom, arguments);
  return result >= 0 ? 0 : result;
}

}  // namespace

long net_await_handshake(const NetTransfer& transfer, NetWait wait) {
  Slot& slot = net_arena().slots[transfer.look.value];
  if (slot.state.load(std::memory_order_acquire) != SlotState::kShaking) return 0;
  // Clients ask for the outcome of connect() by their first call behind it: that waits. Servers' calls come before any
  // data can be there.
  const bool is_client = slot.side == netshield::Side::kClient;
  const bool waits = wait == NetWait::kAlways || is_client || !is_non_blocking(transfer);
  if (!waits) {
    host_call(SYS_sched_yield);  // to the keeper: the socket may be readable without data for the program
    return slot.state.load(std::memory_order_acquire) == SlotState::kShaking ? kNetEagain : 0;
  }
  Time unused{};
  const bool has_limit = has_time_limit(transfer.fd, kSoReceiveTimeout, unused);
  while (slot.state.load(std::memory_order_acquire) == SlotState::kShaking) {
    const Time limit{1, 0};
    const std::uint64_t arguments[6] = {
        reinterpret_cast<std::uint64_t>(&slot.state), FUTEX_WAIT, static_cast<std::uint64_t>(SlotState::kShaking),
        reinterpret_cast<std::uint64_t>(&limit),      0,          0};
    const long result = pass_arguments(SYS_futex, arguments);
    if (result == kRestartCall) return result;
    if (result == kNetEintr) return after_signal(transfer.thread, has_limit);
    if (result == kEtimedout && keeper_is_gone(transfer.thread)) return kNetEconnreset;
  }
  return 0;
}

long net_receive(const NetTransfer& transfer, GuestVectors& to) {
  if ((transfer.flags & kMsgOutOfBand) != 0) return kNetEinval;
  if (const long waited = net_await_handshake(transfer); waited != 0) return waited;
  const std::uint64_t size = to.total();
  if (size == 0) return 0;
  std::uint64_t done = 0;
  for (;;) {
    long result = kNetEbadf;
    std::uint64_t wanted = size;
    {
      NetAccess access(transfer.look, transfer.fd);
      if (!access.is_current()) return done != 0 ? static_cast<long>(done) : kNetEbadf;
      if (access.slot().state.load() != SlotState::kOpen) return kNetEconnreset;
      wanted = wanted_count(transfer, access.slot(), size);
      result = receive_now(transfer, access, to, size - done);
    }
    if (result > 0) done += static_cast<std::uint64_t>(result);
    const bool is_enough = done >= wanted || (done != 0 && (transfer.flags & kMsgPeek) != 0);
    if (result == 0 || is_enough || (result < 0 && result != kNetEagain)) {
      return done != 0 ? static_cast<long>(done) : result;
    }
    if (const long waited = wait_readable(transfer); waited != 0) return done != 0 ? static_cast<long>(done) : waited;
  }
}

bool net_is_non_blocking(std::int32_t fd) {
  const long flags = host_call(SYS_fcntl, fd, kGetFlags);
  return is_error(flags) || (flags & kNonBlocking) != 0;
}

bool net_is_writable(std::int32_t fd) {
  PollEntry entry{fd, kPollOut, 0};
  return host_call(SYS_poll, reinterpret_cast<long>(&entry), 1, 0) != 0;
}

// Room for the next record, of `size` bytes. The kernel takes a whole one where it says that it is writable, unless its
// buffer is tiny: so hardly ever a part of one is left, and a program that does not wait is told the truth about what
// was taken. Small ones are not worth the question.
long net_begin_send(const NetTransfer& transfer, NetAccess& access, std::uint64_t size) {
  if (!access.is_current()) return kNetEbadf;
  const Slot& slot = access.slot();
  if (slot.state.load() != SlotState::kOpen) return kNetEconnreset;
  const bool is_over = slot.stream.connection.write.state != netshield::DirectionState::kOpen;
  if (is_over) return kNetEpipe;
  const long room = netshield::prepare(access.call());
  return room > 0 && size > kSmallRecord && !net_is_writable(transfer.fd) ? kNetEagain : room;
}

long net_wait_writable(const NetTransfer& transfer) {
  if (is_non_blocking(transfer)) return kNetEagain;
  PollEntry entry{transfer.fd, kPollOut, 0};
  Time limit{};
  const bool has_limit = has_time_limit(transfer.fd, kSoSendTimeout, limit);
  limit.parts *= 1000;
  const std::uint64_t arguments[6] = {
      reinterpret_cast<std::uint64_t>(&entry), 1, has_limit ? reinterpret_cast<std::uint64_t>(&limit) : 0, 0, 8, 0};
  const long result = pass_arguments(SYS_ppoll, arguments);
  if (result == kNetEintr) return after_signal(transfer.thread, has_limit);
  if (result == 0) return kNetEagain;
  return result > 0 ? 0 : result;
}

// What was sealed must go out: a call that waits sees to it, for others the keeper does.
long net_finish_send(const NetTransfer& transfer, long done) {
  for (;;) {
    {
      NetAccess access(transfer.look, transfer.fd);
      if (!access.is_current() || access.slot().state.load() != SlotState::kOpen) return done;
      if (!netshield::has_unsent(access.slot().stream)) return done;
      if (netshield::flush(access.call()) != kNetEagain) return done;
    }
    if (net_wait_writable(transfer) == 0) continue;
    NetAccess access(transfer.look, transfer.fd);
    if (access.is_current()) net_hand_rest(transfer.thread, access, transfer.look.value, transfer.fd);
    return done;
  }
}

long net_send_failure(const NetTransfer& transfer, long error) {
  if (error == kNetEpipe && (transfer.flags & kMsgNoSignal) == 0) {
    host_call(SYS_tkill, transfer.thread.tid, kSigPipe);
  }
  return error;
}

long net_send_vectors(const NetTransfer& transfer, GuestVectors& from) {
  if ((transfer.flags & kMsgOutOfBand) != 0) return kNetEopnotsupp;
  const auto fetch = [&](std::uint64_t, std::uint8_t* bytes, std::size_t size) {
    const long error = from.copy_in(bytes, size);
    return error != 0 ? error : static_cast<long>(size);
  };
  return net_send(transfer, from.total(), fetch);
}

}  // namespace casemate::runtime
