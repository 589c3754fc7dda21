#include "runtime/shield/channel.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "runtime/engine/process/host_call.h"
#include "runtime/intercept/line.h"
#include "runtime/shield/arena.h"
#include "runtime/shield/directories.h"

namespace casemate::runtime {
namespace {

using protocol::Operation;
using protocol::Reply;
using protocol::Request;

inline constexpr long kEintr = -4, kEio = -5, kEagain = -11, kEmfile = -24;
inline constexpr long kEpipe = -32, kEconnreset = -104, kEnotconn = -107;
inline constexpr int kSigKill = 9;
inline constexpr std::uint32_t kChannelFree = 0, kChannelTaken = 1;
inline constexpr long kUnixSequenced = 5 | 02000000;  // SOCK_SEQPACKET | SOCK_CLOEXEC
inline constexpr long kNoSignal = 0x4000;             // MSG_NOSIGNAL
inline constexpr long kDoNotWait = 0x40;              // MSG_DONTWAIT
inline constexpr std::int32_t kSolSocket = 1, kScmRights = 1;

// As the kernel lays them out (struct user_msghdr, struct cmsghdr).
struct MessageHeader {
  void* name;
  std::int32_t name_size;
  iovec* parts;
  std::uint64_t part_count;
  void* control;
  std::uint64_t control_size;
  std::uint32_t flags;
};
struct alignas(8) DescriptorControl {
  std::uint64_t size;
  std::int32_t level, type;
  std::int32_t descriptors[2];
};

constinit std::atomic<std::uint32_t> g_reported{0};

// Looking for an answer some microseconds before going to sleep spares two switches of the processor and a wake-up
// where the keeper answers soon. Each operation has its own record of whether that paid off: with one processor, under
// load, or with a disk in between it does not, and is tried only now and then.
inline constexpr unsigned kLooks = 128;              // each a system call that finds nothing: some 50 us together
inline constexpr std::uint32_t kMostConfidence = 8;  // successes that are remembered
inline constexpr std::uint32_t kBetweenTrials = 32;  // requests without confidence from one trial to the next
constinit std::atomic<std::uint32_t> g_confidence[static_cast<std::size_t>(protocol::kLastOperation) + 1] = {};
constinit std::atomic<std::uint32_t> g_trials{0};

// Memories come in chunks, because each range of the runtime's own makes copies from the program a little slower.
struct MemoryChunk {
  std::atomic<std::uint32_t> used;
  RequestMemory memories[64];
};
constinit std::atomic<MemoryChunk*> g_chunk{nullptr};

RequestMemory* claim_in_new_chunk(MemoryChunk* full) {
  const long mapped = host_call(SYS_mmap, 0, sizeof(MemoryChunk), PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (is_error(mapped)) return nullptr;
  auto* const chunk = reinterpret_cast<MemoryChunk*>(mapped);
  chunk->used.store(1);
  if (!g_chunk.compare_exchange_strong(full, chunk)) {
    host_call(SYS_munmap, mapped, sizeof(MemoryChunk));
    return nullptr;
  }
  protect_range(static_cast<std::uint64_t>(mapped), (sizeof(MemoryChunk) + 4095) & ~std::uint64_t{4095});
  return &chunk->memories[0];
}

RequestMemory* claim_memory() {
  for (;;) {
    MemoryChunk* const chunk = g_chunk.load();
    if (chunk != nullptr) {
      const std::uint32_t index = chunk->used.load();
      if (index < 64) {
        std::uint32_t seen = index;
        if (chunk->used.compare_exchange_strong(seen, index + 1)) return &chunk->memories[index];
        continue;
      }
    }
    RequestMemory* const memory = claim_in_new_chunk(chunk);
    if (memory != nullptr || g_chunk.load() == chunk) return memory;
  }
}

// Ends like a machine that lost power. An errno instead would reach programs that take it for success (SQLite when it
// cannot open the directory to sync), and what they acknowledge then would be lost.
[[noreturn]] void end_without_keeper() {
  static constexpr char kText[] =
      "casemate: the keeper of this run's volumes is gone, so this process ends; what was synced is safe: start "
      "again\n";
  // In quiet runs too: it is why the program ends, not a remark.
  if (g_reported.exchange(1) == 0) host_call(SYS_write, 2, reinterpret_cast<long>(kText), sizeof(kText) - 1);
  host_call(SYS_kill, host_call(SYS_getpid), kSigKill);
  for (;;) host_call(SYS_exit_group, 128 + kSigKill);  // a container's first process cannot be killed from inside
}

bool says_keeper_gone(long error) { return error == kEpipe || error == kEconnreset || error == kEnotconn; }

long send_descriptor(long socket, long fd) {
  char byte = 0;
  iovec part{&byte, 1};
  DescriptorControl control{16 + sizeof(std::int32_t), kSolSocket, kScmRights, {static_cast<std::int32_t>(fd), 0}};
  MessageHeader header{nullptr, 0, &part, 1, &control, sizeof(control), 0};
  for (;;) {
    const long sent = host_call(SYS_sendmsg, socket, reinterpret_cast<long>(&header), kNoSignal);
    if (sent != kEintr) return sent;
  }
}

// A new channel, its other end with the keeper. A descriptor, or a negative errno.
long open_channel(const DescriptorState& state) {
  std::int32_t ends[2] = {-1, -1};
  const long made = host_call(SYS_socketpair, 1, kUnixSequenced, 0, reinterpret_cast<long>(ends));
  if (is_error(made)) return made;
  const long sent = send_descriptor(state.own[kHelloFd], ends[1]);
  host_call(SYS_close, ends[1]);
  if (is_error(sent)) {
    host_call(SYS_close, ends[0]);
    if (says_keeper_gone(sent)) end_without_keeper();
    return sent;
  }
  return hide_descriptor(state, ends[0]);
}

// Makes channel `index`, which the caller has taken, ready.
long prepare_channel(DescriptorState& state, unsigned index) {
  std::atomic<std::int32_t>& fd = state.own[kFirstChannelFd + index];
  const std::uint32_t bit = std::uint32_t{1} << index;
  if ((state.stale_channels.load() & bit) != 0) {
    host_call(SYS_close, fd.exchange(-1));
    state.stale_channels.fetch_and(~bit);
  }
  if (fd.load() >= 0) return 0;
  const long opened = open_channel(state);
  if (is_error(opened)) return opened;
  fd.store(static_cast<std::int32_t>(opened));
  std::uint32_t count = state.own_count.load();
  while (count < kFirstChannelFd + index + 1 &&
         !state.own_count.compare_exchange_weak(count, kFirstChannelFd + index + 1)) {
  }
  return 0;
}

bool try_take(DescriptorState& state, unsigned index) {
  std::uint32_t free = kChannelFree;
  return state.channel_words[index].load(std::memory_order_relaxed) == kChannelFree &&
         state.channel_words[index].compare_exchange_strong(free, kChannelTaken, std::memory_order_acquire);
}

void release(DescriptorState& state, unsigned index) {
  state.channel_words[index].store(kChannelFree);
  state.channel_releases.fetch_add(1);
  if (state.channel_waiters.load() == 0) return;
  host_call(SYS_futex, reinterpret_cast<long>(&state.channel_releases), FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1);
}

bool is_ready(const DescriptorState& state, unsigned index) {
  return state.own[kFirstChannelFd + index].load() >= 0 && (state.stale_channels.load() >> index & 1) == 0;
}

void await_release(DescriptorState& state, std::uint32_t releases) {
  state.channel_waiters.fetch_add(1);
  host_call(SYS_futex, reinterpret_cast<long>(&state.channel_releases), FUTEX_WAIT | FUTEX_PRIVATE_FLAG,
            static_cast<long>(releases), 0);
  state.channel_waiters.fetch_sub(1);
}

enum class Which { kReady, kAny };

int take_one(DescriptorState& state, Which which) {
  for (unsigned i = 0; i < kChannelCapacity; ++i) {
    if (which == Which::kReady && !is_ready(state, i)) continue;
    if (try_take(state, i)) return static_cast<int>(i);
  }
  return -1;
}

bool has_ready_channel(const DescriptorState& state) {
  for (unsigned i = 0; i < kChannelCapacity; ++i) {
    if (is_ready(state, i)) return true;
  }
  return false;
}

// The index of a channel that is ready and the caller's, or a negative errno.
long take_channel(DescriptorState& state) {
  for (;;) {
    const std::uint32_t releases = state.channel_releases.load();
    int index = take_one(state, Which::kReady);
    if (index >= 0) return index;
    index = take_one(state, Which::kAny);
    if (index >= 0) {
      const long error = prepare_channel(state, static_cast<unsigned>(index));
      if (error == 0) return index;
      release(state, static_cast<unsigned>(index));
      // Out of descriptors: share the channels that exist.
      if (error == kEio || !has_ready_channel(state)) return error;
    }
    await_release(state, releases);
  }
}

void describe_text(const RequestMemory& memory, RequestData data, iovec (&parts)[9]) {
  const Request& request = memory.request;
  const auto part = [](const void* bytes, std::size_t size) { return iovec{const_cast<void*>(bytes), size}; };
  parts[0] = part(&request, sizeof(request));
  parts[1] = part(memory.groups, request.credentials.group_count * sizeof(std::uint32_t));
  parts[2] = part(memory.root_path, request.root_path_size);
  for (int i = 0; i < 2; ++i) {
    parts[3 + 2 * i] = part(memory.base_path[i], request.base_path_size[i]);
    parts[4 + 2 * i] = part(memory.path[i], request.path_size[i]);
  }
  parts[7] = part(data.bytes, data.size);
}

long send_request(long socket, const RequestMemory& memory, RequestData data) {
  iovec parts[9];
  describe_text(memory, data, parts);
  MessageHeader header{nullptr, 0, parts, 8, nullptr, 0, 0};
  for (;;) {
    const long sent = host_call(SYS_sendmsg, socket, reinterpret_cast<long>(&header), kNoSignal);
    if (sent != kEintr) return sent;
  }
}

void take_descriptors(RequestMemory& memory, const DescriptorControl& control, std::uint64_t control_size) {
  memory.received[0] = memory.received[1] = -1;
  if (control_size < 16 || control.level != kSolSocket || control.type != kScmRights || control.size < 16) return;
  const std::uint64_t count = (control.size - 16) / sizeof(std::int32_t);
  for (std::uint64_t i = 0; i < count && i < 2; ++i) memory.received[i] = control.descriptors[i];
}

void drop_descriptors(RequestMemory& memory) {
  for (std::int32_t& fd : memory.received) {
    if (fd >= 0) host_call(SYS_close, fd);
    fd = -1;
  }
}

bool copy_host_path(RequestMemory& memory, unsigned index, std::size_t& offset) {
  const std::uint32_t size = memory.reply.host_path_size[index];
  if (size >= protocol::kPathCapacity) return false;
  __builtin_memcpy(memory.host_path[index], memory.text + offset, size);
  memory.host_path[index][size] = 0;
  offset += size;
  return true;
}

// Splits a reply of `size` bytes. False: not one that the protocol knows.
bool parse_reply(RequestMemory& memory, std::size_t size) {
  if (size < sizeof(Reply)) return false;
  const Reply& reply = memory.reply;
  const std::uint64_t text = std::uint64_t{reply.host_path_size[0]} + reply.host_path_size[1] + reply.data_size;
  if (text > size - sizeof(Reply)) return false;
  std::size_t offset = 0;
  if (!copy_host_path(memory, 0, offset) || !copy_host_path(memory, 1, offset)) return false;
  memory.data_offset = static_cast<std::uint32_t>(offset);
  return true;
}

// EAGAIN when nothing came while it was worth looking.
long look_for_reply(long socket, MessageHeader& header, long flags, Operation operation) {
  std::atomic<std::uint32_t>& confidence = g_confidence[static_cast<std::size_t>(operation)];
  const std::uint32_t known = confidence.load(std::memory_order_relaxed);
  if (known == 0 && g_trials.fetch_add(1, std::memory_order_relaxed) % kBetweenTrials != 0) return kEagain;
  for (unsigned look = 0; look < kLooks; ++look) {
    const long size = host_call(SYS_recvmsg, socket, reinterpret_cast<long>(&header), flags | kDoNotWait);
    if (size != kEagain) {
      if (known < kMostConfidence) confidence.store(known + 1, std::memory_order_relaxed);
      return size;
    }
    __builtin_ia32_pause();
  }
  confidence.store(known / 2, std::memory_order_relaxed);
  return kEagain;
}

long receive_reply(long socket, RequestMemory& memory, ReceivedKind received) {
  iovec parts[2] = {{&memory.reply, sizeof(Reply)}, {memory.text, sizeof(memory.text)}};
  DescriptorControl control{};
  MessageHeader header{nullptr, 0, parts, 2, &control, sizeof(control), 0};
  memory.reply.result = 0;
  long size = look_for_reply(socket, header, static_cast<long>(received), memory.request.operation);
  while (size == kEintr || size == kEagain) {
    header.control_size = sizeof(control);
    size = host_call(SYS_recvmsg, socket, reinterpret_cast<long>(&header), static_cast<long>(received));
  }
  if (size <= 0) end_without_keeper();
  take_descriptors(memory, control, header.control_size);
  if (!parse_reply(memory, static_cast<std::size_t>(size))) end_without_keeper();
  const Reply& reply = memory.reply;
  // The kernel drops descriptors for which the table has no room.
  if (reply.result >= 0 && reply.descriptor_count > 0 && memory.received[reply.descriptor_count > 1 ? 1 : 0] < 0) {
    drop_descriptors(memory);
    return kEmfile;
  }
  if (reply.result < 0) drop_descriptors(memory);
  return is_error(reply.result) || reply.result >= 0 ? static_cast<long>(reply.result) : kEio;
}

// setfsuid and setfsgid answer what is in force, and change nothing for -1.
void learn_credentials(Thread& thread, RequestMemory& memory) {
  thread.shield_user = static_cast<std::uint32_t>(host_call(SYS_setfsuid, -1));
  thread.shield_group = static_cast<std::uint32_t>(host_call(SYS_setfsgid, -1));
  const long count = host_call(SYS_getgroups, kGroupCapacity, reinterpret_cast<long>(memory.groups));
  thread.shield_group_count = count > 0 ? static_cast<std::uint32_t>(count) : 0;
  thread.shield_credentials_known = 1;
}

}  // namespace

RequestMemory* request_memory(Thread& thread) {
  if (thread.request_memory == nullptr) thread.request_memory = claim_memory();
  return thread.request_memory;
}

RequestMemory* begin_request(Thread& thread, Operation operation) {
  RequestMemory* const memory = request_memory(thread);
  if (memory == nullptr) return nullptr;
  if (thread.shield_credentials_known == 0) learn_credentials(thread, *memory);
  Request& request = memory->request;
  request = Request{};
  request.version = protocol::kShieldVersion;
  request.operation = operation;
  request.credentials = {thread.shield_user, thread.shield_group, 0, thread.shield_group_count};
  describe_directories(*thread.directories, *memory);
  return memory;
}

void forget_credentials(Thread& thread) { thread.shield_credentials_known = 0; }

long exchange(Thread& thread, RequestMemory& memory, RequestData data, ReceivedKind received) {
  DescriptorState& state = *thread.descriptors;
  memory.request.data_size = static_cast<std::uint32_t>(data.size);
  const long index = take_channel(state);
  if (is_error(index)) return index;
  const long socket = state.own[kFirstChannelFd + index].load();
  long result = send_request(socket, memory, data);
  if (says_keeper_gone(result)) end_without_keeper();
  if (!is_error(result)) result = receive_reply(socket, memory, received);
  release(state, static_cast<unsigned>(index));
  return result;
}

long slot_request(Thread& thread, Operation operation, std::uint32_t slot, std::uint64_t a0, std::uint64_t a1,
                  std::uint64_t a2) {
  RequestMemory* const memory = begin_request(thread, operation);
  if (memory == nullptr) return -12;
  memory->request.base[0] = {protocol::PlaceKind::kSlot, 0, slot};
  memory->request.arguments[0] = a0;
  memory->request.arguments[1] = a1;
  memory->request.arguments[2] = a2;
  return exchange(thread, *memory);
}

long channels_attach(Thread& thread) {
  RequestMemory* const memory = begin_request(thread, Operation::kAttach);
  if (memory == nullptr) return -12;
  const long result = exchange(thread, *memory);
  if (is_error(result)) return result;
  if (memory->received[0] < 0 || memory->received[1] < 0) return kEio;
  const long mapped = arena_map(memory->received[0], memory->received[1]);
  drop_descriptors(*memory);
  return mapped;
}

void channels_after_copy(DescriptorState& state) {
  if (state.own_count <= kHelloFd) state.own[kHelloFd] = -1;
  state.channel_waiters = 0;
  std::uint32_t stale = 0;
  for (unsigned i = 0; i < kChannelCapacity; ++i) {
    state.channel_words[i] = kChannelFree;
    if (kFirstChannelFd + i >= state.own_count) state.own[kFirstChannelFd + i] = -1;
    if (state.own[kFirstChannelFd + i] >= 0) stale |= std::uint32_t{1} << i;
  }
  state.stale_channels = stale;
}

void channels_leave_to_other(DescriptorState& state) {
  for (unsigned i = 0; i < kChannelCapacity; ++i) {
    const bool used = kFirstChannelFd + i < state.own_count && state.own[kFirstChannelFd + i] >= 0;
    state.channel_words[i] = used ? kChannelTaken : kChannelFree;
  }
  state.stale_channels = 0;
}

long move_channel(DescriptorState& state, std::uint32_t index) {
  const unsigned channel = index - kFirstChannelFd;
  while (!try_take(state, channel)) {
    const std::uint32_t releases = state.channel_releases.load();
    if (state.channel_words[channel].load() == kChannelFree) continue;
    await_release(state, releases);
  }
  const std::int32_t old = state.own[index].load();
  const long moved = old < 0 ? -1 : host_call(SYS_fcntl, old, F_DUPFD_CLOEXEC, old + 1);
  if (!is_error(moved)) state.own[index].store(static_cast<std::int32_t>(moved));
  release(state, channel);
  return is_error(moved) && old >= 0 ? moved : 0;
}

long hide_descriptor(const DescriptorState& state, long fd) {
  long hidden = host_call(SYS_fcntl, fd, F_DUPFD_CLOEXEC, state.runtime_fd() + 1);
  if (is_error(hidden)) hidden = host_call(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 3);
  host_call(SYS_close, fd);
  return hidden;
}

}  // namespace casemate::runtime
