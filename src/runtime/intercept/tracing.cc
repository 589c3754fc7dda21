#include "runtime/intercept/tracing.h"

#include "runtime/table/table.h"

namespace casemate::runtime {

long traced_call(Thread& thread, Regs& regs, const SyscallEntry& entry) { return entry.handler(thread, regs); }

}  // namespace casemate::runtime
