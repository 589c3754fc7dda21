// Requests to the keeper: channels (sockets), the messages on them, and the memory to build them in.
//
// A request is built in the calling thread's RequestMemory, so no thread waits for another one's memory, also while it
// blocks in a call with a path of the keeper's answer. A channel is taken for the round trip only.
//
// What a hostile peer can do here -> what we answer
//  - the keeper is gone, or answers nonsense -> the process ends by SIGKILL, after one line that says why
#pragma once

#include <cstddef>
#include <cstdint>

#include "protocol/shield.h"
#include "runtime/intercept/process.h"

namespace casemate::runtime {

inline constexpr std::size_t kGroupCapacity = 1024;
inline constexpr std::size_t kTextCapacity = protocol::kMessageCapacity - sizeof(protocol::Reply);

// Of one thread, mapped when first needed and kept with the thread's block. Pages that are not used cost nothing.
struct alignas(4096) RequestMemory {
  protocol::Request request;
  protocol::Reply reply;
  std::int32_t received[2];  // descriptors that came with the reply; -1: none
  // What the request's sizes speak about.
  char root_path[protocol::kPathCapacity];
  char base_path[2][protocol::kPathCapacity];
  char path[2][protocol::kPathCapacity];
  std::uint32_t groups[kGroupCapacity];
  // Of the reply, NUL-terminated; empty: none.
  char host_path[2][protocol::kPathCapacity];
  std::byte text[kTextCapacity];                   // as received
  std::uint32_t data_offset;                       // of the reply's data in `text`
  std::byte outgoing[protocol::kMessageCapacity];  // data of requests that need memory
};

struct RequestData {
  const void* bytes = nullptr;
  std::size_t size = 0;
};

// Null: no memory. The same for every call of one thread: one request at a time.
RequestMemory* request_memory(Thread& thread);

// A fresh request of `operation` in the thread's memory, with its credentials, umask and root. Null: no memory.
RequestMemory* begin_request(Thread& thread, protocol::Operation operation);

// The credentials changed (setuid ...).
void forget_credentials(Thread& thread);

// Whether descriptors that the reply brings survive exec.
enum class ReceivedKind : int { kInherited = 0, kCloseOnExec = 0x40000000 };  // MSG_CMSG_CLOEXEC

// The round trip. Returns the reply's result: negative errno. With a result >= 0, `reply` says more. Without a keeper
// it does not return. Not interruptible by signals. Waits: for the keeper, and for a channel when all are in use.
long exchange(Thread& thread, RequestMemory& memory, RequestData data = {},
              ReceivedKind received = ReceivedKind::kCloseOnExec);

inline const std::byte* reply_data(const RequestMemory& memory) { return memory.text + memory.data_offset; }

// A request about an open slot without any text.
long slot_request(Thread& thread, protocol::Operation operation, std::uint32_t slot, std::uint64_t a0 = 0,
                  std::uint64_t a1 = 0, std::uint64_t a2 = 0);

// The first channel of a process image, and the shared memory. 0 or a negative errno.
long channels_attach(Thread& thread);
// In a copy of the table (fork, vfork child): the channels are the parent's, to be closed, never used.
void channels_after_copy(DescriptorState& state);
// In a process that shares the table but not the memory: the channels stay the other one's.
void channels_leave_to_other(DescriptorState& state);
// Makes room at the number of the channel `own` entry `index`, for dup2. 0 or a negative errno.
long move_channel(DescriptorState& state, std::uint32_t index);
// Puts a descriptor of ours where programs rarely look, close-on-exec; closes the old number. Negative errno on
// failure.
long hide_descriptor(const DescriptorState& state, long fd);

}  // namespace casemate::runtime
