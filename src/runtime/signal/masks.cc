// Calls that take a signal mask. SIGSYS never becomes blocked in the kernel: a trapped call with SIGSYS blocked would
// kill the process. The program's belief is kept in Thread::sigsys_blocked.
#include <sys/syscall.h>

#include "runtime/engine/process/host_call.h"
#include "runtime/intercept/dispatch.h"
#include "runtime/memory/guest.h"
#include "runtime/signal/signals.h"

namespace casemate::runtime {
namespace {

inline constexpr std::uint64_t kSysBit = signal_bit(kSigSys);

enum class MaskUse { kTemporary, kOther };

// Copies the program's mask for argument `index` and calls with the cleaned copy.
long call_with_mask(Thread& thread, Regs& regs, unsigned index, MaskUse use) {
  std::uint64_t arguments[6];
  for (unsigned i = 0; i < 6; ++i) arguments[i] = call_argument(regs, i);
  std::uint64_t mask = 0;
  if (arguments[index] != 0) {
    if (const long error = read_guest(mask, guest(arguments[index])); error != 0) return error;
    mask &= ~kSysBit;
    arguments[index] = reinterpret_cast<std::uint64_t>(&mask);
    if (use == MaskUse::kTemporary) {
      thread.temporary_mask = mask;
      thread.has_temporary_mask = 1;
    }
  }
  const long result = pass_arguments(regs.original_rax, arguments);
  if (thread.pending_count == 0 || result == kRestartCall) thread.has_temporary_mask = 0;
  return result;
}

}  // namespace

long sys_rt_sigprocmask(Thread& thread, Regs& regs) {
  if (regs.r10 != 8) return -22;
  std::uint64_t mask = 0, old = 0;
  std::uint64_t arguments[6] = {regs.rdi, 0, reinterpret_cast<std::uint64_t>(&old), 8, 0, 0};
  const bool was_blocked = thread.sigsys_blocked != 0;
  bool blocked = was_blocked;
  if (regs.rsi != 0) {
    if (const long error = read_guest(mask, guest(regs.rsi)); error != 0) return error;
    const bool named = (mask & kSysBit) != 0;
    const auto how = static_cast<int>(regs.rdi);
    blocked = how == 0 ? (was_blocked || named) : how == 1 ? (was_blocked && !named) : named;
    mask &= ~kSysBit;
    arguments[1] = reinterpret_cast<std::uint64_t>(&mask);
  }
  const long result = pass_arguments(regs.original_rax, arguments);
  if (result != 0) return result;
  thread.sigsys_blocked = blocked ? 1 : 0;
  if (was_blocked) old |= kSysBit;
  return regs.rdx != 0 ? write_guest(guest(regs.rdx), old) : 0;
}

long sys_rt_sigsuspend(Thread& thread, Regs& regs) { return call_with_mask(thread, regs, 0, MaskUse::kTemporary); }
long sys_ppoll(Thread& thread, Regs& regs) { return call_with_mask(thread, regs, 3, MaskUse::kTemporary); }
long sys_epoll_pwait(Thread& thread, Regs& regs) { return call_with_mask(thread, regs, 4, MaskUse::kTemporary); }
long sys_epoll_pwait2(Thread& thread, Regs& regs) { return call_with_mask(thread, regs, 4, MaskUse::kTemporary); }
long sys_rt_sigtimedwait(Thread& thread, Regs& regs) { return call_with_mask(thread, regs, 0, MaskUse::kOther); }
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
      mask &= ~kSysBit;
      thread.temporary_mask = mask;
      thread.has_temporary_mask = 1;
      argument.mask = reinterpret_cast<std::uint64_t>(&mask);
    }
    arguments[5] = reinterpret_cast<std::uint64_t>(&argument);
  }
  const long result = pass_arguments(regs.original_rax, arguments);
  if (thread.pending_count == 0 || result == kRestartCall) thread.has_temporary_mask = 0;
  return result;
}

}  // namespace

long sys_pselect6(Thread& thread, Regs& regs) { return call_with_indirect_mask(thread, regs); }
long sys_io_pgetevents(Thread& thread, Regs& regs) { return call_with_indirect_mask(thread, regs); }

}  // namespace casemate::runtime
