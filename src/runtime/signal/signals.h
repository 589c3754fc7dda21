// Program-visible signal state. The kernel's own actions are: SIG_DFL and SIG_IGN where the program has these (so
// job control, core dumps, exec inheritance are the kernel's), our handler where the program has a handler, and always
// our handler for the signals the runtime needs.
#pragma once

#include <atomic>
#include <cstdint>

#include "runtime/abi/signal_abi.h"
#include "runtime/intercept/lock.h"
#include "runtime/intercept/thread.h"

namespace casemate::runtime {

inline constexpr int kSigIll = 4, kSigTrap = 5, kSigBus = 7, kSigFpe = 8, kSigSegv = 11, kSigSys = 31;
// Raised by instructions.
inline constexpr std::uint64_t kSynchronousSignals = signal_bit(kSigIll) | signal_bit(kSigTrap) | signal_bit(kSigBus) |
                                                     signal_bit(kSigFpe) | signal_bit(kSigSegv) | signal_bit(kSigSys);
// Always handled by us: the trap itself, fault-fixed copies, patch protocol.
inline constexpr std::uint64_t kRuntimeSignals =
    signal_bit(kSigTrap) | signal_bit(kSigBus) | signal_bit(kSigSegv) | signal_bit(kSigSys);
// In force while a signal waits for its delivery.
inline constexpr std::uint64_t kDeferMask = ~kRuntimeSignals;

struct SignalActions {
  Lock lock;
  std::atomic<std::uint32_t> references;
  KernelSigAction action[kSignalCount + 1];
};

SignalActions* actions_create(const SignalActions* copied_from);
void actions_release(SignalActions* actions);
// In the child of fork, whose only task uses `used`.
void actions_after_fork(SignalActions& used);

// At boot: installs our handlers. `ignored_runtime_signals`: of kRuntimeSignals, those the program inherits as ignored.
void signals_boot(Thread& thread, std::uint64_t ignored_runtime_signals);
// A new task: kernel signal stack of this thread.
void signals_arm_thread(Thread& thread);

// What is in force for deciding whether a signal of kRuntimeSignals reaches the program now.
inline std::uint64_t virtual_mask(const Thread& thread) {
  return thread.has_temporary_mask != 0 ? (thread.temporary_mask & kRuntimeSignals) : thread.virtually_blocked;
}
// Moves held signals that are no longer blocked to the pending ones. Call on the runtime stack.
void release_held_signals(Thread& thread);
// CLONE_CLEAR_SIGHAND: handlers become defaults, in the table and in the kernel. In the new task.
void actions_clear_handlers(SignalActions& actions);

// Held signals that are no longer blocked become pending in the kernel, which delivers them when it installs the
// program's mask. Only while block_signals() is in force.
void requeue_released_signals(Thread& thread);

// Blocks all signals, so that nothing is recorded until they are unblocked; returns the kernel's mask before, which is
// the program's unless a signal is pending already. The program's memory must not be touched meanwhile: a fault kills.
std::uint64_t block_signals();
// Ends block_signals(): installs `mask`, or, when a signal is pending, leaves it to the delivery.
void unblock_signals(Thread& thread, std::uint64_t mask);
// The program's mask: the kernel's part and the virtual part.
void restore_signals(Thread& thread, std::uint64_t mask);

// Before an exec that cannot fail: dispositions and mask as the program believes they are.
std::uint64_t signals_before_exec(Thread& thread);

}  // namespace casemate::runtime
