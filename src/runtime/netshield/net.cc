// What happens to connections when processes begin, become others, and end.
#include "runtime/netshield/net.h"

#include <fcntl.h>
#include <linux/mman.h>
#include <sys/syscall.h>

#include "runtime/engine/process/host_call.h"
#include "runtime/netshield/connection.h"
#include "runtime/netshield/vectors.h"

namespace casemate::runtime {

using netshield::Arena;
using netshield::Member;
using netshield::MemberState;
using netshield::MessageKind;

namespace {

inline constexpr int kExitOwnFailure = 125;

std::uint32_t claim_member() {
  Arena& arena = net_arena();
  for (std::uint32_t i = 0; i < netshield::kMemberCount; ++i) {
    MemberState free = MemberState::kFree;
    if (arena.members[i].state.load(std::memory_order_relaxed) != MemberState::kFree) continue;
    if (!arena.members[i].state.compare_exchange_strong(free, MemberState::kTaken)) continue;
    arena.members[i].generation.fetch_add(1);
    return i;
  }
  return kNoMember;
}

Member& member_of(const Thread& thread) { return net_arena().members[thread.descriptors->net_member]; }

// Calls `change(fd, word)` for each descriptor of which something is known.
template <typename Change>
void for_each_word(Member& member, Change change) {
  const std::uint32_t limit = member.limit.load(std::memory_order_acquire);
  for (std::uint32_t fd = 0; fd < limit && fd < netshield::kWordCount; ++fd) {
    const std::uint32_t word = member.words[fd].load(std::memory_order_relaxed);
    if (word != netshield::kWordUnknown) change(fd, word);
  }
}

// What exec left: connections whose descriptors are still open stay, everything else is looked up anew.
void take_over(Thread& thread, std::uint32_t index) {
  thread.descriptors->net_member = index;
  for_each_word(member_of(thread), [&](std::uint32_t fd, std::uint32_t word) {
    const bool is_same =
        is_connection_word(word) && net_inode_of(fd) == net_arena().slots[word & netshield::kWordValue].inode;
    if (!is_same) net_release_word(thread, net_take_word(thread, fd), fd);
  });
}

[[noreturn]] void give_up(const char* what, const char* detail) { fail(what, detail, kExitOwnFailure); }

}  // namespace

void net_boot(Thread& thread, const LaunchState& state) {
  if (!vectors_boot()) give_up("the network shield needs a processor with AES instructions", nullptr);
  const long mapped =
      host_call(SYS_mmap, 0, sizeof(Arena), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, state.net_arena_fd, 0);
  if (is_error(mapped)) give_up("no address space for the network shield", "a limit (ulimit -v) may forbid it");
  protect_range(static_cast<std::uint64_t>(mapped), (sizeof(Arena) + 4095) & ~std::uint64_t{4095});
  net_arena_set(reinterpret_cast<Arena*>(mapped));
  const Arena& arena = net_arena();
  if (arena.magic != netshield::kArenaMagic || arena.version != netshield::kArenaVersion) {
    give_up("the network shield's memory is not what it should be", "install all executables together");
  }
  host_call(SYS_fcntl, state.net_fd, F_SETFD, FD_CLOEXEC);
  host_call(SYS_fcntl, state.net_arena_fd, F_SETFD, FD_CLOEXEC);
  if (state.net_member < netshield::kMemberCount) {
    take_over(thread, state.net_member);
    return;
  }
  thread.descriptors->net_member = claim_member();
  net_join(thread);
}

std::uint32_t net_copy_member(const Thread& parent) {
  const std::uint32_t index = claim_member();
  if (index == kNoMember || parent.descriptors->net_member == kNoMember) return kNoMember;
  Member& copy = net_arena().members[index];
  for_each_word(member_of(parent), [&](std::uint32_t fd, std::uint32_t word) {
    if (!is_connection_word(word)) return;  // the others are found out when they are used
    net_arena().slots[word & netshield::kWordValue].references.fetch_add(1);
    copy.words[fd].store(word, std::memory_order_relaxed);
    copy.limit.store(fd + 1, std::memory_order_release);
  });
  return index;
}

void net_drop_member(Thread& thread, std::uint32_t index) {
  if (index == kNoMember) return;
  Member& member = net_arena().members[index];
  for_each_word(member, [&](std::uint32_t fd, std::uint32_t) {
    net_release_word(thread, member.words[fd].exchange(netshield::kWordUnknown), fd);
  });
  member.limit.store(0, std::memory_order_relaxed);
  member.state.store(MemberState::kFree, std::memory_order_release);
}

void net_join(const Thread& thread) {
  const auto pid = static_cast<std::uint64_t>(host_call(SYS_getpid));
  net_arena().pids[(pid / 64) % 65536].fetch_or(std::uint64_t{1} << (pid % 64));
  const std::uint32_t member = thread.descriptors->net_member;
  if (member == kNoMember) return;
  const std::uint32_t generation = net_arena().members[member].generation.load();
  static_cast<void>(net_tell_keeper(thread, {MessageKind::kJoin, member, generation, 0}, -1));
}

void net_before_exec(Thread& thread) {
  for_each_word(member_of(thread), [&](std::uint32_t fd, std::uint32_t word) {
    if (!is_connection_word(word)) return;
    const long flags = host_call(SYS_fcntl, fd, F_GETFD);
    if (!is_error(flags) && (flags & FD_CLOEXEC) != 0) net_release_word(thread, net_take_word(thread, fd), fd);
  });
}

void net_fill_launch(const Thread& thread, LaunchState& state) {
  state.net_fd = thread.descriptors->own[kNetFd];
  state.net_arena_fd = thread.descriptors->own[kNetArenaFd];
  state.net_member = thread.descriptors->net_member;
}

void net_before_end(Thread& thread) {
  const std::uint32_t member = thread.descriptors->net_member;
  thread.descriptors->net_member = kNoMember;
  net_drop_member(thread, member);
}

}  // namespace casemate::runtime
