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
// Raised by instructions: never masked while the runtime works.
inline constexpr std::uint64_t kSynchronousSignals = signal_bit(kSigIll) | signal_bit(kSigTrap) | signal_bit(kSigBus) |
                                                     signal_bit(kSigFpe) | signal_bit(kSigSegv) | signal_bit(kSigSys);
// Always handled by us: the trap itself, fault-fixed copies, patch protocol.
inline constexpr std::uint64_t kRuntimeSignals =
    signal_bit(kSigTrap) | signal_bit(kSigBus) | signal_bit(kSigSegv) | signal_bit(kSigSys);
inline constexpr std::uint64_t kDeferMask = ~kSynchronousSignals;

struct SignalActions {
  Lock lock;
  std::atomic<std::uint32_t> references;
  KernelSigAction action[kSignalCount + 1];
};

SignalActions* actions_create(const SignalActions* copied_from);
void actions_release(SignalActions* actions);

// At boot: installs our handlers. `ignored_runtime_signals`: of kRuntimeSignals, those the program inherits as ignored.
void signals_boot(Thread& thread, std::uint64_t ignored_runtime_signals);
// A new task: kernel signal stack of this thread.
void signals_arm_thread(Thread& thread);

// Blocks all but synchronous signals; returns the mask that was in force for the program.
std::uint64_t block_signals();
void restore_signals(std::uint64_t mask);

// Before an exec that cannot fail: dispositions and mask as the program believes they are.
std::uint64_t signals_before_exec(Thread& thread);

}  // namespace casemate::runtime
