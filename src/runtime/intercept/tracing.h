// The traced form of serving a call (--trace).
#pragma once

#include "runtime/intercept/thread.h"

namespace casemate::runtime {

struct SyscallEntry;

long traced_call(Thread& thread, Regs& regs, const SyscallEntry& entry);

}  // namespace casemate::runtime
