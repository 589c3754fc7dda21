#include "keeper/network_arena.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <limits>
#include <set>
#include <string>

#include "netshield/record/cipher_kernels.h"
#include "netshield/tcp_socket.h"

namespace casemate::keeper {
namespace {

using netshield::Arena;
using netshield::Decision;
using netshield::Protection;
using netshield::SharedLock;
using netshield::Slot;
using netshield::SlotState;
using policy::ConnectionQuery;
using policy::NetworkDecision;
using policy::Purpose;
using policy::Transport;

constexpr std::uint32_t kWaiters = 0x80000000;
// Addresses that no rule can name by accident: an address of the "documentation" block.
constexpr const char* kAnyAddress = "192.0.2.255";

long futex(void* word, int operation, std::uint32_t value, const timespec* limit) {
  return syscall(SYS_futex, word, operation, value, limit, nullptr, 0);
}

template <std::size_t kCapacity>
void copy_text(char (&out)[kCapacity], const std::string& text) {
  const std::size_t size = std::min(text.size(), kCapacity - 1);
  std::memcpy(out, text.data(), size);
  out[size] = '\0';
}

Decision to_decision(const NetworkDecision& decision) {
  constexpr Protection kNames[] = {Protection::kTlsServer, Protection::kTlsClient, Protection::kPlain,
                                   Protection::kDeny};
  const std::size_t rule = decision.rule.value_or(0);
  return {kNames[static_cast<std::size_t>(decision.protection)], 0, static_cast<std::uint16_t>(rule)};
}

struct RuleEndpoint {
  std::string host;
  std::uint16_t port = 0;
};

// "TCP:8443", "TCP:db:3306"; a port of 0: not TCP.
RuleEndpoint endpoint_of(const std::string& text) {
  RuleEndpoint endpoint;
  if (!text.starts_with("TCP:")) return endpoint;
  const std::size_t colon = text.rfind(':');
  endpoint.port = static_cast<std::uint16_t>(std::stoul(text.substr(colon + 1)));
  if (colon > 4) endpoint.host = text.substr(4, colon - 4);
  if (endpoint.host.size() > 2 && endpoint.host.front() == '[') {
    endpoint.host = endpoint.host.substr(1, endpoint.host.size() - 2);
  }
  return endpoint;
}

// IPv4 mapped into IPv6. False: no numeric address.
bool to_bytes(const std::string& address, std::uint8_t (&bytes)[16]) {
  if (inet_pton(AF_INET6, address.c_str(), bytes) == 1) return true;
  constexpr std::uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  std::memcpy(bytes, kMapped, sizeof(kMapped));
  return inet_pton(AF_INET, address.c_str(), bytes + 12) == 1;
}

ConnectionQuery query_of(Purpose purpose, Transport transport, std::string address, std::uint16_t port) {
  ConnectionQuery query;
  query.purpose = purpose;
  query.transport = transport;
  query.address = std::move(address);
  query.port = port;
  return query;
}

void add_destination(Arena& arena, const policy::NetworkRules& rules, const std::string& address, std::uint16_t port) {
  if (arena.destination_count == netshield::kMostDestinations) return;
  netshield::Destination& entry = arena.destinations[arena.destination_count];
  entry.port = port;
  entry.is_any = address.empty() ? 1 : 0;
  if (!address.empty() && !to_bytes(address, entry.address)) return;
  const NetworkDecision decision = policy::decide(
      rules, query_of(Purpose::kConnect, Transport::kTcp, address.empty() ? kAnyAddress : address, port));
  entry.decision = to_decision(decision);
  copy_text(entry.reason, decision.reason);
  ++arena.destination_count;
}

void add_local_rule(Arena& arena, const policy::NetworkRule& rule) {
  if (arena.local_rule_count == netshield::kMostLocalRules) return;
  netshield::LocalRule& entry = arena.local_rules[arena.local_rule_count++];
  copy_text(entry.path, rule.endpoint.substr(5));
  entry.protection = rule.is_protected ? Protection::kDeny : Protection::kPlain;  // records need TCP (stream.h)
}

void write_rules(Arena& arena, const policy::NetworkRules& rules) {
  std::set<std::pair<std::string, std::uint16_t>> destinations;
  std::set<std::uint16_t> taken;
  for (std::size_t i = 0; i < rules.network.rules.size(); ++i) {
    const policy::NetworkRule& rule = rules.network.rules[i];
    copy_text(arena.rule_names[i], rule.name);
    if (rule.endpoint.starts_with("unix:")) add_local_rule(arena, rule);
    const RuleEndpoint endpoint = endpoint_of(rule.endpoint);
    if (endpoint.port == 0) continue;
    taken.insert(endpoint.port);
    if (rule.side == policy::RuleSide::kServer) {
      arena.ports[endpoint.port] =
          to_decision(policy::decide(rules, query_of(Purpose::kServe, Transport::kTcp, "", endpoint.port)));
      continue;
    }
    destinations.emplace("", endpoint.port);
    for (const std::string& address : {endpoint.host, rule.destination_ip}) {
      if (!address.empty()) destinations.emplace(address, endpoint.port);
    }
  }
  for (const auto& [address, port] : destinations) add_destination(arena, rules, address, port);
  std::uint16_t unnamed = 1;
  while (taken.contains(unnamed)) ++unnamed;
  const NetworkDecision serve = policy::decide(rules, query_of(Purpose::kServe, Transport::kTcp, "", unnamed));
  const NetworkDecision connect =
      policy::decide(rules, query_of(Purpose::kConnect, Transport::kTcp, kAnyAddress, unnamed));
  const NetworkDecision others =
      policy::decide(rules, query_of(Purpose::kConnect, Transport::kOther, kAnyAddress, unnamed));
  ConnectionQuery local = query_of(Purpose::kConnect, Transport::kUnix, "", 0);
  local.path = "/dev/null/nowhere";
  arena.serve = to_decision(serve);
  arena.connect = to_decision(connect);
  copy_text(arena.serve_reason, serve.reason);
  copy_text(arena.connect_reason, connect.reason);
  copy_text(arena.others_reason, others.reason);
  arena.denies_others = others.protection == policy::Protection::kDeny ? 1 : 0;
  arena.denies_local = policy::decide(rules, local).protection == policy::Protection::kDeny ? 1 : 0;
  arena.rule_count = static_cast<std::uint32_t>(rules.network.rules.size());
}

}  // namespace

Result<std::unique_ptr<NetworkArena>> NetworkArena::create(UniqueFd file, const policy::NetworkRules& rules) {
  if (rules.network.rules.size() > netshield::kMostRules) {
    return Error(ErrorCategory::kUsage, "more than 512 network rules");
  }
  if (ftruncate(file.get(), sizeof(Arena)) != 0 ||
      fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return Error::from_errno("cannot prepare memory for the network shield", errno);
  }
  void* const mapped = mmap(nullptr, sizeof(Arena), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file.get(), 0);
  if (mapped == MAP_FAILED) return Error::from_errno("cannot map memory for the network shield", errno);
  std::unique_ptr<NetworkArena> arena(new NetworkArena(static_cast<Arena*>(mapped)));
  write_rules(arena->arena(), rules);
  arena->arena().version = netshield::kArenaVersion;
  arena->arena().magic = netshield::kArenaMagic;
  return arena;
}

NetworkArena::~NetworkArena() { munmap(arena_, sizeof(Arena)); }

// As runtime/netshield/arena.cc, but for dead holders: those are none of our processes, so after a second we go on.
void NetworkArena::lock(SharedLock& lock) {
  const auto self = static_cast<std::uint32_t>(gettid());
  for (;;) {
    std::uint32_t seen = 0;
    if (lock.word.compare_exchange_strong(seen, self)) return;
    const std::uint32_t waited = seen | kWaiters;
    if (seen != waited && !lock.word.compare_exchange_strong(seen, waited)) continue;
    const timespec limit = {1, 0};
    const bool is_late = futex(&lock.word, FUTEX_WAIT, waited, &limit) != 0 && errno == ETIMEDOUT;
    std::uint32_t free = 0;
    if (lock.word.compare_exchange_strong(free, self | kWaiters)) return;
    if (is_late && free == waited && lock.word.compare_exchange_strong(free, self | kWaiters)) return;
  }
}

void NetworkArena::unlock(SharedLock& lock) {
  if ((lock.word.exchange(0) & kWaiters) != 0) futex(&lock.word, FUTEX_WAKE, 1, nullptr);
}

bool NetworkArena::settle(std::uint32_t index, SlotState state) {
  Slot& slot = arena_->slots[index];
  SlotState shaking = SlotState::kShaking;
  if (!slot.state.compare_exchange_strong(shaking, state)) {
    if (shaking == SlotState::kOrphaned) netshield::free_slot(*arena_, index);
    return false;
  }
  futex(&slot.state, FUTEX_WAKE, std::numeric_limits<int>::max(), nullptr);
  return true;
}

void NetworkArena::open(std::uint32_t index, UniqueFd socket) {
  Slot& slot = arena_->slots[index];
  lock(slot.lock);
  // Closed before it began: it ends in order all the same.
  if (slot.state.load() == SlotState::kOrphaned) {
    static_cast<void>(
        netshield::close_stream({slot.stream, netshield::kKernelCipher, netshield::kTcpSocket, socket.get()}));
  }
  const bool is_open = settle(index, SlotState::kOpen);
  if (is_open) static_cast<void>(netshield::kTcpSocket.set_low_water(socket.get(), slot.stream.low_water));
  socket.reset();
  unlock(slot.lock);
}

void NetworkArena::end_member(std::uint32_t index, std::uint32_t generation) {
  netshield::Member& member = arena_->members[index];
  if (member.state.load() != netshield::MemberState::kTaken || member.generation.load() != generation) return;
  const std::uint32_t limit = std::min(member.limit.load(), netshield::kWordCount);
  for (std::uint32_t fd = 0; fd < limit; ++fd) {
    const std::uint32_t word = member.words[fd].exchange(netshield::kWordUnknown);
    if ((word & netshield::kWordConnection) == 0) continue;
    const std::uint32_t at = word & (netshield::kSlotCount - 1);
    Slot& slot = arena_->slots[at];
    if (slot.references.fetch_sub(1) != 1) continue;
    lock(arena_->index_lock);
    netshield::unlink_slot(*arena_, at);
    unlock(arena_->index_lock);
    SlotState shaking = SlotState::kShaking;
    if (!slot.state.compare_exchange_strong(shaking, SlotState::kOrphaned)) netshield::free_slot(*arena_, at);
  }
  member.limit.store(0);
  member.state.store(netshield::MemberState::kFree);
}

}  // namespace casemate::keeper
