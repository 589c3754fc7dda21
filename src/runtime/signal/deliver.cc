// Delivery: builds the kernel's own frame layout on the program's stack (arch/x86 signal frames; sigreturn(2)), at the
// exit to the program, never inside a handler. And the way back: rt_sigreturn lets the kernel itself restore the frame.
#include <sys/syscall.h>

#include "runtime/intercept/process.h"
#include "runtime/intercept/tracing.h"
#include "runtime/memory/guest.h"
#include "runtime/signal/signals.h"

extern "C" {
long casemate_xsave(std::uint64_t address, std::uint64_t features);
void casemate_xrstor(const void* image, std::uint64_t features);
[[noreturn]] void casemate_program_sigreturn(std::uint64_t stack_pointer);
void casemate_deliver_pending(casemate::runtime::Regs* regs);
}

namespace casemate::runtime {
namespace {

inline constexpr std::uint32_t kSsOnStack = 1, kSsDisable = 2, kSsAutoDisarm = 0x80000000;
inline constexpr std::uint64_t kRedZone = 128;
inline constexpr long kEfault = -14;
inline constexpr std::uint64_t kFeaturePkru = 1 << 9;
inline constexpr std::uint32_t kMagic2 = 0x46505845;
inline constexpr std::uint64_t kHandlerClearedFlags = 0x400 | 0x100 | 0x10000;  // DF, TF, RF

struct SoftwareReserved {
  std::uint32_t magic1, extended_size;
  std::uint64_t features;
  std::uint32_t xstate_size, padding[7];
};
static_assert(sizeof(SoftwareReserved) == 48);

// Extended state as a process starts with it: the handler gets this (the kernel resets it too).
struct alignas(64) InitialXstate {
  std::uint16_t control = 0x37f;
  std::uint8_t gap[22] = {};
  std::uint32_t mxcsr = 0x1f80;
  std::uint8_t rest[576 - 28] = {};
};
constinit InitialXstate g_initial_xstate = {};

bool within_altstack(const Thread& thread, std::uint64_t stack_pointer) {
  return stack_pointer > thread.altstack_base && stack_pointer - thread.altstack_base <= thread.altstack_size;
}

bool on_altstack(const Thread& thread, std::uint64_t stack_pointer) {
  return (thread.altstack_flags & kSsAutoDisarm) == 0 && within_altstack(thread, stack_pointer);
}

struct HandlerStack {
  std::uint64_t top;
  bool is_altstack;
};

HandlerStack stack_for_handler(const Thread& thread, const Regs& regs, const KernelSigAction& action) {
  const std::uint64_t top = regs.rsp - kRedZone;
  if (on_altstack(thread, top)) return {top, true};
  if ((action.flags & kSaOnStack) == 0 || thread.altstack_size == 0) return {top, false};
  return {thread.altstack_base + thread.altstack_size, true};
}

long save_xstate(std::uint64_t address, const SoftwareReserved& reserved) {
  const std::uint8_t zeros[64] = {};
  long error = copy_to_guest(guest(address + 512), zeros, sizeof(zeros));
  if (error == 0) error = casemate_xsave(address, reserved.features);
  // Legacy state counts as present even when initial, so that a handler's edits of xmm registers take effect.
  std::uint64_t present = 0;
  if (error == 0) error = read_guest(present, guest(address + 512));
  if (error == 0) error = write_guest(guest(address + 512), present | 3);
  if (error == 0) error = copy_to_guest(guest(address + 464), &reserved, sizeof(reserved));
  if (error == 0) error = write_guest(guest(address + reserved.xstate_size), kMagic2);
  return error;
}

void fill_context(SigContext& to, const Regs& regs, const PendingSignal& pending, std::uint64_t mask) {
  to = SigContext{.r8 = regs.r8,
                  .r9 = regs.r9,
                  .r10 = regs.r10,
                  .r11 = regs.r11,
                  .r12 = regs.r12,
                  .r13 = regs.r13,
                  .r14 = regs.r14,
                  .r15 = regs.r15,
                  .rdi = regs.rdi,
                  .rsi = regs.rsi,
                  .rbp = regs.rbp,
                  .rbx = regs.rbx,
                  .rdx = regs.rdx,
                  .rax = regs.rax,
                  .rcx = regs.rcx,
                  .rsp = regs.rsp,
                  .rip = regs.rip,
                  .rflags = regs.rflags,
                  .segments = pending.segments,
                  .error_code = pending.error_code,
                  .trap_number = pending.trap_number,
                  .old_mask = mask,
                  .fault_address = pending.fault_address,
                  .fpstate = 0,
                  .reserved = {}};
}

// Returns 0 or -EFAULT (the program's stack cannot take the frame).
long push_frame(Thread& thread, Regs& regs, const PendingSignal& pending, const KernelSigAction& action,
                std::uint64_t mask) {
  SoftwareReserved reserved;
  __builtin_memcpy(&reserved, thread.xstate_template, sizeof(reserved));
  const HandlerStack stack = stack_for_handler(thread, regs, action);
  const std::uint64_t fpstate = (stack.top - reserved.extended_size) & ~std::uint64_t{63};
  const std::uint64_t address = ((fpstate - sizeof(SigFrame)) & ~std::uint64_t{15}) - 8;
  if (stack.is_altstack && !within_altstack(thread, address)) return kEfault;

  SigFrame frame{};
  frame.restorer = action.restorer;
  frame.uc.flags = pending.uc_flags;
  frame.uc.stack = {thread.altstack_base, static_cast<std::int32_t>(thread.altstack_flags), 0, thread.altstack_size};
  fill_context(frame.uc.context, regs, pending, mask);
  frame.uc.context.fpstate = fpstate;
  frame.uc.mask = mask;
  frame.info = pending.info;
  if (const long error = save_xstate(fpstate, reserved); error != 0) return error;
  if (const long error = write_guest(guest(address), frame); error != 0) return error;
  casemate_xrstor(&g_initial_xstate, reserved.features & ~kFeaturePkru);

  if ((thread.altstack_flags & kSsAutoDisarm) != 0) {
    thread.altstack_base = thread.altstack_size = 0;
    thread.altstack_flags = kSsDisable;
  }
  regs.rdi = static_cast<std::uint64_t>(pending.info.signal);
  regs.rsi = address + offsetof(SigFrame, info);
  regs.rdx = address + offsetof(SigFrame, uc);
  regs.rax = 0;
  regs.rsp = address;
  regs.rip = regs.resume = action.handler;
  regs.rflags &= ~kHandlerClearedFlags;
  return 0;
}

void set_default(Thread& thread, int signal) {
  const LockGuard guard(thread.actions->lock);
  thread.actions->action[signal] = {};
  if ((kRuntimeSignals & signal_bit(signal)) == 0) {
    const KernelSigAction action{};
    host_call(SYS_rt_sigaction, signal, reinterpret_cast<long>(&action), 0, 8);
  }
}

[[noreturn]] void die_of(int signal) {
  const KernelSigAction action{};
  host_call(SYS_rt_sigaction, signal, reinterpret_cast<long>(&action), 0, 8);
  host_call(SYS_tgkill, host_call(SYS_getpid), host_call(SYS_gettid), signal);
  const std::uint64_t mask = ~signal_bit(signal);
  host_call(SYS_rt_sigprocmask, 2, reinterpret_cast<long>(&mask), 0, 8);
  for (;;) host_call(SYS_exit_group, 128 + signal);
}

// The program changed its mind between the kernel's decision and ours, or the signal is blocked by the handler
// delivered just before it: the kernel queues it again and decides anew.
void give_back(Thread& thread, const PendingSignal& pending, std::uint64_t handler) {
  const int signal = pending.info.signal;
  const bool handled = handler != kSigDefault && handler != kSigIgnore;
  if ((kRuntimeSignals & signal_bit(signal)) != 0 && handled) {
    for (std::uint32_t i = 0; i < thread.held_count; ++i) {
      if (thread.held[i].info.signal == signal) return;
    }
    if (thread.held_count < kPendingCapacity) thread.held[thread.held_count++] = pending;
    return;
  }
  if ((kRuntimeSignals & signal_bit(signal)) != 0 && handler == kSigIgnore) return;
  if ((kRuntimeSignals & signal_bit(signal)) != 0 && handler == kSigDefault) die_of(signal);
  host_call(SYS_rt_tgsigqueueinfo, host_call(SYS_getpid), thread.tid, signal, reinterpret_cast<long>(&pending.info));
}

// Whether a handler delivered just before may hold this signal back. The first of a batch is never held back: the
// kernel has found it unblocked, be it only by the temporary mask of sigsuspend or ppoll.
enum class Order { kFirst, kLater };

// Returns the mask to be in force afterwards.
std::uint64_t deliver(Thread& thread, Regs& regs, const PendingSignal& pending, std::uint64_t mask, Order order) {
  const int signal = pending.info.signal;
  KernelSigAction action;
  {
    const LockGuard guard(thread.actions->lock);
    action = thread.actions->action[signal];
  }
  const bool handled = action.handler != kSigDefault && action.handler != kSigIgnore;
  if (!handled || (order == Order::kLater && (mask & signal_bit(signal)) != 0)) {
    give_back(thread, pending, action.handler);
    return mask;
  }
  trace_delivery(thread, pending.info);
  if ((action.flags & kSaResetHand) != 0) set_default(thread, signal);
  std::uint64_t blocked = mask;
  if (thread.has_temporary_mask != 0) blocked = thread.temporary_mask;
  if (push_frame(thread, regs, pending, action, mask) != 0) {
    PendingSignal segv{};
    segv.info.signal = kSigSegv;
    segv.info.code = 0x80;
    segv.segments = pending.segments;
    segv.uc_flags = pending.uc_flags;
    if (signal == kSigSegv) die_of(kSigSegv);
    return deliver(thread, regs, segv, mask, order);
  }
  blocked |= action.mask;
  if ((action.flags & kSaNoDefer) == 0) blocked |= signal_bit(signal);
  return blocked;
}

}  // namespace

long sys_rt_sigreturn(Thread& thread, Regs& regs) {
  const std::uint64_t uc_address = regs.rsp;
  UContext uc;
  if (read_guest(uc, guest(uc_address)) != 0) die_of(kSigSegv);
  const std::uint64_t kernel_mask = block_signals();
  if (thread.pending_count != 0) {
    unblock_signals(thread, kernel_mask);
    return kRestartCall;
  }
  const auto flags = static_cast<std::uint32_t>(uc.stack.flags);
  if (!on_altstack(thread, regs.rsp)) {
    const bool disable = (flags & kSsDisable) != 0;
    thread.altstack_base = disable ? 0 : uc.stack.base;
    thread.altstack_size = disable ? 0 : uc.stack.size;
    thread.altstack_flags = flags;
  }
  // The kernel reads alternate stack and mask from the frame: give it ours.
  KernelStack kernel_stack{};
  kernel_stack.base = reinterpret_cast<std::uint64_t>(&thread) - kThreadRecordOffset + kSignalStackOffset;
  kernel_stack.size = kSignalStackSize;
  const std::uint64_t mask = uc.mask & ~kRuntimeSignals;
  if (write_guest(guest(uc_address + offsetof(UContext, stack)), kernel_stack) != 0 ||
      write_guest(guest(uc_address + offsetof(UContext, mask)), mask) != 0) {
    die_of(kSigSegv);
  }
  thread.virtually_blocked = uc.mask & kRuntimeSignals;
  if (thread.held_count != 0) requeue_released_signals(thread);
  trace_departure(thread);
  casemate_program_sigreturn(uc_address);
}

long sys_sigaltstack(Thread& thread, Regs& regs) {
  const bool active = on_altstack(thread, regs.rsp);
  const KernelStack old{thread.altstack_base,
                        static_cast<std::int32_t>(thread.altstack_size == 0 ? kSsDisable
                                                  : active                  ? kSsOnStack
                                                                            : 0) |
                            static_cast<std::int32_t>(thread.altstack_flags & kSsAutoDisarm),
                        0, thread.altstack_size};
  if (regs.rdi != 0) {
    KernelStack wanted{};
    if (const long error = read_guest(wanted, guest(regs.rdi)); error != 0) return error;
    if (active) return -1;
    const auto mode = static_cast<std::uint32_t>(wanted.flags) & ~kSsAutoDisarm;
    if (mode != 0 && mode != kSsOnStack && mode != kSsDisable) return -22;
    if (mode == kSsDisable) wanted = {0, wanted.flags, 0, 0};
    if (mode != kSsDisable && wanted.size < 2048) return -12;
    thread.altstack_base = wanted.base;
    thread.altstack_size = wanted.size;
    thread.altstack_flags = static_cast<std::uint32_t>(wanted.flags);
  }
  return regs.rsi != 0 ? write_guest(guest(regs.rsi), old) : 0;
}

}  // namespace casemate::runtime

void casemate_deliver_pending(casemate::runtime::Regs* regs) {
  using namespace casemate::runtime;
  Thread& thread = current_thread();
  std::uint64_t mask = thread.pending[0].mask_to_restore;
  // Signals stay blocked until the mask is set below, except those of kRuntimeSignals that somebody sends: they append
  // to the list, until the last look at it blocks them too.
  for (std::uint32_t i = 0;;) {
    for (; i < __atomic_load_n(&thread.pending_count, __ATOMIC_ACQUIRE); ++i) {
      const PendingSignal pending = thread.pending[i];
      mask = deliver(thread, *regs, pending, mask, i == 0 ? Order::kFirst : Order::kLater);
      thread.has_temporary_mask = 0;
    }
    const std::uint64_t deferring = block_signals();
    if (__atomic_load_n(&thread.pending_count, __ATOMIC_ACQUIRE) == i) break;
    unblock_signals(thread, deferring);
  }
  __atomic_store_n(&thread.pending_count, 0u, __ATOMIC_RELEASE);
  restore_signals(thread, mask);
}
