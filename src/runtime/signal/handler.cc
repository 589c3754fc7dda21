// The handler of every signal the kernel delivers to us. Runs on the thread's signal stack with all signals blocked;
// takes no lock, touches no program memory; edits the interrupted context and returns. Where the interrupted
// instruction stands decides (docs/runtime/signals.md):
//   program text            -> save registers, continue in casemate_exit_to_program, which delivers
//   exit sequence           -> rewind to its start
//   guarded call            -> before the instruction (or put back on it by the kernel): abort the call
//   fault-fixed copy        -> its error exit
//   elsewhere in the runtime-> only record; a fault there is a bug of ours: report and end
#include <linux/mman.h>
#include <sys/syscall.h>

#include "runtime/intercept/patch/patcher.h"
#include "runtime/intercept/process.h"
#include "runtime/intercept/report.h"
#include "runtime/signal/signals.h"

extern "C" {
extern char casemate_entry_trapped[], casemate_exit_to_program[], casemate_exit_end[], casemate_guarded_begin[],
    casemate_entry_patched[], casemate_fast_done[], casemate_fast_end[], casemate_guarded_syscall[],
    casemate_guarded_abort[], casemate_copy[], casemate_copy_end[], casemate_copy_fault[];
}

namespace casemate::runtime {
namespace {

inline constexpr int kSysUserDispatch = 2;  // si_code of SUD
inline constexpr std::uint32_t kArchX86_64 = 0xc000003e;
inline constexpr std::uint64_t kFlagTrap = 0x100, kFlagDirection = 0x400, kFlagAlign = 0x40000;
inline constexpr int kTrapTrace = 2;
inline constexpr int kSiKernel = 0x80;
inline constexpr std::uint64_t kSyscallSize = 2;
inline constexpr std::size_t kSwReservedOffset = 464;

std::uint64_t address_of(const char* label) { return reinterpret_cast<std::uint64_t>(label); }
bool within(std::uint64_t value, const char* begin, const char* end) {
  return value >= address_of(begin) && value < address_of(end);
}

void save_registers(Regs& regs, const SigContext& from) {
  regs = Regs{.r15 = from.r15,
              .r14 = from.r14,
              .r13 = from.r13,
              .r12 = from.r12,
              .r11 = from.r11,
              .r10 = from.r10,
              .r9 = from.r9,
              .r8 = from.r8,
              .rdi = from.rdi,
              .rsi = from.rsi,
              .rbp = from.rbp,
              .rbx = from.rbx,
              .rdx = from.rdx,
              .rcx = from.rcx,
              .rax = from.rax,
              .original_rax = ~std::uint64_t{0},
              .rip = from.rip,
              .resume = from.rip,
              .rsp = from.rsp,
              .rflags = from.rflags};
}

// The program can write GS base, and nothing can refuse it; what follows relies on GS. (Without FSGSBASE it can only
// load selectors, and then the fault path of stubs is enough.)
void restore_gs(Thread& thread) {
  if (!g_process.has_fsgsbase) return;
  std::uint64_t base;
  asm volatile("rdgsbase %0" : "=r"(base));
  if (base != reinterpret_cast<std::uint64_t>(&thread)) asm volatile("wrgsbase %0" : : "r"(&thread));
}

void continue_in_runtime(Thread& thread, SigContext& context, const char* label) {
  context.rip = address_of(label);
  context.rsp = reinterpret_cast<std::uint64_t>(&thread);
  context.rflags &= ~(kFlagTrap | kFlagDirection | kFlagAlign);
}

void enter_system_call(Thread& thread, const SigInfo& info, UContext& uc) {
  std::uint32_t architecture;
  __builtin_memcpy(&architecture, info.fields + 12, sizeof(architecture));
  save_registers(thread.regs, uc.context);
  thread.regs.original_rax = uc.context.rax;
  thread.regs.rcx = thread.regs.rip;
  thread.regs.r11 = thread.regs.rflags;
  thread.entry_kind = architecture == kArchX86_64 ? EntryKind::kTrapped : EntryKind::kForeignAbi;
  continue_in_runtime(thread, uc.context, casemate_entry_trapped);
}

void requeue(const Thread& thread, const SigInfo& info) {
  host_call(SYS_rt_tgsigqueueinfo, host_call(SYS_getpid), thread.tid, info.signal, reinterpret_cast<long>(&info));
}

void record(Thread& thread, const SigInfo& info, UContext& uc) {
  const std::uint32_t index = thread.pending_count;
  if (index == kPendingCapacity) {
    // Only signals that are never masked can get here; as a pending one of the same number, a further one is lost.
    if ((kRuntimeSignals & signal_bit(info.signal)) == 0) requeue(thread, info);
  } else {
    PendingSignal& pending = thread.pending[index];
    pending.info = info;
    pending.mask_to_restore = (uc.mask & ~kRuntimeSignals) | thread.virtually_blocked;
    pending.trap_number = uc.context.trap_number;
    pending.error_code = uc.context.error_code;
    pending.fault_address = uc.context.fault_address;
    pending.segments = uc.context.segments;
    pending.uc_flags = uc.flags;
    __atomic_store_n(&thread.pending_count, index + 1, __ATOMIC_RELEASE);
  }
  uc.mask = kDeferMask;
}

// A signal of kRuntimeSignals that somebody sent while the program blocks it. A second one of the same number is lost,
// as with the kernel.
bool hold(Thread& thread, int signal, const SigInfo& info, const UContext& uc) {
  if ((virtual_mask(thread) & signal_bit(signal)) == 0) return false;
  for (std::uint32_t i = 0; i < thread.held_count; ++i) {
    if (thread.held[i].info.signal == signal) return true;
  }
  if (thread.held_count == kPendingCapacity) return true;
  PendingSignal& held = thread.held[thread.held_count++];
  held.info = info;
  held.segments = uc.context.segments;
  held.uc_flags = uc.flags;
  return true;
}

// A fault that the program has no handler for, or blocks: let it happen again with the kernel's default action.
bool die_natively(Thread& thread, const SigInfo& info, UContext& uc) {
  const int signal = info.signal;
  const std::uint64_t handler = thread.actions->action[signal].handler;
  const bool blocked = (thread.virtually_blocked & signal_bit(signal)) != 0;
  if (!blocked && handler != kSigDefault && handler != kSigIgnore) return false;
  const KernelSigAction action{};
  host_call(SYS_rt_sigaction, signal, reinterpret_cast<long>(&action), 0, 8);
  uc.mask &= ~signal_bit(signal);
  // int3 has already moved on; make it happen again.
  if (signal == kSigTrap && uc.context.trap_number == 3) uc.context.rip -= 1;
  // A frame that the kernel could not restore does not fault again: the signal itself waits for the handler's return.
  if (signal == kSigSegv && info.code == kSiKernel) requeue(thread, info);
  return true;
}

// Right behind a call of the program: a signal that it sent to itself, with the si_code of a fault or of a trap if it
// likes (rt_sigqueueinfo). Nothing there faults, except that a program may step through itself.
bool sent_by_call(const SigContext& context, const SigInfo& info) {
  if (info.signal == kSigTrap && (context.rflags & kFlagTrap) != 0) return false;
  const std::uint64_t rip = context.rip;
  return rip == address_of(casemate_guarded_syscall) + kSyscallSize || rip == address_of(casemate_fast_done);
}

// Faults in runtime text. True when handled.
bool fix_fault(Thread& thread, int signal, const SigInfo& info, UContext& uc) {
  if (within(uc.context.rip, casemate_copy, casemate_copy_end)) {
    uc.context.rip = address_of(casemate_copy_fault);
    return true;
  }
  if (signal == kSigTrap && info.code == kTrapTrace) {
    uc.context.rflags &= ~kFlagTrap;
    return true;
  }
  report_runtime_fault(thread, signal, info, uc);
}

bool follow_patch(Thread& thread, UContext& uc, const PatchRedirect& redirect) {
  if (redirect.kind == PatchRedirectKind::kNotOurs) return false;
  if (redirect.kind == PatchRedirectKind::kFixGs) {
    host_call(SYS_arch_prctl, 0x1001, reinterpret_cast<long>(&thread));
  }
  uc.context.rip = redirect.rip;
  return true;
}

// The fast path of patched sites runs on the program's stack with the program's registers: rewrites the context to the
// program's own instruction, before or behind its system call. True when it was there.
bool leave_fast_path(const Thread& thread, SigContext& context) {
  if (within(context.rip, casemate_entry_patched, casemate_fast_done)) {
    const bool saved = context.rip != address_of(casemate_entry_patched);
    context.rip = (saved ? thread.regs.rip : context.rcx) - 2;
    return true;
  }
  if (within(context.rip, casemate_fast_done, casemate_fast_end)) {
    context.rcx = thread.regs.rip;
    context.rip = thread.regs.resume;
    return true;
  }
  return false;
}

void interrupt(Thread& thread, const SigInfo& info, UContext& uc, bool in_runtime) {
  record(thread, info, uc);
  SigContext& context = uc.context;
  if (!in_runtime) {
    const std::uint64_t original = patcher_original_pc(context.rip);
    save_registers(thread.regs, context);
    if (original != 0) thread.regs.rip = original;
    thread.entry_kind = EntryKind::kInterrupted;
    continue_in_runtime(thread, context, casemate_exit_to_program);
  } else if (within(context.rip, casemate_exit_to_program, casemate_exit_end)) {
    continue_in_runtime(thread, context, casemate_exit_to_program);
  } else if (context.rip >= address_of(casemate_guarded_begin) && context.rip <= address_of(casemate_guarded_syscall)) {
    context.rip = address_of(casemate_guarded_abort);
  }
}

}  // namespace

}  // namespace casemate::runtime

