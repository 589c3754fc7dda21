#include "runtime/netshield/arena.h"

#include <linux/futex.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "runtime/engine/process/host_call.h"
#include "runtime/intercept/line.h"
#include "runtime/netshield/net.h"

namespace casemate::runtime {

using netshield::Arena;
using netshield::Decision;
using netshield::Member;
using netshield::Protection;
using netshield::SharedLock;
using netshield::Slot;
using netshield::SlotState;

namespace {

inline constexpr std::uint32_t kWaiters = 0x80000000;
inline constexpr long kEtimedout = -110, kEsrch = -3;
inline constexpr long kSolSocket = 1, kSoType = 3, kSoAcceptConn = 30, kSoDomain = 39;
inline constexpr int kStream = 1;
inline constexpr std::uint32_t kMostLines = 64;

constinit Arena* g_arena = nullptr;
constinit std::atomic<std::uint32_t> g_lines{0};

Member* member_of(const Thread& thread) {
  const std::uint32_t member = thread.descriptors->net_member;
  return member < netshield::kMemberCount ? &g_arena->members[member] : nullptr;
}

std::atomic<std::uint32_t>* word_of(const Thread& thread, std::int64_t fd) {
  Member* const member = member_of(thread);
  if (member == nullptr || fd < 0 || fd >= netshield::kWordCount) return nullptr;
  return &member->words[fd];
}

void raise_limit(const Thread& thread, std::int64_t fd) {
  std::atomic<std::uint32_t>& limit = member_of(thread)->limit;
  const auto wanted = static_cast<std::uint32_t>(fd) + 1;
  std::uint32_t seen = limit.load(std::memory_order_relaxed);
  while (seen < wanted && !limit.compare_exchange_weak(seen, wanted)) {
  }
}

NetLook connection_look(std::uint32_t slot) {
  return {NetKind::kConnection, slot, g_arena->slots[slot].generation.load(std::memory_order_acquire)};
}

NetLook read_word(std::uint32_t word) {
  if (is_connection_word(word)) return connection_look(word & (netshield::kSlotCount - 1));
  if ((word & netshield::kWordListener) != 0) return {NetKind::kListener, word & netshield::kWordValue, 0};
  if (word == netshield::kWordDatagram) return {NetKind::kDatagram, 0, 0};
  if (word == netshield::kWordLocal) return {NetKind::kLocal, 0, 0};
  return {NetKind::kOther, 0, 0};
}

int option_of(std::int64_t fd, long name) {
  int value = 0;
  unsigned size = sizeof(value);
  const long error =
      host_call(SYS_getsockopt, fd, kSolSocket, name, reinterpret_cast<long>(&value), reinterpret_cast<long>(&size));
  return is_error(error) ? -1 : value;
}

long address_of(std::int64_t fd, long call, NetAddress& address) {
  unsigned size = sizeof(address);
  return host_call(call, fd, reinterpret_cast<long>(&address), reinterpret_cast<long>(&size));
}

// A slot of this inode with one more reference, or kNoNetSlot.
std::uint32_t reference_by_inode(std::uint64_t inode) {
  std::uint32_t found = kNoNetSlot;
  shared_acquire(g_arena->index_lock);
  std::uint32_t at = g_arena->buckets[netshield::bucket_of(inode)].load(std::memory_order_acquire);
  for (std::uint32_t looked = 0; at != 0 && at <= netshield::kSlotCount && looked < netshield::kSlotCount; ++looked) {
    Slot& slot = g_arena->slots[at - 1];
    if (slot.inode.load(std::memory_order_relaxed) == inode) {
      std::uint32_t references = slot.references.load();
      while (references != 0 && !slot.references.compare_exchange_weak(references, references + 1)) {
      }
      if (references != 0) found = at - 1;
      break;
    }
    at = slot.next.load(std::memory_order_acquire);
  }
  shared_release(g_arena->index_lock);
  return found;
}

// A reference that came with a message is this one now.
void settle_message(Slot& slot) {
  std::uint32_t flying = slot.in_flight.load();
  while (flying != 0) {
    if (slot.in_flight.compare_exchange_weak(flying, flying - 1)) {
      slot.references.fetch_sub(1);
      return;
    }
  }
}

NetLook look_for_connection(const Thread& thread, std::int64_t fd, std::uint64_t inode, bool& found) {
  const std::uint32_t index = reference_by_inode(inode);
  found = index != kNoNetSlot;
  if (!found) return {};
  std::atomic<std::uint32_t>* const word = word_of(thread, fd);
  std::uint32_t unknown = netshield::kWordUnknown;
  if (word != nullptr) raise_limit(thread, fd);
  if (word != nullptr && word->compare_exchange_strong(unknown, netshield::kWordConnection | index)) {
    settle_message(g_arena->slots[index]);
  } else {
    g_arena->slots[index].references.fetch_sub(1);  // somebody else has found it, and refers to it
  }
  return connection_look(index);
}

// Accepted a moment ago by a thread of another process that shares the description, and on its way into the index; or
// ended already, by a process that is about to end, too.
NetLook await_connection(const Thread& thread, std::int64_t fd, std::uint64_t inode) {
  bool found = false;
  for (unsigned attempt = 0; attempt < 10000 && thread.descriptors->net_member != kNoMember; ++attempt) {
    const NetLook look = look_for_connection(thread, fd, inode, found);
    if (found) return look;
    host_call(SYS_sched_yield);
  }
  return {NetKind::kDenied, 0, 0};
}

NetLook look_at_tcp(const Thread& thread, std::int64_t fd, std::uint64_t inode, std::uint32_t& word) {
  NetAddress own{}, peer{};
  const bool is_bound = address_of(fd, SYS_getsockname, own) == 0;
  if (option_of(fd, kSoAcceptConn) == 1) {
    const Judgement judged = judge_serving(is_bound ? port_of(own) : 0);
    if (judged.protection == Protection::kDeny) return {NetKind::kDenied, 0, 0};
    word = judged.protection == Protection::kTlsServer ? netshield::kWordListener | judged.rule : netshield::kWordOther;
    return read_word(word);
  }
  if (address_of(fd, SYS_getpeername, peer) != 0) return {NetKind::kUnsettled, 0, 0};
  const bool is_served = is_bound && g_arena->ports[port_of(own)].protection == Protection::kTlsServer;
  if (is_served || judge_connecting(peer).protection == Protection::kTlsClient) {
    return await_connection(thread, fd, inode);
  }
  word = netshield::kWordOther;
  return {NetKind::kOther, 0, 0};
}

NetLook find_out(const Thread& thread, std::int64_t fd) {
  struct stat status;
  if (host_call(SYS_fstat, fd, reinterpret_cast<long>(&status)) != 0) return {NetKind::kOther, 0, 0};
  std::uint32_t word = netshield::kWordOther;
  NetLook look{NetKind::kOther, 0, 0};
  if (S_ISSOCK(status.st_mode)) {
    bool found = false;
    const NetLook connection = look_for_connection(thread, fd, status.st_ino, found);
    if (found) return connection;
    const int domain = option_of(fd, kSoDomain);
    const bool is_internet = domain == kFamilyInet || domain == kFamilyInet6;
    if (is_internet && option_of(fd, kSoType) == kStream) {
      word = netshield::kWordUnknown;
      look = look_at_tcp(thread, fd, status.st_ino, word);
    } else if (is_internet) {
      word = netshield::kWordDatagram;
    } else if (domain == kFamilyUnix) {
      word = netshield::kWordLocal;
    }
    if (word != netshield::kWordUnknown) look = read_word(word);
  }
  std::atomic<std::uint32_t>* const place = word_of(thread, fd);
  std::uint32_t unknown = netshield::kWordUnknown;
  if (word != netshield::kWordUnknown && place != nullptr) {
    raise_limit(thread, fd);
    place->compare_exchange_strong(unknown, word);
  }
  return look;
}

void put_address(Line& line, const NetAddress& address) {
  const bool is_mapped = address.family == kFamilyInet6 && address.address6[10] == 0xff && address.address6[0] == 0;
  if (address.family == kFamilyInet || is_mapped) {
    const std::uint8_t* const bytes = is_mapped ? address.address6 + 12 : address.address4;
    for (int i = 0; i < 4; ++i) line.text(i == 0 ? "" : ".").number(bytes[i]);
  } else {
    line.text("[");
    for (int i = 0; i < 16; i += 2) {
      line.text(i == 0 ? "" : ":").hex(static_cast<std::uint64_t>(address.address6[i]) << 8 | address.address6[i + 1]);
    }
    line.text("]");
  }
  line.text(":").number(port_of(address));
}

bool is_destination(const netshield::Destination& entry, std::uint16_t port, const std::uint8_t (&address)[16]) {
  return entry.port == port && entry.is_any == 0 && __builtin_memcmp(entry.address, address, sizeof(address)) == 0;
}

}  // namespace

Arena& net_arena() { return *g_arena; }
void net_arena_set(Arena* arena) { g_arena = arena; }

NetLook net_look(const Thread& thread, std::int64_t fd) {
  if (fd < 0) return {NetKind::kOther, 0, 0};
  const std::atomic<std::uint32_t>* const word = word_of(thread, fd);
  const std::uint32_t seen = word == nullptr ? netshield::kWordUnknown : word->load(std::memory_order_acquire);
  return seen != netshield::kWordUnknown ? read_word(seen) : find_out(thread, fd);
}

void net_set_word(const Thread& thread, std::int64_t fd, std::uint32_t value) {
  std::atomic<std::uint32_t>* const word = word_of(thread, fd);
  if (word == nullptr) return;
  raise_limit(thread, fd);
  word->store(value, std::memory_order_release);
}

std::uint32_t net_take_word(const Thread& thread, std::int64_t fd) {
  std::atomic<std::uint32_t>* const word = word_of(thread, fd);
  if (word == nullptr || word->load(std::memory_order_relaxed) == netshield::kWordUnknown) return 0;
  return word->exchange(netshield::kWordUnknown, std::memory_order_acq_rel);
}

void net_copy_word(const Thread& thread, std::int64_t from, std::int64_t to) {
  const NetLook look = net_look(thread, from);
  const std::atomic<std::uint32_t>* const source = word_of(thread, from);
  if (source == nullptr || look.kind == NetKind::kUnsettled || look.kind == NetKind::kDenied) return;
  const std::uint32_t word = source->load();
  if (is_connection_word(word)) net_arena().slots[word & netshield::kWordValue].references.fetch_add(1);
  net_set_word(thread, to, word);
}

std::uint64_t net_inode_of(std::int64_t fd) {
  struct stat status;
  if (host_call(SYS_fstat, fd, reinterpret_cast<long>(&status)) != 0 || !S_ISSOCK(status.st_mode)) return 0;
  return status.st_ino;
}

Acquired shared_acquire(SharedLock& lock) {
  const auto self = static_cast<std::uint32_t>(current_thread().tid);
  for (;;) {
    std::uint32_t seen = 0;
    if (lock.word.compare_exchange_strong(seen, self, std::memory_order_acquire)) return Acquired::kFree;
    const std::uint32_t owner = seen & ~kWaiters;
    if ((seen & kWaiters) == 0 && !lock.word.compare_exchange_strong(seen, seen | kWaiters)) continue;
    struct {
      long seconds, nanoseconds;
    } limit{1, 0};
    const long waited = host_call(SYS_futex, reinterpret_cast<long>(&lock.word), FUTEX_WAIT,
                                  static_cast<long>(owner | kWaiters), reinterpret_cast<long>(&limit));
    if (waited == kEtimedout && host_call(SYS_tkill, owner, 0) == kEsrch) {
      std::uint32_t dead = owner | kWaiters;
      if (lock.word.compare_exchange_strong(dead, self | kWaiters, std::memory_order_acquire)) return Acquired::kRobbed;
    }
    // Whoever woke must assume that others still wait.
    std::uint32_t free = 0;
    if (lock.word.compare_exchange_strong(free, self | kWaiters, std::memory_order_acquire)) return Acquired::kFree;
  }
}

void shared_release(SharedLock& lock) {
  if ((lock.word.exchange(0, std::memory_order_release) & kWaiters) == 0) return;
  host_call(SYS_futex, reinterpret_cast<long>(&lock.word), FUTEX_WAKE, 1);
}

std::uint32_t net_allocate_slot() {
  std::uint64_t head = g_arena->free_slots.load();
  while (static_cast<std::uint32_t>(head) != 0) {
    const std::uint32_t index = static_cast<std::uint32_t>(head) - 1;
    const std::uint64_t next = g_arena->slots[index].next.load(std::memory_order_relaxed);
    const std::uint64_t tag = (head >> 32) + 1;
    if (g_arena->free_slots.compare_exchange_weak(head, (tag << 32) | next)) return index;
  }
  std::uint32_t end = g_arena->slots_end.load();
  while (end < netshield::kSlotCount) {
    if (g_arena->slots_end.compare_exchange_weak(end, end + 1)) return end;
  }
  return kNoNetSlot;
}

void net_index_insert(std::uint32_t index) {
  Slot& slot = g_arena->slots[index];
  std::atomic<std::uint32_t>& bucket = g_arena->buckets[netshield::bucket_of(slot.inode.load())];
  shared_acquire(g_arena->index_lock);
  slot.next.store(bucket.load(), std::memory_order_relaxed);
  bucket.store(index + 1, std::memory_order_release);
  shared_release(g_arena->index_lock);
}

void net_index_remove(std::uint32_t index) {
  shared_acquire(g_arena->index_lock);
  netshield::unlink_slot(*g_arena, index);
  shared_release(g_arena->index_lock);
}

std::uint16_t port_of(const NetAddress& address) { return __builtin_bswap16(address.port); }

Judgement judge_serving(std::uint16_t port) {
  const Decision& named = g_arena->ports[port];
  const Decision& decision = named.protection == Protection::kUnset ? g_arena->serve : named;
  return {decision.protection, decision.rule, g_arena->serve_reason};
}

Judgement judge_connecting(const NetAddress& address) {
  std::uint8_t mapped[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0};
  if (address.family == kFamilyInet6) __builtin_memcpy(mapped, address.address6, sizeof(mapped));
  if (address.family == kFamilyInet) __builtin_memcpy(mapped + 12, address.address4, 4);
  const std::uint16_t port = port_of(address);
  const netshield::Destination* any = nullptr;
  for (std::uint32_t i = 0; i < g_arena->destination_count && i < netshield::kMostDestinations; ++i) {
    const netshield::Destination& entry = g_arena->destinations[i];
    if (is_destination(entry, port, mapped)) return {entry.decision.protection, entry.decision.rule, entry.reason};
    if (entry.port == port && entry.is_any != 0) any = &entry;
  }
  if (any != nullptr) return {any->decision.protection, any->decision.rule, any->reason};
  return {g_arena->connect.protection, g_arena->connect.rule, g_arena->connect_reason};
}

void net_log(const char* what, const NetAddress* address, const char* reason) {
  const std::uint32_t lines = g_lines.fetch_add(1, std::memory_order_relaxed);
  if (lines > kMostLines) return;
  Line line;
  line.text("casemate: net: ").text(what);
  if (address != nullptr) put_address(line.text(" "), *address);
  line.text(": ").text(reason).text("\n");
  if (lines == kMostLines) line.text("casemate: net: further remarks of this process are left out\n");
  diagnose(line.data(), line.size());
}

}  // namespace casemate::runtime
