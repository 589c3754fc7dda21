// Serving calls under --trace: what dispatch, exec, exit and signal delivery tell the tracer (table/trace.h).
#pragma once

#include "runtime/abi/signal_abi.h"
#include "runtime/intercept/thread.h"

namespace casemate::runtime {

struct SyscallEntry;

// At boot, on the runtime stack: maps the summary of the run (made by its first process).
void tracing_boot(Thread& thread, std::int32_t summary_fd);

long traced_call(Thread& thread, Regs& regs, const SyscallEntry& entry);

// The current call does not come back (exit, a successful execve, rt_sigreturn): its line is written now.
void trace_departure(Thread& thread);
void trace_delivery(Thread& thread, const SigInfo& info);
// In the child of fork.
void tracing_after_fork();
// The first process of the run ends: prints the summary.
void tracing_end(Thread& thread);

}  // namespace casemate::runtime
