// What the user is told: refused calls (once each), foreign system call ABIs, faults in the runtime itself.
#pragma once

#include <cstdint>

#include "runtime/abi/signal_abi.h"
#include "runtime/intercept/thread.h"

namespace casemate::runtime {

struct SyscallEntry;

void warn_refused(std::uint64_t number, const SyscallEntry& entry);
void warn_foreign_abi(const Regs& regs);
// Prints thread, call and registers (no program data), then ends the process group with SIGABRT's default action.
[[noreturn]] void report_runtime_fault(const Thread& thread, int signal, const SigInfo& info, const UContext& uc);

}  // namespace casemate::runtime
