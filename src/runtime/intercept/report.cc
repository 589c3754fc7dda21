#include "runtime/intercept/report.h"

#include <sys/syscall.h>

#include "runtime/intercept/line.h"
#include "runtime/intercept/process.h"
#include "runtime/signal/signals.h"
#include "runtime/table/table.h"

namespace casemate::runtime {

constinit Process g_process = {};

void diagnose(const char* text, std::uint64_t size) {
  if ((g_process.launch_flags & kLaunchQuiet) != 0) return;
  host_call(SYS_write, 2, reinterpret_cast<long>(text), static_cast<long>(size));
}

void fail(const char* message, const char* detail, int code) {
  Line line;
  line.text("casemate: ").text(message);
  if (detail != nullptr) line.text(": ").text(detail);
  line.text("\n");
  host_call(SYS_write, 2, reinterpret_cast<long>(line.data()), static_cast<long>(line.size()));
  for (;;) host_call(SYS_exit_group, code);
}

namespace {
// True the first time for this number in this process family.
bool first_warning(std::uint64_t number) {
  const std::uint64_t index = number < 512 ? number : 511;
  std::uint64_t& word = g_process.warned[index / 64];
  const std::uint64_t bit = std::uint64_t{1} << (index % 64);
  return (__atomic_fetch_or(&word, bit, __ATOMIC_RELAXED) & bit) == 0;
}
}  // namespace

void warn_refused(std::uint64_t number, const SyscallEntry& entry) {
  if (!first_warning(number)) return;
  Line line;
  line.text("casemate: refused system call ").text(entry.name != nullptr ? entry.name : "?");
  line.text(" (").number(static_cast<std::int64_t>(number)).text(")");
  if (entry.note != nullptr) line.text(": ").text(entry.note);
  line.text("\n");
  diagnose(line.data(), line.size());
}

void warn_foreign_abi(const Regs& regs) {
  if (!first_warning(510)) return;
  Line line;
  line.text("casemate: refused 32-bit system call (int 0x80) at ").hex(regs.rip - 2);
  line.text(": only the x86-64 ABI is served; the program sees ENOSYS\n");
  diagnose(line.data(), line.size());
}

void report_runtime_fault(const Thread& thread, int signal, const SigInfo& info, const UContext& uc) {
  const SigContext& c = uc.context;
  Line line;
  line.text("casemate: fault in the runtime (a bug, please report): signal ").number(signal);
  line.text(" code ").number(info.code).text(" thread ").number(thread.tid);
  line.text(" call ").number(static_cast<std::int64_t>(thread.regs.original_rax));
  line.text(" rip text+").hex(c.rip - g_process.image_begin).text(" address ").hex(c.fault_address);
  line.text("\n  rsp ").hex(c.rsp).text(" rbp ").hex(c.rbp).text(" flags ").hex(c.rflags);
  line.text(" program rip ").hex(thread.regs.rip).text(" entry ").number(static_cast<int>(thread.entry_kind));
  line.text("\n");
  host_call(SYS_write, 2, reinterpret_cast<long>(line.data()), static_cast<long>(line.size()));
  const KernelSigAction action{};
  host_call(SYS_rt_sigaction, 6, reinterpret_cast<long>(&action), 0, 8);
  const std::uint64_t mask = 0;
  host_call(SYS_rt_sigprocmask, 2, reinterpret_cast<long>(&mask), 0, 8);
  host_call(SYS_kill, host_call(SYS_getpid), 6);
  for (;;) host_call(SYS_exit_group, 134);
}

}  // namespace casemate::runtime
