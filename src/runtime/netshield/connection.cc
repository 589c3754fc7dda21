#include "runtime/netshield/connection.h"

#include <sys/syscall.h>

#include "runtime/engine/process/host_call.h"
#include "runtime/netshield/vectors.h"

namespace casemate::runtime {

using netshield::Message;
using netshield::MessageKind;
using netshield::Slot;
using netshield::SlotState;
using netshield::StreamCall;

namespace {

inline constexpr long kEnotsock = -88, kEnobufs = -105, kEmfile = -24, kEintr = -4, kEtoomanyrefs = -109;
inline constexpr long kPeek = 2, kTrunc = 0x20, kDoNotWait = 0x40, kNoSignal = 0x4000;
inline constexpr long kSolSocket = 1, kSoRcvLowat = 18;
inline constexpr std::size_t kMostDrained = std::size_t{1} << 30;

template <typename Call>
long repeated(Call call) {
  for (;;) {
    const long result = call();
    if (result != kEintr) return result;
  }
}

long address(const void* memory) { return reinterpret_cast<long>(memory); }

long peek(int fd, std::uint8_t* bytes, std::size_t size) {
  return repeated(
      [&] { return host_call(SYS_recvfrom, fd, address(bytes), static_cast<long>(size), kPeek | kDoNotWait, 0, 0); });
}
long discard(int fd, std::size_t size) {
  return repeated([&] { return host_call(SYS_recvfrom, fd, 0, static_cast<long>(size), kTrunc | kDoNotWait, 0, 0); });
}
long send_bytes(int fd, const std::uint8_t* bytes, std::size_t size) {
  return repeated(
      [&] { return host_call(SYS_sendto, fd, address(bytes), static_cast<long>(size), kDoNotWait | kNoSignal, 0, 0); });
}
long set_low_water(int fd, std::size_t size) {
  const int mark = static_cast<int>(size);
  return host_call(SYS_setsockopt, fd, kSolSocket, kSoRcvLowat, address(&mark), sizeof(mark));
}

struct RightsControl {
  std::uint64_t size;
  std::int32_t level, type, descriptor, padding;
};
struct Part {
  const void* bytes;
  std::uint64_t size;
};
struct MessageHeader {  // struct user_msghdr
  void* name;
  std::uint32_t name_size, padding;
  const Part* parts;
  std::uint64_t part_count;
  const void* control;
  std::uint64_t control_size;
  std::uint64_t flags;
};

void begin_slot(Slot& slot, std::uint64_t inode, std::uint32_t rule, netshield::Side side) {
  slot.side = side;
  slot.rule = rule;
  slot.error = 0;
  slot.flags = 0;
  slot.low_water = 1;
  slot.in_flight = 0;
  slot.watcher_count = 0;
  slot.lock.word = 0;
  netshield::Stream& stream = slot.stream;
  stream.low_water = stream.taken = stream.left_size = 0;
  stream.data_begin = stream.data_end = stream.out_begin = stream.out_end = 0;
  slot.references = 1;
  slot.state = SlotState::kShaking;
  slot.inode = inode;
}

// Bytes that the kernel still holds at the close make it reset the connection, and what we sent last would be lost. So
// records without data are taken away, and what stands behind the peer's end.
void drain(const StreamCall& call) {
  netshield::Stream& stream = call.stream;
  if (stream.data_begin == stream.data_end) static_cast<void>(netshield::fill(call));
  if (stream.connection.read.state == netshield::DirectionState::kClosed) discard(call.descriptor, kMostDrained);
}

// The keeper's descriptor keeps the description alive for a while: without this, epoll would go on telling about
// descriptors that the program has closed.
void leave_watchers(const Slot& slot) {
  constexpr long kDelete = 2;
  const std::uint32_t count = slot.watcher_count.load();
  for (std::uint32_t i = 0; i < count && i < netshield::kMostWatchers; ++i) {
    const netshield::Watcher& watcher = slot.watchers[i];
    host_call(SYS_epoll_ctl, watcher.epoll.load(), kDelete, watcher.descriptor.load(), 0);
  }
}

// The stream's orderly end. True: the keeper goes on with the slot.
bool say_goodbye(const Thread& thread, std::uint32_t index, std::int64_t fd) {
  const NetLook look{NetKind::kConnection, index, net_arena().slots[index].generation.load()};
  NetAccess access(look, fd);
  const StreamCall call = access.call();
  drain(call);
  if (netshield::end_behind(call) != -11) return false;
  leave_watchers(access.slot());
  const Message message{MessageKind::kSendAndEnd, index, look.generation, 0};
  return net_tell_keeper(thread, message, fd) == 0;
}

void finish(const Thread& thread, std::uint32_t index, std::int64_t fd) {
  Slot& slot = net_arena().slots[index];
  net_index_remove(index);
  SlotState seen = SlotState::kShaking;
  if (slot.state.load() == seen) leave_watchers(slot);
  if (slot.state.compare_exchange_strong(seen, SlotState::kOrphaned)) return;
  const bool is_there = net_inode_of(fd) == slot.inode.load();
  if (seen == SlotState::kOpen && is_there && say_goodbye(thread, index, fd)) return;
  netshield::free_slot(net_arena(), index);
}

}  // namespace

constinit const netshield::StreamSocket kCoreSocket = {peek, discard, send_bytes, set_low_water};

NetAccess::NetAccess(const NetLook& look, std::int64_t fd) : slot_(net_arena().slots[look.value]), fd_(fd) {
  if (shared_acquire(slot_.lock) == Acquired::kRobbed) netshield::abandon(slot_.stream);
  is_current_ = slot_.generation.load(std::memory_order_acquire) == look.generation;
}

StreamCall NetAccess::call() const { return {slot_.stream, kCoreCipher, kCoreSocket, static_cast<int>(fd_)}; }

long net_tell_keeper(const Thread& thread, const Message& message, std::int64_t fd) {
  const Part part{&message, sizeof(message)};
  const RightsControl control{20, kSolSocket, 1, static_cast<std::int32_t>(fd), 0};
  const MessageHeader header{nullptr, 0, 0, &part, 1, fd < 0 ? nullptr : &control, fd < 0 ? 0 : sizeof(control), 0};
  for (;;) {
    const long sent = host_call(SYS_sendmsg, thread.descriptors->own[kNetFd], address(&header), kNoSignal);
    if (sent == kEtoomanyrefs) host_call(SYS_sched_yield);  // too many descriptors are under way
    if (sent != kEintr && sent != kEtoomanyrefs) return is_error(sent) ? sent : 0;
  }
}

void net_hand_rest(const Thread& thread, NetAccess& access, std::uint32_t index, std::int64_t fd) {
  Slot& slot = access.slot();
  if ((slot.flags.fetch_or(netshield::kRestHanded) & netshield::kRestHanded) != 0) return;
  const Message message{MessageKind::kSendRest, index, slot.generation.load(), 0};
  if (net_tell_keeper(thread, message, fd) != 0) slot.flags.fetch_and(~netshield::kRestHanded);
}

long net_adopt(const Thread& thread, std::int64_t fd, std::uint32_t rule, netshield::Side side) {
  if (fd >= netshield::kWordCount) return kEmfile;
  const std::uint64_t inode = net_inode_of(fd);
  if (inode == 0) return kEnotsock;
  const std::uint32_t index = net_allocate_slot();
  if (index == kNoNetSlot) return kEnobufs;
  begin_slot(net_arena().slots[index], inode, rule, side);
  net_index_insert(index);
  net_set_word(thread, fd, netshield::kWordConnection | index);
  return 0;
}

long net_shake(const Thread& thread, std::int64_t fd, std::uint32_t index) {
  const std::uint32_t generation = net_arena().slots[index].generation.load();
  return net_tell_keeper(thread, {MessageKind::kShake, index, generation, 0}, fd);
}

void net_disown(const Thread& thread, std::int64_t fd) {
  const std::uint32_t word = net_take_word(thread, fd);
  if (!is_connection_word(word)) return;
  const std::uint32_t index = word & netshield::kWordValue;
  Slot& slot = net_arena().slots[index];
  if (slot.references.fetch_sub(1) != 1) return;
  net_index_remove(index);
  netshield::free_slot(net_arena(), index);
}

void net_release_word(const Thread& thread, std::uint32_t word, std::int64_t fd) {
  if (!is_connection_word(word)) return;
  const std::uint32_t index = word & (netshield::kSlotCount - 1);
  if (net_arena().slots[index].references.fetch_sub(1) == 1) finish(thread, index, fd);
}

}  // namespace casemate::runtime
