// rt_sigaction and the kernel actions behind it.
#include <linux/mman.h>
#include <sys/syscall.h>

#include "runtime/intercept/process.h"
#include "runtime/intercept/table_pool.h"
#include "runtime/memory/guest.h"
#include "runtime/signal/signals.h"

extern "C" void casemate_restorer();
extern "C" void casemate_signal_handler(int, casemate::runtime::SigInfo*, casemate::runtime::UContext*);

namespace casemate::runtime {
namespace {

constinit TablePool<SignalActions> g_tables;

bool ours_always(int signal) { return (kRuntimeSignals & signal_bit(signal)) != 0; }

KernelSigAction kernel_action(int signal, const KernelSigAction& wanted) {
  KernelSigAction action{};
  const bool handled = wanted.handler != kSigDefault && wanted.handler != kSigIgnore;
  if (!handled && !ours_always(signal)) {
    action = wanted;
    action.flags &= ~kSaRestorer;
    action.restorer = 0;
    return action;
  }
  action.handler = reinterpret_cast<std::uint64_t>(&casemate_signal_handler);
  action.restorer = reinterpret_cast<std::uint64_t>(&casemate_restorer);
  // The kernel decides EINTR or restart, child notifications: those flags are the program's.
  action.flags = kSaSigInfo | kSaOnStack | kSaRestorer | (wanted.flags & (kSaRestart | kSaNoCldStop | kSaNoCldWait));
  // An ignored signal natively interrupts nothing.
  if (!handled) action.flags |= kSaRestart;
  // All: a second signal in the middle of the handler would be recorded with the handler's mask as the program's.
  action.mask = ~std::uint64_t{0};
  return action;
}

long install(int signal, const KernelSigAction& wanted) {
  const KernelSigAction action = kernel_action(signal, wanted);
  return host_call(SYS_rt_sigaction, signal, reinterpret_cast<long>(&action), 0, 8);
}

}  // namespace

SignalActions* actions_create(const SignalActions* copied_from) {
  SignalActions* const table = g_tables.claim();
  if (table == nullptr) return nullptr;
  table->lock.reset();
  if (copied_from != nullptr) __builtin_memcpy(table->action, copied_from->action, sizeof(table->action));
  return table;
}

void actions_after_fork(SignalActions& used) { g_tables.keep_only(used); }

void actions_release(SignalActions* actions) { actions->references.fetch_sub(1); }

void signals_boot(Thread& thread, std::uint64_t ignored_runtime_signals) {
  thread.actions = actions_create(nullptr);
  for (int signal = 1; signal <= kSignalCount; ++signal) {
    KernelSigAction& action = thread.actions->action[signal];
    if (ours_always(signal)) {
      action = {};
      if ((ignored_runtime_signals & signal_bit(signal)) != 0) action.handler = kSigIgnore;
      install(signal, action);
    } else {
      host_call(SYS_rt_sigaction, signal, 0, reinterpret_cast<long>(&action), 8);
    }
  }
}

void signals_arm_thread(Thread& thread) {
  KernelStack stack{};
  stack.base = reinterpret_cast<std::uint64_t>(&thread) - kThreadRecordOffset + kSignalStackOffset;
  stack.size = kSignalStackSize;
  host_call(SYS_sigaltstack, reinterpret_cast<long>(&stack), 0);
}

std::uint64_t block_signals() {
  const std::uint64_t all = ~std::uint64_t{0};
  std::uint64_t old = 0;
  host_call(SYS_rt_sigprocmask, 2, reinterpret_cast<long>(&all), reinterpret_cast<long>(&old), 8);
  return old;
}

void restore_signals(Thread& thread, std::uint64_t mask) {
  thread.virtually_blocked = mask & kRuntimeSignals;
  mask &= ~kRuntimeSignals;
  host_call(SYS_rt_sigprocmask, 2, reinterpret_cast<long>(&mask), 0, 8);
}

void unblock_signals(Thread& thread, std::uint64_t mask) {
  if (thread.pending_count == 0) return restore_signals(thread, mask);
  const std::uint64_t deferring = kDeferMask;
  host_call(SYS_rt_sigprocmask, 2, reinterpret_cast<long>(&deferring), 0, 8);
}

void actions_clear_handlers(SignalActions& actions) {
  for (int signal = 1; signal <= kSignalCount; ++signal) {
    KernelSigAction& action = actions.action[signal];
    if (action.handler == kSigDefault || action.handler == kSigIgnore) continue;
    action = {};
    install(signal, action);
  }
}

void release_held_signals(Thread& thread) {
  const std::uint64_t kernel_mask = block_signals();
  const std::uint64_t blocked = virtual_mask(thread);
  std::uint32_t kept = 0;
  for (std::uint32_t i = 0; i < thread.held_count; ++i) {
    const PendingSignal held = thread.held[i];
    const bool deliverable = (blocked & signal_bit(held.info.signal)) == 0 && thread.pending_count < kPendingCapacity;
    if (!deliverable) {
      thread.held[kept++] = held;
      continue;
    }
    PendingSignal& pending = thread.pending[thread.pending_count];
    pending = held;
    pending.mask_to_restore = kernel_mask | thread.virtually_blocked;
    thread.pending_count += 1;
  }
  thread.held_count = kept;
  unblock_signals(thread, kernel_mask | thread.virtually_blocked);
}

void requeue_released_signals(Thread& thread) {
  std::uint32_t kept = 0;
  for (std::uint32_t i = 0; i < thread.held_count; ++i) {
    const PendingSignal held = thread.held[i];
    const int signal = held.info.signal;
    if ((virtual_mask(thread) & signal_bit(signal)) != 0) {
      thread.held[kept++] = held;
    } else {
      host_call(SYS_rt_tgsigqueueinfo, host_call(SYS_getpid), thread.tid, signal, reinterpret_cast<long>(&held.info));
    }
  }
  thread.held_count = kept;
}

std::uint64_t signals_before_exec(Thread& thread) {
  std::uint64_t ignored = 0;
  for (int signal = 1; signal <= kSignalCount; ++signal) {
    if (ours_always(signal) && thread.actions->action[signal].handler == kSigIgnore) ignored |= signal_bit(signal);
  }
  return ignored;
}

long sys_rt_sigaction(Thread& thread, Regs& regs) {
  const int signal = static_cast<int>(regs.rdi);
  if (regs.r10 != 8) return -22;
  if (signal < 1 || signal > kSignalCount) return -22;
  KernelSigAction wanted{};
  if (regs.rsi != 0) {
    if (const long error = read_guest(wanted, guest(regs.rsi)); error != 0) return error;
    if (signal == 9 || signal == 19) return -22;
    wanted.mask &= ~(signal_bit(9) | signal_bit(19));
    // Bits the kernel knows; it clears the others so that programs can detect support.
    wanted.flags &= 0xdc000807;
  }
  KernelSigAction old{};
  {
    const LockGuard guard(thread.actions->lock);
    old = thread.actions->action[signal];
    if (regs.rsi != 0) {
      if (const long error = install(signal, wanted); is_error(error)) return error;
      thread.actions->action[signal] = wanted;
    }
  }
  return regs.rdx != 0 ? write_guest(guest(regs.rdx), old) : 0;
}

}  // namespace casemate::runtime
