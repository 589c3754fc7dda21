// The memory that the processes of a run with `--net` share with each other and with the keeper: what the rules say,
// who takes part, and one slot per shielded connection. And the messages that go with descriptors to the keeper.
//
// A slot belongs to an open description (the kernel's socket), found by the socket's inode. References are descriptors:
// words of members' tables that name the slot, and descriptors under way in messages. Who drops the last one ends the
// connection in order. A member is a descriptor table: what one fork copies; its words survive exec, and the keeper
// drops those of killed processes.
//
// What a hostile member can do here -> what we answer
//   write nonsense -> its own application's connections break. The keeper takes indices only within their bounds, and
//                     copies what it sends before it looks at it
//
// Plain data without pointers, mapped at different addresses. Freestanding. All of it is zero at the start.
#pragma once

#include <atomic>
#include <cstdint>

#include "netshield/record/stream.h"

namespace casemate::netshield {

inline constexpr std::uint64_t kArenaMagic = 0x3174656e65736163;
inline constexpr std::uint32_t kArenaVersion = 1;
inline constexpr std::uint32_t kSlotCount = 32768;
inline constexpr std::uint32_t kMemberCount = 2048;
inline constexpr std::uint32_t kWordCount = 65536;  // descriptors from here on cannot be shielded
inline constexpr std::uint32_t kBucketCount = 16384;
inline constexpr std::uint32_t kMostRules = 512;
inline constexpr std::uint32_t kMostDestinations = 1024;
inline constexpr std::uint32_t kPortCount = 65536;

// As policy::Protection; 0 where nothing was written.
enum class Protection : std::uint8_t { kUnset, kTlsServer, kTlsClient, kPlain, kDeny };

struct Decision {
  Protection protection;
  std::uint8_t reserved;
  std::uint16_t rule;
};

// What policy::decide() says of an address (of any other address at this port, when is_any).
struct Destination {
  std::uint16_t port;
  std::uint8_t is_any;
  std::uint8_t reserved;
  Decision decision;
  std::uint8_t address[16];  // IPv4 mapped into IPv6
  char reason[104];
};

// What a rule says of a unix socket's path.
struct LocalRule {
  char path[109];
  Protection protection;
};
inline constexpr std::uint32_t kMostLocalRules = 64;
inline constexpr std::uint32_t kMostLocalNames = 1024;

// Owner's thread id, or 0; the highest bit: somebody waits (futex).
struct SharedLock {
  std::atomic<std::uint32_t> word;
};

enum class SlotState : std::uint32_t {
  kFree,
  kShaking,   // the keeper's: nobody else touches the stream
  kOpen,      // under the slot's lock
  kFailed,    // the handshake; the socket is shut down
  kOrphaned,  // was shaking when the last descriptor was closed: the keeper frees it
};

// An epoll instance that tells about the connection, as descriptors of the process that put it in.
struct Watcher {
  std::atomic<std::int32_t> epoll, descriptor;
};
inline constexpr std::uint32_t kMostWatchers = 4;

inline constexpr std::uint32_t kReadingShut = 1, kRestHanded = 2;

struct alignas(4096) Slot {
  std::atomic<SlotState> state;           // futex
  std::atomic<std::uint32_t> generation;  // of the connection in it
  std::atomic<std::uint32_t> references;
  std::atomic<std::uint32_t> in_flight;  // of the references, those in messages
  std::atomic<std::uint32_t> next;       // slot + 1 in the bucket or in the list of free ones; 0: none
  SharedLock lock;
  std::atomic<std::uint64_t> inode;
  Side side;
  std::uint32_t rule;
  std::atomic<std::int32_t> error;       // what SO_ERROR tells, once; positive
  std::atomic<std::uint32_t> flags;      // kReadingShut, kRestHanded
  std::atomic<std::uint32_t> low_water;  // the program's SO_RCVLOWAT
  std::atomic<std::uint32_t> watcher_count;
  Watcher watchers[kMostWatchers];
  alignas(64) Stream stream;
};
static_assert(sizeof(Slot) <= 40 * 1024);

// A word of a member's table: what the descriptor is.
inline constexpr std::uint32_t kWordUnknown = 0;              // look it up
inline constexpr std::uint32_t kWordOther = 1;                // nothing of the shield's
inline constexpr std::uint32_t kWordDatagram = 2;             // UDP, raw and the like, which cannot be protected
inline constexpr std::uint32_t kWordLocal = 3;                // a unix socket
inline constexpr std::uint32_t kWordListener = 0x40000000;    // and the rule
inline constexpr std::uint32_t kWordConnection = 0x80000000;  // and the slot
inline constexpr std::uint32_t kWordValue = 0x0000ffff;

enum class MemberState : std::uint32_t { kFree, kTaken };

struct alignas(4096) Member {
  std::atomic<MemberState> state;
  std::atomic<std::uint32_t> generation;  // of its use: who hears late of a process's death must not end the next one
  std::atomic<std::uint32_t> limit;       // words from here on are unknown
  alignas(4096) std::atomic<std::uint32_t> words[kWordCount];
};

struct Arena {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t rule_count, destination_count;
  std::uint8_t denies_others;  // what cannot be protected (UDP ...)
  std::uint8_t denies_local;   // unix sockets outside of the application
  std::uint8_t reserved[2];
  Decision serve, connect;  // what no rule names
  char serve_reason[104], connect_reason[104], others_reason[104];
  char rule_names[kMostRules][64];
  Destination destinations[kMostDestinations];
  Decision ports[kPortCount];
  std::uint32_t local_rule_count;
  LocalRule local_rules[kMostLocalRules];
  // Digests of unix sockets' names that members have bound, from the front; 0: none.
  std::atomic<std::uint64_t> local_names[kMostLocalNames];
  // Processes that took part, by number; once set for ever.
  std::atomic<std::uint64_t> pids[65536];

  alignas(4096) std::atomic<std::uint64_t> free_slots;  // slot + 1 of the first in the low half, a tag in the high half
  std::atomic<std::uint32_t> slots_end;                 // slots from here on were never used
  SharedLock index_lock;
  std::atomic<std::uint32_t> buckets[kBucketCount];  // slot + 1 by inode

  Member members[kMemberCount];
  Slot slots[kSlotCount];
};

inline std::uint32_t bucket_of(std::uint64_t inode) {
  return static_cast<std::uint32_t>((inode * 0x9e3779b97f4a7c15) >> 50);
}
static_assert(kBucketCount == 1U << (64 - 50));

// A message to the keeper, on a sequenced socket.
enum class MessageKind : std::uint32_t {
  kJoin = 1,    // the sender's process uses `index`, a member
  kShake,       // `index`: a slot in kShaking; with the socket
  kSendRest,    // `index`: an open slot with unsent bytes; with the socket
  kSendAndEnd,  // the same, behind the last close: the bytes go out, then the connection ends, and the slot is freed
};
struct Message {
  MessageKind kind;
  std::uint32_t index;
  std::uint32_t generation;
  std::uint32_t reserved;
};

// Takes the slot out of its bucket, if it is there. Under index_lock.
void unlink_slot(Arena& arena, std::uint32_t slot);
// Gives a slot back that nobody refers to and that is in no bucket.
void free_slot(Arena& arena, std::uint32_t slot);

}  // namespace casemate::netshield
