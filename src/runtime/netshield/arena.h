// The shared memory of the network shield as a member uses it: descriptors' words, slots, locks, what the rules say.
#pragma once

#include "netshield/shared/arena.h"
#include "runtime/intercept/process.h"
#include "runtime/intercept/thread.h"

namespace casemate::runtime {

// Valid after net_boot.
netshield::Arena& net_arena();
void net_arena_set(netshield::Arena* arena);

// What a descriptor is.
enum class NetKind : std::uint32_t {
  kOther,       // not the shield's business
  kConnection,  // value: the slot
  kListener,    // value: the rule
  kDenied,      // a listening socket that no rule allows
  kDatagram,    // cannot be protected
  kLocal,       // a unix socket
  kUnsettled,   // TCP, neither connected nor listening
};
struct NetLook {
  NetKind kind;
  std::uint32_t value;
  std::uint32_t generation;  // of the connection
};

NetLook net_look(const Thread& thread, std::int64_t fd);

// A new meaning of a descriptor's number that takes no reference of its own.
void net_set_word(const Thread& thread, std::int64_t fd, std::uint32_t word);
// Forgets the number; the reference that it held is the caller's now. Its word.
std::uint32_t net_take_word(const Thread& thread, std::int64_t fd);
// `to` means what `from` means, with a reference of its own.
void net_copy_word(const Thread& thread, std::int64_t from, std::int64_t to);
inline bool is_connection_word(std::uint32_t word) { return (word & netshield::kWordConnection) != 0; }

// Futex locks between processes. A holder that died is robbed after a second; then the answer of acquire() is kRobbed.
enum class Acquired { kFree, kRobbed };
Acquired shared_acquire(netshield::SharedLock& lock);
void shared_release(netshield::SharedLock& lock);

// A free slot, or kNoNetSlot; nothing refers to it yet.
inline constexpr std::uint32_t kNoNetSlot = ~std::uint32_t{0};
std::uint32_t net_allocate_slot();
void net_index_insert(std::uint32_t slot);
void net_index_remove(std::uint32_t slot);

// The kernel's number of a socket; 0: not one.
std::uint64_t net_inode_of(std::int64_t fd);

// --- what the rules say ---

inline constexpr std::uint16_t kFamilyUnspecified = 0, kFamilyUnix = 1, kFamilyInet = 2, kFamilyInet6 = 10;
// struct sockaddr_in, sockaddr_in6.
union NetAddress {
  struct {
    std::uint16_t family, port;  // port: big-endian
    std::uint8_t address4[4];
  };
  struct {
    std::uint16_t family6, port6;
    std::uint32_t flow;
    std::uint8_t address6[16];
    std::uint32_t scope;
  };
  std::uint8_t bytes[128];
};
std::uint16_t port_of(const NetAddress& address);

struct Judgement {
  netshield::Protection protection;
  std::uint16_t rule;
  const char* reason;
};
Judgement judge_serving(std::uint16_t port);
Judgement judge_connecting(const NetAddress& address);

// One line on standard error, "casemate: net: WHAT [ADDRESS]: REASON", unless the run is quiet or had too many of them.
void net_log(const char* what, const NetAddress* address, const char* reason);

}  // namespace casemate::runtime
