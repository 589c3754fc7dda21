// Calls that take a signal mask. The signals the runtime needs (kRuntimeSignals) never become blocked in the kernel: a
// trapped call or a fault-fixed copy would kill the process. What the program believes is kept in
// Thread::virtually_blocked; such a signal that arrives meanwhile waits in Thread::held.
#include <sys/syscall.h>

#include "runtime/engine/process/host_call.h"
#include "runtime/intercept/dispatch.h"
#include "runtime/memory/guest.h"
#include "runtime/signal/signals.h"

namespace casemate::runtime {
namespace {

inline constexpr long kEintr = -4;

enum class MaskUse { kTemporary, kOther };

// The call waits with `mask` (which `arguments` point to) in force.
long wait_with_mask(Thread& thread, Regs& regs, std::uint64_t (&arguments)[6], std::uint64_t& mask) {
  thread.temporary_mask = mask;
  thread.has_temporary_mask = 1;
  mask &= ~kRuntimeSignals;
  if (thread.held_count != 0) {
    release_held_signals(thread);
    if (thread.pending_count != 0) return kEintr;  // a held signal ends the wait before it begins
  }
  const long result = pass_arguments(regs.original_rax, arguments);
  if (thread.pending_count == 0 || result == kRestartCall) thread.has_temporary_mask = 0;
  return result;
}

// Copies the program's mask for argument `index` and calls with the cleaned copy.
long call_with_mask(Thread& thread, Regs& regs, unsigned index, MaskUse use) {
  std::uint64_t arguments[6];
  for (unsigned i = 0; i < 6; ++i) arguments[i] = call_argument(regs, i);
  std::uint64_t mask = 0;
  if (arguments[index] != 0) {
    if (const long error = read_guest(mask, guest(arguments[index])); error != 0) return error;
    arguments[index] = reinterpret_cast<std::uint64_t>(&mask);
    if (use == MaskUse::kTemporary) return wait_with_mask(thread, regs, arguments, mask);
    mask &= ~kRuntimeSignals;
  }
  return pass_arguments(regs.original_rax, arguments);
}

}  // namespace

long sys_rt_sigprocmask(Thread& thread, Regs& regs) {
  if (regs.r10 != 8) return -22;
  std::uint64_t mask = 0, old = 0;
  std::uint64_t arguments[6] = {regs.rdi, 0, reinterpret_cast<std::uint64_t>(&old), 8, 0, 0};
  const std::uint64_t was = thread.virtually_blocked;
  std::uint64_t now = was;
  if (regs.rsi != 0) {
    if (const long error = read_guest(mask, guest(regs.rsi)); error != 0) return error;
    const std::uint64_t named = mask & kRuntimeSignals;
    const auto how = static_cast<int>(regs.rdi);
    now = how == 0 ? (was | named) : how == 1 ? (was & ~named) : named;
    mask &= ~kRuntimeSignals;
    arguments[1] = reinterpret_cast<std::uint64_t>(&mask);
  }
  // Before the call: a signal that the new mask lets in is recorded with it.
  thread.virtually_blocked = now;
  const long result = pass_arguments(regs.original_rax, arguments);
  if (result != 0) {
    thread.virtually_blocked = was;
    return result;
  }
  old |= was;
  return regs.rdx != 0 ? write_guest(guest(regs.rdx), old) : 0;
}

long sys_rt_sigsuspend(Thread& thread, Regs& regs) { return call_with_mask(thread, regs, 0, MaskUse::kTemporary); }
long sys_ppoll(Thread& thread, Regs& regs) { return call_with_mask(thread, regs, 3, MaskUse::kTemporary); }
long sys_epoll_pwait(Thread& thread, Regs& regs) { return call_with_mask(thread, regs, 4, MaskUse::kTemporary); }
long sys_epoll_pwait2(Thread& thread, Regs& regs) { return call_with_mask(thread, regs, 4, MaskUse::kTemporary); }

namespace {

// Takes one held signal that is in `set`. False when there is none.
bool take_held(Thread& thread, std::uint64_t set, SigInfo& info) {
  const std::uint64_t mask = block_signals() | thread.virtually_blocked;
  std::uint32_t i = 0;
  while (i < thread.held_count && (set & signal_bit(thread.held[i].info.signal)) == 0) ++i;
  const bool found = i < thread.held_count;
  if (found) {
    info = thread.held[i].info;
    thread.held[i] = thread.held[--thread.held_count];
  }
  unblock_signals(thread, mask);
  return found;
}

}  // namespace

// A held signal among those waited for is taken at once; its siginfo goes to argument 1.
long sys_rt_sigtimedwait(Thread& thread, Regs& regs) {
  std::uint64_t set = 0;
  SigInfo info;
  if (thread.held_count != 0 && read_guest(set, guest(regs.rdi)) == 0 && take_held(thread, set, info)) {
    if (regs.rsi != 0 && write_guest(guest(regs.rsi), info) != 0) return -14;
    return info.signal;
  }
  return call_with_mask(thread, regs, 0, MaskUse::kOther);
}

long sys_rt_sigpending(Thread& thread, Regs& regs) {
  const long result = pass_through(thread, regs);
  std::uint64_t set = 0;
  if (result != 0 || thread.held_count == 0 || regs.rsi > 8) return result;
  if (read_guest(set, guest(regs.rdi)) != 0) return -14;
  for (std::uint32_t i = 0; i < thread.held_count; ++i) set |= signal_bit(thread.held[i].info.signal);
  return copy_to_guest(guest(regs.rdi), &set, regs.rsi);
}

long sys_signalfd(Thread& thread, Regs& regs) { return call_with_mask(thread, regs, 1, MaskUse::kOther); }
long sys_signalfd4(Thread& thread, Regs& regs) { return call_with_mask(thread, regs, 1, MaskUse::kOther); }

namespace {

// pselect6 and io_pgetevents: the last argument points to a mask's address and size.
long call_with_indirect_mask(Thread& thread, Regs& regs) {
  struct MaskArgument {
    std::uint64_t mask, size;
  } argument{};
  std::uint64_t mask = 0;
  std::uint64_t arguments[6];
  for (unsigned i = 0; i < 6; ++i) arguments[i] = call_argument(regs, i);
  if (regs.r9 != 0) {
    if (const long error = read_guest(argument, guest(regs.r9)); error != 0) return error;
    if (argument.mask != 0) {
      if (const long error = read_guest(mask, guest(argument.mask)); error != 0) return error;
      argument.mask = reinterpret_cast<std::uint64_t>(&mask);
    }
    arguments[5] = reinterpret_cast<std::uint64_t>(&argument);
    if (argument.mask != 0) return wait_with_mask(thread, regs, arguments, mask);
  }
  return pass_arguments(regs.original_rax, arguments);
}

}  // namespace

long sys_pselect6(Thread& thread, Regs& regs) { return call_with_indirect_mask(thread, regs); }
long sys_io_pgetevents(Thread& thread, Regs& regs) { return call_with_indirect_mask(thread, regs); }

}  // namespace casemate::runtime
