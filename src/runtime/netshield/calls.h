// The handlers of the network shield. Each takes what is shielded, and leaves everything else to the handler behind it.
#pragma once

#include "runtime/engine/process/host_call.h"
#include "runtime/intercept/dispatch.h"
#include "runtime/netshield/connection.h"
#include "runtime/netshield/guest_vectors.h"
#include "runtime/netshield/net.h"

namespace casemate::runtime {

inline constexpr long kNetEperm = -1, kNetEintr = -4, kNetEbadf = -9, kNetEagain = -11, kNetEacces = -13,
                      kNetEinval = -22, kNetEpipe = -32, kNetEconnreset = -104, kNetEopnotsupp = -95;

// MSG_*
inline constexpr std::uint64_t kMsgOutOfBand = 1, kMsgPeek = 2, kMsgTruncate = 0x20, kMsgDoNotWait = 0x40,
                               kMsgWaitAll = 0x100, kMsgErrorQueue = 0x2000, kMsgNoSignal = 0x4000,
                               kMsgFastOpen = 0x20000000;

// The call as it would be without the network shield.
inline long net_pass_on(Thread& thread, Regs& regs) {
  const auto number = static_cast<std::uint32_t>(regs.original_rax);
  return handler_without_net(syscall_entry(number))(thread, regs);
}

struct NetTransfer {
  Thread& thread;
  std::int32_t fd;
  NetLook look;
  std::uint64_t flags;  // MSG_*
};

// A connection's read and write, with everything around them that the kernel does: waits, time limits, signals.
long net_receive(const NetTransfer& transfer, GuestVectors& to);
// `fetch(offset, bytes, size)` puts bytes of the program's into `bytes`: how many, 0 when there are no more, or a
// negative errno.
template <typename Fetch>
long net_send(const NetTransfer& transfer, std::uint64_t size, Fetch fetch);
long net_send_vectors(const NetTransfer& transfer, GuestVectors& from);

// 0 once the handshake is over (also by a failure); otherwise what the call returns. kAlways: also for descriptors that
// do not wait, until the keeper's time limit at the latest.
enum class NetWait { kAsDescriptor, kAlways };
long net_await_handshake(const NetTransfer& transfer, NetWait wait = NetWait::kAsDescriptor);

// The parts of sending that do not depend on where the bytes come from.
long net_begin_send(const NetTransfer& transfer, NetAccess& access, std::uint64_t size);
long net_wait_writable(const NetTransfer& transfer);
long net_finish_send(const NetTransfer& transfer, long done);
long net_send_failure(const NetTransfer& transfer, long error);
bool net_is_writable(std::int32_t fd);
bool net_is_non_blocking(std::int32_t fd);

template <typename Fetch>
long net_send(const NetTransfer& transfer, std::uint64_t size, Fetch fetch) {
  if (const long waited = net_await_handshake(transfer); waited != 0) return net_send_failure(transfer, waited);
  std::uint64_t done = 0;
  while (done < size) {
    long result = 0;
    {
      NetAccess access(transfer.look, transfer.fd);
      result = net_begin_send(transfer, access, size - done);
      while (result > 0 && done < size) {
        const netshield::StreamCall call = access.call();
        const std::uint64_t room = static_cast<std::uint64_t>(result), left = size - done;
        const std::size_t part = left < room ? left : room;
        result = fetch(done, netshield::room_of(call.stream), part);
        if (result > 0) result = netshield::commit(call, static_cast<std::size_t>(result));
        if (result == 0) size = done;
        if (result <= 0) break;
        done += static_cast<std::uint64_t>(result);
        if (done < size) result = net_begin_send(transfer, access, size - done);
      }
      if (done == size && result >= 0 && !netshield::has_unsent(access.slot().stream)) return static_cast<long>(done);
    }
    if (result >= 0) continue;
    if (result != kNetEagain) return done != 0 ? static_cast<long>(done) : net_send_failure(transfer, result);
    const long waited = net_wait_writable(transfer);
    if (waited != 0) return done != 0 ? net_finish_send(transfer, static_cast<long>(done)) : waited;
  }
  return net_finish_send(transfer, static_cast<long>(done));
}

#define CASEMATE_NET_DATA_HANDLERS(X) \
  X(read)                             \
  X(write)                            \
  X(readv)                            \
  X(writev)                           \
  X(preadv2)                          \
  X(pwritev2)                         \
  X(recvfrom)                         \
  X(sendto)                           \
  X(recvmsg)                          \
  X(sendmsg)                          \
  X(recvmmsg)                         \
  X(sendmmsg)                         \
  X(sendfile)                         \
  X(splice)                           \
  X(io_submit)                        \
  X(ioctl)
#define CASEMATE_NET_SOCKET_HANDLERS(X) \
  X(close)                              \
  X(close_range)                        \
  X(dup)                                \
  X(dup2)                               \
  X(dup3)                               \
  X(fcntl)                              \
  X(unshare)                            \
  X(epoll_ctl)                          \
  X(socket)                             \
  X(bind)                               \
  X(listen)                             \
  X(accept)                             \
  X(accept4)                            \
  X(connect)                            \
  X(shutdown)                           \
  X(setsockopt)                         \
  X(getsockopt)
#define CASEMATE_NET_HANDLERS(X) CASEMATE_NET_DATA_HANDLERS(X) CASEMATE_NET_SOCKET_HANDLERS(X)
#define CASEMATE_DECLARE_NET(name) long net_##name(Thread& thread, Regs& regs);
CASEMATE_NET_HANDLERS(CASEMATE_DECLARE_NET)
#undef CASEMATE_DECLARE_NET

}  // namespace casemate::runtime