extern "C" void casemate_signal_handler(int signal, casemate::runtime::SigInfo* info, casemate::runtime::UContext* uc) {
  using namespace casemate::runtime;
  Thread& thread = current_thread();
  restore_gs(thread);
  const std::uint64_t rip = uc->context.rip;
  const bool sent = sent_by_call(uc->context, *info);
  if (signal == kSigSys && info->code == kSysUserDispatch && !sent) {
    enter_system_call(thread, *info, *uc);
    return;
  }
  if (uc->context.fpstate != 0) {
    __builtin_memcpy(thread.xstate_template, reinterpret_cast<void*>(uc->context.fpstate + kSwReservedOffset),
                     sizeof(thread.xstate_template));
  }
  const bool fault = !sent && info->code > 0 && (kSynchronousSignals & signal_bit(signal)) != 0;
  if (fault && signal == kSigTrap && follow_patch(thread, *uc, patcher_redirect(rip))) return;
  if (fault && follow_patch(thread, *uc, patcher_fault_redirect(rip))) return;
  const bool in_fast_path = !fault && leave_fast_path(thread, uc->context);
  const bool in_runtime =
      !in_fast_path && ((rip >= g_process.text_begin && rip < g_process.text_end) || patcher_owns(rip));
  if (fault) {
    if (in_runtime && fix_fault(thread, signal, *info, *uc)) return;
    if (die_natively(thread, *info, *uc)) return;
  }
  if (!fault && hold(thread, signal, *info, *uc)) return;
  interrupt(thread, *info, *uc, in_runtime);
}
