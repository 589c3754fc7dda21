// The C++ side of every entry: look the call up, serve it, put the result (or the restart) into the registers.
#include "runtime/intercept/dispatch.h"

#include <sys/syscall.h>

#include "runtime/intercept/patch/patcher.h"
#include "runtime/intercept/process.h"
#include "runtime/intercept/report.h"
#include "runtime/intercept/tracing.h"
#include "runtime/netshield/net.h"
#include "runtime/signal/signals.h"
#include "runtime/table/table.h"

extern "C" {
void casemate_dispatch(casemate::runtime::Regs* regs);
// Indexed by the low 16 bits of rax; entry.S reads it. Pages beyond the table's numbers are never touched.
[[gnu::visibility("hidden")]] constinit std::uint8_t casemate_fast_calls[65536] = {};
}

namespace casemate::runtime {
namespace {

inline constexpr long kEnosys = -38;

// The kernel uses the low 32 bits of rax, sign-extended.
std::uint64_t call_number(const Regs& regs) {
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(static_cast<std::int32_t>(regs.original_rax)));
}

long serve(Thread& thread, Regs& regs) {
  if (thread.entry_kind == EntryKind::kForeignAbi) {
    warn_foreign_abi(regs);
    return kEnosys;
  }
  const SyscallEntry& entry = syscall_entry(call_number(regs));
  if (g_process.trace_mode != TraceMode::kOff) [[unlikely]]
    return traced_call(thread, regs, entry);
  return handler_of(entry)(thread, regs);
}

}  // namespace

SyscallHandler handler_without_net(const SyscallEntry& entry) {
  return entry.status == Status::kShielded && !g_process.shield_active ? &pass_through : entry.handler;
}

SyscallHandler handler_of(const SyscallEntry& entry) {
  if (g_process.net_active) [[unlikely]] {
    const auto number = static_cast<std::uint64_t>(&entry - kSyscallTable.entries);
    if (const SyscallHandler handler = net_handler_of(number); handler != nullptr) return handler;
  }
  return handler_without_net(entry);
}

void fill_fast_calls() {
  if (g_process.trace_mode != TraceMode::kOff) return;
  for (std::uint64_t number = 0; number < kSyscallLimit; ++number) {
    if (handler_of(syscall_entry(number)) == &pass_through) casemate_fast_calls[number] = 1;
  }
}

long pass_through(Thread&, Regs& regs) {
  const std::uint64_t arguments[6] = {regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9};
  return casemate_guarded_call(static_cast<long>(regs.original_rax), arguments);
}

long pass_arguments(std::uint64_t number, const std::uint64_t (&arguments)[6]) {
  return casemate_guarded_call(static_cast<long>(number), arguments);
}

long refuse(Thread&, Regs& regs) {
  const std::uint64_t number = call_number(regs);
  const SyscallEntry& entry = syscall_entry(number);
  warn_refused(number, entry);
  return -static_cast<long>(entry.refused_errno);
}

}  // namespace casemate::runtime

void casemate_dispatch(casemate::runtime::Regs* regs) {
  using namespace casemate::runtime;
  Thread& thread = *reinterpret_cast<Thread*>(reinterpret_cast<std::uint64_t>(regs) - THREAD_REGS);
  const std::uint64_t site = regs->rip - 2;
  const EntryKind kind = thread.entry_kind;
  const long result = serve(thread, *regs);
  if (result == kRestartCall) {
    // Back onto the system call instruction; the pending signal is delivered first.
    regs->rax = regs->original_rax;
    regs->rip -= 2;
    regs->resume = regs->rip;
    return;
  }
  regs->rax = static_cast<std::uint64_t>(result);
  if (thread.held_count != 0) [[unlikely]]
    release_held_signals(thread);
  if (kind == EntryKind::kTrapped && (g_process.launch_flags & kLaunchNoPatching) == 0) patcher_on_trap(site);
}
