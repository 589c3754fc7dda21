#include "runtime/netshield/local.h"

#include <sys/syscall.h>

#include "runtime/intercept/line.h"

namespace casemate::runtime {

using netshield::Protection;

namespace {

inline constexpr long kEconnrefused = -111, kSolSocket = 1, kPeerCredentials = 17, kSoType = 3, kShutBoth = 2;
inline constexpr int kScmRights = 1, kDatagramType = 2;
inline constexpr std::uint64_t kFamilySize = 2, kPathCapacity = 108;

struct LocalName {
  std::uint16_t family;
  char path[kPathCapacity + 1];  // NUL-terminated; an abstract name begins with a NUL
  std::uint64_t size;            // of the path or name
};

bool read_name(GuestAddr address, std::uint64_t size, LocalName& name) {
  name = LocalName{};
  if (size <= kFamilySize || size > kFamilySize + kPathCapacity) return false;
  std::uint8_t bytes[kFamilySize + kPathCapacity];
  if (copy_from_guest(bytes, address, size) != 0) return false;
  __builtin_memcpy(&name.family, bytes, kFamilySize);
  __builtin_memcpy(name.path, bytes + kFamilySize, size - kFamilySize);
  name.size = size - kFamilySize;
  if (name.path[0] != 0) name.size = __builtin_strlen(name.path);
  return name.family == kFamilyUnix;
}

// FNV-1a; 0 stands for none.
std::uint64_t digest_of(const LocalName& name) {
  std::uint64_t digest = 0xcbf29ce484222325;
  for (std::uint64_t i = 0; i < name.size; ++i) {
    digest = (digest ^ static_cast<std::uint8_t>(name.path[i])) * 0x100000001b3;
  }
  return digest | 1;
}

bool is_noted(const LocalName& name) {
  const std::uint64_t digest = digest_of(name);
  for (const std::atomic<std::uint64_t>& noted : net_arena().local_names) {
    const std::uint64_t seen = noted.load(std::memory_order_relaxed);
    if (seen == digest) return true;
    if (seen == 0) return false;
  }
  return false;
}

// What a rule says of a path; kUnset: none names it.
Protection rule_for(const LocalName& name) {
  for (std::uint32_t i = 0; i < net_arena().local_rule_count && i < netshield::kMostLocalRules; ++i) {
    const netshield::LocalRule& rule = net_arena().local_rules[i];
    if (name.path[0] != 0 && __builtin_strlen(rule.path) == name.size &&
        __builtin_memcmp(rule.path, name.path, name.size) == 0) {
      return rule.protection;
    }
  }
  return Protection::kUnset;
}

long refuse(const LocalName& name, const char* reason, long error) {
  Line line;
  line.text("unix:").text(name.path[0] != 0 ? name.path : name.path + 1);
  net_log(line.c_str(), nullptr, reason);
  return error;
}

bool is_member(std::int32_t fd) {
  struct {
    std::int32_t pid;
    std::uint32_t user, group;
  } peer{};
  unsigned size = sizeof(peer);
  const long error = host_call(SYS_getsockopt, fd, kSolSocket, kPeerCredentials, reinterpret_cast<long>(&peer),
                               reinterpret_cast<long>(&size));
  if (error != 0 || peer.pid <= 0) return false;
  const auto pid = static_cast<std::uint64_t>(peer.pid);
  return (net_arena().pids[(pid / 64) % 65536].load(std::memory_order_relaxed) >> (pid % 64) & 1) != 0;
}

bool has_datagrams(std::int32_t fd) {
  int type = 0;
  unsigned size = sizeof(type);
  host_call(SYS_getsockopt, fd, kSolSocket, kSoType, reinterpret_cast<long>(&type), reinterpret_cast<long>(&size));
  return type == kDatagramType;
}

struct ControlHeader {  // struct cmsghdr
  std::uint64_t size;
  std::int32_t level, type;
};

// Calls `take(fd)` for each descriptor in the control data of a message.
template <typename Take>
void for_each_right(std::uint64_t control, std::uint64_t control_size, Take take) {
  ControlHeader header{};
  for (std::uint64_t at = 0; at + sizeof(header) <= control_size; at += (header.size + 7) & ~std::uint64_t{7}) {
    if (read_guest(header, guest(control + at)) != 0 || header.size < sizeof(header)) return;
    if (header.size > control_size - at) return;
    const bool has_rights = header.level == kSolSocket && header.type == kScmRights;
    for (std::uint64_t place = sizeof(header); has_rights && place + sizeof(std::int32_t) <= header.size;
         place += sizeof(std::int32_t)) {
      std::int32_t fd = -1;
      if (read_guest(fd, guest(control + at + place)) == 0) take(fd);
    }
  }
}

}  // namespace

void net_note_local_name(GuestAddr address, std::uint64_t size) {
  LocalName name;
  if (net_arena().denies_local == 0 || !read_name(address, size, name) || is_noted(name)) return;
  const std::uint64_t digest = digest_of(name);
  for (std::atomic<std::uint64_t>& noted : net_arena().local_names) {
    std::uint64_t none = 0;
    if (noted.compare_exchange_strong(none, digest) || none == digest) return;
  }
}

long net_judge_local_name(GuestAddr address, std::uint64_t size) {
  LocalName name;
  if (net_arena().denies_local == 0 || raw(address) == 0 || !read_name(address, size, name)) return 0;
  const Protection rule = rule_for(name);
  if (rule == Protection::kPlain || (rule == Protection::kUnset && is_noted(name))) return 0;
  return refuse(name, "no rule names it, and no process of the application has bound it", kNetEacces);
}

long net_judge_local_peer(std::int32_t fd, GuestAddr address, std::uint64_t size, long result) {
  if (result < 0 || net_arena().denies_local == 0) return result;
  LocalName name;
  const bool has_name = read_name(address, size, name);
  const Protection rule = has_name ? rule_for(name) : Protection::kUnset;
  if (rule == Protection::kPlain || (rule == Protection::kUnset && is_member(fd))) return result;
  host_call(SYS_shutdown, fd, kShutBoth);
  return refuse(name, "no rule names it, and the process at its other end is none of the application", kEconnrefused);
}

bool net_is_local_datagram(std::int32_t fd) { return has_datagrams(fd); }

void net_note_departing(const Thread& thread, std::uint64_t control, std::uint64_t size, Departure departure) {
  for_each_right(control, size, [&](std::int32_t fd) {
    const NetLook look = net_look(thread, fd);
    if (look.kind != NetKind::kConnection) return;
    netshield::Slot& slot = net_arena().slots[look.value];
    if (departure == Departure::kGoes) {
      slot.references.fetch_add(1);
      slot.in_flight.fetch_add(1);
    } else {
      slot.in_flight.fetch_sub(1);
      slot.references.fetch_sub(1);  // the word of `fd` is another one
    }
  });
}

void net_note_arrived(const Thread& thread, std::uint64_t control, std::uint64_t size) {
  for_each_right(control, size, [&](std::int32_t fd) {
    net_release_word(thread, net_take_word(thread, fd), fd);
    static_cast<void>(net_look(thread, fd));
  });
}

}  // namespace casemate::runtime
