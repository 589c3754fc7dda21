// Sockets before and around their data: which are made, where they may be bound and connected to, what is accepted, how
// they end, their options.
#include <sys/syscall.h>

#include "runtime/netshield/calls.h"
#include "runtime/netshield/local.h"

namespace casemate::runtime {

using netshield::Protection;
using netshield::Side;
using netshield::Slot;
using netshield::SlotState;

namespace {

inline constexpr long kEafnosupport = -97, kEprotonosupport = -93, kEnoprotoopt = -92, kEconnaborted = -103,
                      kEinprogress = -115, kEalready = -114, kEisconn = -106, kEconnrefused = -111;
inline constexpr std::uint64_t kTypeMask = 0xf, kStream = 1, kNetlink = 16, kTcp = 6;
inline constexpr std::uint64_t kShutRead = 0, kShutWrite = 1, kShutBoth = 2;
inline constexpr std::uint64_t kSolSocket = 1, kSoError = 4, kSoRcvBuf = 8, kSoRcvLowat = 18, kSoRcvBufForce = 33,
                               kSoZeroCopy = 60;
inline constexpr std::uint64_t kTcpRepair = 19, kTcpFastOpen = 23, kTcpFastOpenConnect = 30, kTcpUlp = 31,
                               kTcpZeroCopyReceive = 35;
inline constexpr std::int32_t kLeastBufferWish = netshield::kLeastReceiveBuffer / 2;  // the kernel doubles it

std::int32_t descriptor(const Regs& regs) { return static_cast<std::int32_t>(regs.rdi); }

bool read_address(GuestAddr at, std::uint64_t size, NetAddress& address) {
  address = NetAddress{};
  const std::size_t part = size < sizeof(address) ? size : sizeof(address);
  return part >= sizeof(address.family) && copy_from_guest(&address, at, part) == 0;
}

bool is_internet(const NetAddress& address) { return address.family == kFamilyInet || address.family == kFamilyInet6; }

bool own_address(std::int32_t fd, NetAddress& address) {
  unsigned size = sizeof(address);
  return host_call(SYS_getsockname, fd, reinterpret_cast<long>(&address), reinterpret_cast<long>(&size)) == 0;
}

// --- accept ---

long begin_accepted(Thread& thread, std::int32_t fd, std::uint32_t rule) {
  long error = net_adopt(thread, fd, rule, Side::kServer);
  if (error == 0) {
    const std::uint32_t slot = net_look(thread, fd).value;
    error = net_shake(thread, fd, slot);
    if (error != 0) net_disown(thread, fd);
  }
  if (error == 0) return fd;
  host_call(SYS_close, fd);
  net_log("accept", nullptr, "a connection was given up: no slot for it is free, or the keeper is gone");
  return kEconnaborted;
}

long accept_local(std::int32_t fd) {
  const long judged = net_judge_local_peer(fd, guest(0), 0, fd);
  if (judged == fd) return fd;
  host_call(SYS_close, fd);
  return kEconnaborted;
}

long accept_one(Thread& thread, Regs& regs) {
  const NetLook look = net_look(thread, descriptor(regs));
  if (look.kind == NetKind::kDenied) {
    net_log("accept", nullptr, net_arena().serve_reason);
    return kNetEacces;
  }
  const long fd = net_pass_on(thread, regs);
  if (fd >= 0 && look.kind == NetKind::kLocal) return accept_local(static_cast<std::int32_t>(fd));
  if (fd < 0 || look.kind != NetKind::kListener) return fd;
  return begin_accepted(thread, static_cast<std::int32_t>(fd), look.value);
}

// --- connect ---

// What connect() says of a connection that the shield has begun.
long await_outcome(Thread& thread, std::int32_t fd, const NetLook& look) {
  const NetTransfer transfer{thread, fd, look, 0};
  if (const long waited = net_await_handshake(transfer); waited != 0) return waited;
  Slot& slot = net_arena().slots[look.value];
  const std::int32_t error = slot.error.exchange(0);
  return slot.state.load() == SlotState::kOpen ? 0 : error != 0 ? -error : kEconnrefused;
}

// Nothing of TCP's connecting is left to wait for: it is there, or has failed.
bool has_connected(std::int32_t fd) { return net_is_writable(fd); }

long connect_again(Thread& thread, std::int32_t fd, const NetLook& look) {
  Slot& slot = net_arena().slots[look.value];
  const SlotState state = slot.state.load();
  if (state == SlotState::kOpen) return kEisconn;
  if (state != SlotState::kShaking) {
    const std::int32_t error = slot.error.exchange(0);
    return error != 0 ? -error : kEconnaborted;
  }
  if (!has_connected(fd) && net_is_non_blocking(fd)) return kEalready;
  return await_outcome(thread, fd, look);
}

long connect_shielded(Thread& thread, Regs& regs, std::uint32_t rule) {
  const std::int32_t fd = descriptor(regs);
  if (const long error = net_adopt(thread, fd, rule, Side::kClient); error != 0) return error;
  const NetLook look = net_look(thread, fd);
  const long result = net_pass_on(thread, regs);
  // When it is made again, the kernel goes on with the connection that it has begun.
  const bool is_under_way = result == kEinprogress || result == kNetEintr;
  if (result != 0 && !is_under_way) {
    net_disown(thread, fd);
    return result;
  }
  // The keeper waits for the kernel's connection itself.
  if (const long error = net_shake(thread, fd, look.value); error != 0) {
    net_disown(thread, fd);
    return kEconnrefused;
  }
  return result == 0 ? await_outcome(thread, fd, look) : result;
}

long connect_local(Thread& thread, Regs& regs, std::uint64_t size) {
  if (net_is_local_datagram(descriptor(regs))) {
    const long judged = net_judge_local_name(guest(regs.rsi), size);
    return judged != 0 ? judged : net_pass_on(thread, regs);
  }
  return net_judge_local_peer(descriptor(regs), guest(regs.rsi), size, net_pass_on(thread, regs));
}

long refuse_connecting(const NetAddress& address, const char* reason) {
  net_log("connecting to", &address, reason);
  return kNetEacces;
}

// --- options ---

struct Option {
  std::uint64_t level, name;
};
bool is(const Regs& regs, Option option) {
  return static_cast<std::uint32_t>(regs.rsi) == option.level && static_cast<std::uint32_t>(regs.rdx) == option.name;
}
// Ways around the record layer.
constexpr Option kRefusedOptions[] = {{kSolSocket, kSoZeroCopy},   {kTcp, kTcpRepair}, {kTcp, kTcpFastOpen},
                                      {kTcp, kTcpFastOpenConnect}, {kTcp, kTcpUlp},    {kTcp, kTcpZeroCopyReceive}};

bool is_refused_option(const Regs& regs) {
  for (const Option& option : kRefusedOptions) {
    if (is(regs, option)) return true;
  }
  return false;
}

bool is_tcp(const NetLook& look) {
  return look.kind == NetKind::kConnection || look.kind == NetKind::kListener || look.kind == NetKind::kUnsettled;
}

// A whole record must fit.
long set_receive_buffer(Regs& regs) {
  std::int32_t size = 0;
  if (regs.r8 < sizeof(size)) return kNetEinval;
  if (const long error = read_guest(size, guest(regs.r10)); error != 0) return error;
  if (size < kLeastBufferWish) size = kLeastBufferWish;
  return host_call(SYS_setsockopt, static_cast<long>(regs.rdi), kSolSocket, static_cast<long>(regs.rdx),
                   reinterpret_cast<long>(&size), sizeof(size));
}

long set_low_water(const NetLook& look, std::int32_t fd, const Regs& regs) {
  std::int32_t size = 0;
  if (regs.r8 < sizeof(size)) return kNetEinval;
  if (const long error = read_guest(size, guest(regs.r10)); error != 0) return error;
  NetAccess access(look, fd);
  if (!access.is_current()) return kNetEbadf;
  access.slot().low_water.store(size <= 0 ? (size < 0 ? 0x7fffffff : 1) : static_cast<std::uint32_t>(size));
  return 0;
}

long tell_option(const Regs& regs, std::int32_t value) {
  std::uint32_t room = 0;
  if (const long error = read_guest(room, guest(regs.r8)); error != 0) return error;
  if (static_cast<std::int32_t>(room) < 0) return kNetEinval;
  const std::uint32_t size = room < sizeof(value) ? room : sizeof(value);
  if (const long error = copy_to_guest(guest(regs.r10), &value, size); error != 0) return error;
  return write_guest(guest(regs.r8), size);
}

// For clients this is how connect() ends that did not wait.
long tell_error(Thread& thread, Regs& regs, std::int32_t fd, const NetLook& look) {
  Slot& slot = net_arena().slots[look.value];
  if (slot.side == Side::kClient && has_connected(fd)) {
    const long waited = net_await_handshake({thread, fd, look, 0});
    if (waited != 0) return waited;
  }
  const std::int32_t error = slot.error.exchange(0);
  return error != 0 ? tell_option(regs, error) : net_pass_on(thread, regs);
}

}  // namespace

long net_socket(Thread& thread, Regs& regs) {
  const std::uint64_t family = static_cast<std::uint32_t>(regs.rdi), type = regs.rsi & kTypeMask;
  const std::uint64_t protocol = static_cast<std::uint32_t>(regs.rdx);
  if (family == kFamilyUnix || family == kNetlink || family == kFamilyUnspecified) return net_pass_on(thread, regs);
  const bool is_net = family == kFamilyInet || family == kFamilyInet6;
  if (is_net && type == kStream) {
    if (protocol == 0 || protocol == kTcp) return net_pass_on(thread, regs);
    return kEprotonosupport;  // MPTCP, SCTP: programs go on with TCP
  }
  if (net_arena().denies_others == 0 || (is_net && type == 2)) return net_pass_on(thread, regs);
  net_log("a socket", nullptr, net_arena().others_reason);
  return is_net ? kNetEacces : kEafnosupport;
}

long net_bind(Thread& thread, Regs& regs) {
  const NetLook look = net_look(thread, descriptor(regs));
  NetAddress address;
  const std::uint64_t size = static_cast<std::uint32_t>(regs.rdx);
  if (look.kind == NetKind::kLocal) {
    const long result = net_pass_on(thread, regs);
    if (result == 0) net_note_local_name(guest(regs.rsi), size);
    return result;
  }
  if (!read_address(guest(regs.rsi), size, address) || !is_internet(address)) return net_pass_on(thread, regs);
  if (look.kind == NetKind::kDatagram && net_arena().denies_others != 0 && port_of(address) != 0) {
    net_log("binding to", &address, net_arena().others_reason);
    return kNetEacces;
  }
  if (look.kind == NetKind::kUnsettled && port_of(address) != 0) {
    const Judgement judged = judge_serving(port_of(address));
    if (judged.protection == Protection::kDeny) {
      net_log("binding to", &address, judged.reason);
      return kNetEacces;
    }
  }
  return net_pass_on(thread, regs);
}

long net_listen(Thread& thread, Regs& regs) {
  const NetLook look = net_look(thread, descriptor(regs));
  if (look.kind != NetKind::kUnsettled) return net_pass_on(thread, regs);
  NetAddress address{};
  const bool is_bound = own_address(descriptor(regs), address) && port_of(address) != 0;
  // Without bind() the kernel chooses a port that no rule can name.
  const Judgement judged = judge_serving(is_bound ? port_of(address) : 0);
  if (judged.protection == Protection::kDeny) {
    net_log("listening at", &address, judged.reason);
    return kNetEacces;
  }
  const long result = net_pass_on(thread, regs);
  if (result == 0 && judged.protection == Protection::kTlsServer) {
    net_set_word(thread, descriptor(regs), netshield::kWordListener | judged.rule);
  }
  return result;
}

long net_accept(Thread& thread, Regs& regs) { return accept_one(thread, regs); }
long net_accept4(Thread& thread, Regs& regs) { return accept_one(thread, regs); }

long net_connect(Thread& thread, Regs& regs) {
  const NetLook look = net_look(thread, descriptor(regs));
  if (look.kind == NetKind::kConnection) return connect_again(thread, descriptor(regs), look);
  NetAddress address;
  const std::uint64_t size = static_cast<std::uint32_t>(regs.rdx);
  if (look.kind == NetKind::kLocal) return connect_local(thread, regs, size);
  if (!read_address(guest(regs.rsi), size, address) || !is_internet(address)) return net_pass_on(thread, regs);
  if (look.kind == NetKind::kDatagram) {
    return net_arena().denies_others == 0 ? net_pass_on(thread, regs)
                                          : refuse_connecting(address, net_arena().others_reason);
  }
  if (look.kind != NetKind::kUnsettled) return net_pass_on(thread, regs);
  const Judgement judged = judge_connecting(address);
  if (judged.protection == Protection::kDeny) return refuse_connecting(address, judged.reason);
  if (judged.protection != Protection::kTlsClient) return net_pass_on(thread, regs);
  return connect_shielded(thread, regs, judged.rule);
}

long net_shutdown(Thread& thread, Regs& regs) {
  const NetLook look = net_look(thread, descriptor(regs));
  const std::uint64_t how = static_cast<std::uint32_t>(regs.rsi);
  if (look.kind != NetKind::kConnection || how > kShutBoth) return net_pass_on(thread, regs);
  const NetTransfer transfer{thread, descriptor(regs), look, 0};
  if (how != kShutRead) {
    if (const long waited = net_await_handshake(transfer, NetWait::kAlways); waited != 0) return waited;
    // What was written goes first; a peer that takes nothing for a while loses it, and sees a cut.
    net_finish_send(transfer, 0);
  }
  {
    NetAccess access(look, descriptor(regs));
    if (!access.is_current()) return kNetEbadf;
    if (how != kShutWrite) access.slot().flags.fetch_or(netshield::kReadingShut);
    const bool is_open = access.slot().state.load() == SlotState::kOpen;
    if (how != kShutRead && is_open) static_cast<void>(netshield::close_stream(access.call()));
  }
  return net_pass_on(thread, regs);
}

long net_setsockopt(Thread& thread, Regs& regs) {
  const std::int32_t fd = descriptor(regs);
  const bool is_buffer = is(regs, {kSolSocket, kSoRcvBuf}) || is(regs, {kSolSocket, kSoRcvBufForce});
  const bool is_mark = is(regs, {kSolSocket, kSoRcvLowat});
  if (!is_buffer && !is_mark && !is_refused_option(regs)) return net_pass_on(thread, regs);
  const NetLook look = net_look(thread, fd);
  if (!is_tcp(look)) return net_pass_on(thread, regs);
  if (is_buffer) return set_receive_buffer(regs);
  if (is_mark) return look.kind == NetKind::kConnection ? set_low_water(look, fd, regs) : net_pass_on(thread, regs);
  return kEnoprotoopt;
}

long net_getsockopt(Thread& thread, Regs& regs) {
  const std::int32_t fd = descriptor(regs);
  const bool is_error_option = is(regs, {kSolSocket, kSoError}), is_mark = is(regs, {kSolSocket, kSoRcvLowat});
  const bool is_zero_copy = is(regs, {kTcp, kTcpZeroCopyReceive});
  if (!is_error_option && !is_mark && !is_zero_copy) return net_pass_on(thread, regs);
  const NetLook look = net_look(thread, fd);
  if (look.kind != NetKind::kConnection) return net_pass_on(thread, regs);
  if (is_zero_copy) return kEnoprotoopt;
  if (is_error_option) return tell_error(thread, regs, fd, look);
  return tell_option(regs, static_cast<std::int32_t>(net_arena().slots[look.value].low_water.load()));
}

}  // namespace casemate::runtime
