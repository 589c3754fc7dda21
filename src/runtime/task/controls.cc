// prctl and arch_prctl: operations that would take interception or the thread record away are refused.
#include <sys/syscall.h>

#include "runtime/engine/process/host_call.h"
#include "runtime/intercept/dispatch.h"
#include "runtime/memory/guest.h"

namespace casemate::runtime {
namespace {

inline constexpr long kEinval = -22, kEperm = -1;

struct Refusal {
  std::int32_t operation;
  long error;
};

// The errno is what a kernel built without the feature, or a caller without the privilege, would give.
inline constexpr Refusal kRefusedOperations[] = {
    {59, kEinval},  // PR_SET_SYSCALL_USER_DISPATCH: ours
    {22, kEinval},  // PR_SET_SECCOMP: filters would see the runtime's calls, not the program's
    {35, kEperm},   // PR_SET_MM: describes the runtime's image
    {65, kEinval},  // PR_SET_MDWE: would forbid patching
};

inline constexpr std::uint64_t kArchSetGs = 0x1001, kArchSetFs = 0x1002, kArchGetFs = 0x1003, kArchGetGs = 0x1004;

}  // namespace

long sys_prctl(Thread& thread, Regs& regs) {
  for (const Refusal& refusal : kRefusedOperations) {
    if (static_cast<std::int32_t>(regs.rdi) == refusal.operation) return refusal.error;
  }
  return pass_through(thread, regs);
}

long sys_arch_prctl(Thread& thread, Regs& regs) {
  switch (regs.rdi) {
    case kArchSetGs:
      return regs.rsi == 0 ? 0 : kEperm;  // GS finds the thread record
    case kArchGetGs: {
      const std::uint64_t zero = 0;
      return write_guest(guest(regs.rsi), zero);
    }
    case kArchSetFs:
    case kArchGetFs:
      return pass_through(thread, regs);
    default:
      // ARCH_CPUID, XCOMP (AMX permission) pass; shadow stacks (0x5001-0x5005) are refused.
      if (regs.rdi >= 0x5001 && regs.rdi <= 0x5005) return -95;
      return pass_through(thread, regs);
  }
}

}  // namespace casemate::runtime
