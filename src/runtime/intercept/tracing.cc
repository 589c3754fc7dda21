#include "runtime/intercept/tracing.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "runtime/files/memory_file.h"
#include "runtime/intercept/dispatch.h"
#include "runtime/intercept/process.h"
#include "runtime/table/table.h"
#include "runtime/table/trace.h"

namespace casemate::runtime {
namespace {

constinit TraceSummary* g_summary = nullptr;

bool tracing() { return g_process.trace_mode != TraceMode::kOff; }

TraceTarget target_of(const Thread& thread) {
  return {.fd = thread.descriptors->trace_fd(), .mode = g_process.trace_mode, .summary = g_summary};
}

std::uint64_t number_of(const Regs& regs) { return static_cast<std::uint32_t>(regs.original_rax); }

// The memory file that all processes of the run count in.
std::int32_t create_summary(const Thread& thread) {
  const long created = create_memory_file("casemate-summary", Inheritance::kCloseOnExec);
  if (is_error(created)) return -1;
  const long fd = host_call(SYS_fcntl, created, F_DUPFD_CLOEXEC, thread.descriptors->runtime_fd());
  host_call(SYS_close, created);
  if (is_error(fd)) return -1;
  host_call(SYS_ftruncate, fd, sizeof(TraceSummary));
  return static_cast<std::int32_t>(fd);
}

}  // namespace

void tracing_boot(Thread& thread, std::int32_t summary_fd) {
  if (g_process.trace_mode != TraceMode::kSummary) return;
  if (summary_fd < 0) summary_fd = create_summary(thread);
  thread.descriptors->own[kSummaryFd] = summary_fd;
  const long mapped = host_call(SYS_mmap, 0, sizeof(TraceSummary), PROT_READ | PROT_WRITE, MAP_SHARED, summary_fd, 0);
  if (is_error(mapped)) {
    g_process.trace_mode = TraceMode::kOff;
    return;
  }
  host_call(SYS_fcntl, summary_fd, F_SETFD, FD_CLOEXEC);
  protect_range(static_cast<std::uint64_t>(mapped), (sizeof(TraceSummary) + 4095) & ~std::uint64_t{4095});
  g_summary = reinterpret_cast<TraceSummary*>(mapped);
}

long traced_call(Thread& thread, Regs& regs, const SyscallEntry& entry) {
  const std::uint64_t arguments[6] = {regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9};
  const std::uint64_t start_ns = trace_now();
  const long result = handler_of(entry)(thread, regs);
  trace_call(target_of(thread), thread, entry, number_of(regs), arguments, result, start_ns, trace_now());
  return result;
}

void trace_departure(Thread& thread) {
  if (!tracing()) return;
  const Regs& regs = thread.regs;
  const std::uint64_t arguments[6] = {regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9};
  trace_unfinished(target_of(thread), thread, syscall_entry(number_of(regs)), number_of(regs), arguments, trace_now());
}

void trace_delivery(Thread& thread, const SigInfo& info) {
  if (tracing()) trace_signal(target_of(thread), thread, info);
}

void tracing_after_fork() {
  if (tracing()) trace_reset_after_fork();
}

void tracing_end(Thread& thread) {
  if (g_summary == nullptr || host_call(SYS_getpid) != g_process.first_pid) return;
  trace_summary_print(*g_summary, thread.descriptors->trace_fd());
}

}  // namespace casemate::runtime
