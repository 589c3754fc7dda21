// The calls by which programs read and write sockets, in all their forms.
#include <sys/syscall.h>

#include "runtime/netshield/calls.h"
#include "runtime/netshield/local.h"

namespace casemate::runtime {

using netshield::Protection;

namespace {

inline constexpr std::uint64_t kMostMessages = 1024;
inline constexpr std::uint64_t kRwfNoWait = 8;
inline constexpr std::uint64_t kAnyOffset = ~std::uint64_t{0};

struct MessageHeader {  // struct user_msghdr
  std::uint64_t name;
  std::uint32_t name_size, padding;
  std::uint64_t parts, part_count, control, control_size;
  std::uint32_t flags, padding2;
};
struct ManyHeader {  // struct mmsghdr
  MessageHeader header;
  std::uint64_t count;
};

std::int32_t descriptor(const Regs& regs) { return static_cast<std::int32_t>(regs.rdi); }

// What stands in the way of a call on something that is no connection: 0, or its result.
long refuse_denied(const NetLook& look) {
  if (look.kind != NetKind::kDenied) return 0;
  net_log("a connection without a rule", nullptr, "its bytes would go out in the clear");
  return kNetEconnreset;
}

long pass_unless_denied(Thread& thread, Regs& regs, const NetLook& look) {
  const long refused = refuse_denied(look);
  return refused != 0 ? refused : net_pass_on(thread, regs);
}

bool is_connection(const NetLook& look) { return look.kind == NetKind::kConnection; }

enum class Way { kIn, kOut };

long transfer(Thread& thread, Regs& regs, Way way, std::uint64_t flags, bool is_array) {
  const NetLook look = net_look(thread, descriptor(regs));
  if (!is_connection(look)) return pass_unless_denied(thread, regs, look);
  long error = 0;
  GuestVectors vectors =
      is_array ? GuestVectors::of_array(regs.rsi, regs.rdx, error) : GuestVectors::of_buffer(regs.rsi, regs.rdx);
  if (error != 0) return error;
  const NetTransfer made{thread, descriptor(regs), look, flags};
  return way == Way::kIn ? net_receive(made, vectors) : net_send_vectors(made, vectors);
}

// --- where datagrams go ---

// A datagram with an address of its own: 0, or why not.
long judge_datagram(const NetLook& look, std::uint64_t name, std::uint64_t name_size, std::uint64_t flags) {
  if (look.kind == NetKind::kUnsettled && (flags & kMsgFastOpen) != 0) return kNetEopnotsupp;
  if (look.kind == NetKind::kLocal) return net_judge_local_name(guest(name), name_size);
  if (look.kind != NetKind::kDatagram || name == 0 || net_arena().denies_others == 0) return 0;
  NetAddress address{};
  const std::size_t size = name_size < sizeof(address) ? name_size : sizeof(address);
  if (copy_from_guest(&address, guest(name), size) != 0) return 0;  // the kernel says so
  net_log("sending to", &address, net_arena().others_reason);
  return kNetEacces;
}

// A message over a unix socket, whose descriptors go with it.
long send_with_rights(Thread& thread, Regs& regs, std::uint64_t count, std::uint64_t stride) {
  const auto note = [&](std::uint64_t from, std::uint64_t to, Departure departure) {
    for (std::uint64_t i = from; i < to; ++i) {
      MessageHeader header;
      if (read_guest(header, guest(regs.rsi) + i * stride) != 0 || header.control_size == 0) continue;
      net_note_departing(thread, header.control, header.control_size, departure);
    }
  };
  note(0, count, Departure::kGoes);
  const long result = net_pass_on(thread, regs);
  const std::uint64_t sent = result < 0 ? 0 : stride == sizeof(MessageHeader) ? 1 : static_cast<std::uint64_t>(result);
  note(sent, count, Departure::kStays);
  return result;
}

// As many messages as arrived over a unix socket.
void note_arrived(Thread& thread, const Regs& regs, std::uint64_t count, std::uint64_t stride) {
  for (std::uint64_t i = 0; i < count; ++i) {
    MessageHeader header;
    if (read_guest(header, guest(regs.rsi) + i * stride) != 0 || header.control_size == 0) continue;
    net_note_arrived(thread, header.control, header.control_size);
  }
}

long judge_message(const NetLook& look, GuestAddr header_address, std::uint64_t flags) {
  MessageHeader header;
  if (read_guest(header, header_address) != 0) return 0;
  return judge_datagram(look, header.name, header.name_size, flags);
}

// --- messages ---

long receive_message(const NetTransfer& transfer, GuestAddr address) {
  MessageHeader header;
  if (const long error = read_guest(header, address); error != 0) return error;
  if ((transfer.flags & kMsgErrorQueue) != 0) return kNetEagain;
  long error = 0;
  GuestVectors vectors = GuestVectors::of_array(header.parts, header.part_count, error);
  const long result = error != 0 ? error : net_receive(transfer, vectors);
  if (result < 0) return result;
  header.name_size = 0;
  header.control_size = 0;
  header.flags = 0;
  const long written = copy_to_guest(address, &header, sizeof(header));
  return written != 0 ? written : result;
}

long send_message(const NetTransfer& transfer, GuestAddr address) {
  MessageHeader header;
  if (const long error = read_guest(header, address); error != 0) return error;
  long error = 0;
  GuestVectors vectors = GuestVectors::of_array(header.parts, header.part_count, error);
  return error != 0 ? error : net_send_vectors(transfer, vectors);
}

template <typename One>
long for_many(const Regs& regs, One one) {
  const std::uint64_t count = regs.rdx < kMostMessages ? regs.rdx : kMostMessages;
  for (std::uint64_t i = 0; i < count; ++i) {
    const GuestAddr at = guest(regs.rsi) + i * sizeof(ManyHeader);
    const long result = one(i, at);
    if (result < 0) return i != 0 ? static_cast<long>(i) : result;
    if (write_guest(at + offsetof(ManyHeader, count), static_cast<std::uint32_t>(result)) != 0) {
      return i != 0 ? static_cast<long>(i) : -14;
    }
    if (result == 0) return static_cast<long>(i + 1);
  }
  return static_cast<long>(count);
}

}  // namespace

long net_read(Thread& thread, Regs& regs) { return transfer(thread, regs, Way::kIn, 0, false); }
long net_readv(Thread& thread, Regs& regs) { return transfer(thread, regs, Way::kIn, 0, true); }
long net_write(Thread& thread, Regs& regs) { return transfer(thread, regs, Way::kOut, 0, false); }
long net_writev(Thread& thread, Regs& regs) { return transfer(thread, regs, Way::kOut, 0, true); }

// With an offset the kernel knows the error (ESPIPE); without one these are readv and writev.
long net_preadv2(Thread& thread, Regs& regs) {
  if (regs.r10 != kAnyOffset) return net_pass_on(thread, regs);
  return transfer(thread, regs, Way::kIn, (regs.r9 & kRwfNoWait) != 0 ? kMsgDoNotWait : 0, true);
}
long net_pwritev2(Thread& thread, Regs& regs) {
  if (regs.r10 != kAnyOffset) return net_pass_on(thread, regs);
  return transfer(thread, regs, Way::kOut, (regs.r9 & kRwfNoWait) != 0 ? kMsgDoNotWait : 0, true);
}

long net_recvfrom(Thread& thread, Regs& regs) {
  if ((regs.r10 & kMsgErrorQueue) != 0 && is_connection(net_look(thread, descriptor(regs)))) return kNetEagain;
  const bool is_ours = is_connection(net_look(thread, descriptor(regs)));
  const long result = transfer(thread, regs, Way::kIn, static_cast<std::uint32_t>(regs.r10), false);
  if (is_ours && result >= 0 && regs.r8 != 0 && regs.r9 != 0) {
    static_cast<void>(write_guest(guest(regs.r9), std::uint32_t{0}));  // as TCP: no address
  }
  return result;
}

long net_sendto(Thread& thread, Regs& regs) {
  const NetLook look = net_look(thread, descriptor(regs));
  if (const long refused = judge_datagram(look, regs.r8, regs.r9, regs.r10); refused != 0) return refused;
  return transfer(thread, regs, Way::kOut, static_cast<std::uint32_t>(regs.r10), false);
}

long net_recvmsg(Thread& thread, Regs& regs) {
  const NetLook look = net_look(thread, descriptor(regs));
  if (look.kind == NetKind::kLocal) {
    const long result = net_pass_on(thread, regs);
    if (result >= 0) note_arrived(thread, regs, 1, sizeof(MessageHeader));
    return result;
  }
  if (!is_connection(look)) return pass_unless_denied(thread, regs, look);
  return receive_message({thread, descriptor(regs), look, static_cast<std::uint32_t>(regs.rdx)}, guest(regs.rsi));
}

long net_sendmsg(Thread& thread, Regs& regs) {
  const NetLook look = net_look(thread, descriptor(regs));
  if (is_connection(look)) {
    return send_message({thread, descriptor(regs), look, static_cast<std::uint32_t>(regs.rdx)}, guest(regs.rsi));
  }
  long refused = refuse_denied(look);
  if (refused == 0) refused = judge_message(look, guest(regs.rsi), regs.rdx);
  if (refused == 0 && look.kind == NetKind::kLocal) return send_with_rights(thread, regs, 1, sizeof(MessageHeader));
  return refused != 0 ? refused : net_pass_on(thread, regs);
}

long net_recvmmsg(Thread& thread, Regs& regs) {
  const NetLook look = net_look(thread, descriptor(regs));
  if (look.kind == NetKind::kLocal) {
    const long count = net_pass_on(thread, regs);
    if (count > 0) note_arrived(thread, regs, static_cast<std::uint64_t>(count), sizeof(ManyHeader));
    return count;
  }
  if (!is_connection(look)) return pass_unless_denied(thread, regs, look);
  constexpr std::uint64_t kWaitForOne = 0x10000;
  const std::uint64_t flags = static_cast<std::uint32_t>(regs.r10);
  return for_many(regs, [&](std::uint64_t i, GuestAddr at) {
    const bool is_later = i != 0 && (flags & kWaitForOne) != 0;
    return receive_message({thread, descriptor(regs), look, flags | (is_later ? kMsgDoNotWait : 0)}, at);
  });
}

long net_sendmmsg(Thread& thread, Regs& regs) {
  const NetLook look = net_look(thread, descriptor(regs));
  if (is_connection(look)) {
    const NetTransfer made{thread, descriptor(regs), look, static_cast<std::uint32_t>(regs.r10)};
    return for_many(regs, [&](std::uint64_t, GuestAddr at) { return send_message(made, at); });
  }
  const std::uint64_t count = regs.rdx < kMostMessages ? regs.rdx : kMostMessages;
  long refused = refuse_denied(look);
  for (std::uint64_t i = 0; i < count && refused == 0 && look.kind != NetKind::kOther; ++i) {
    refused = judge_message(look, guest(regs.rsi) + i * sizeof(ManyHeader), regs.r10);
  }
  if (refused == 0 && look.kind == NetKind::kLocal) return send_with_rights(thread, regs, count, sizeof(ManyHeader));
  return refused != 0 ? refused : net_pass_on(thread, regs);
}

}  // namespace casemate::runtime
