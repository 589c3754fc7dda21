// Really tries Syscall User Dispatch in a child: that a call from outside the allowed range traps and one from inside
// does not, and what being armed costs each call. prctl(2) PR_SET_SYSCALL_USER_DISPATCH.
#pragma once

namespace casemate::cli {

inline constexpr int kSyscallUserDispatch = 59;  // PR_SET_SYSCALL_USER_DISPATCH: newer than Debian 12's sys/prctl.h

enum class DispatchStep : int {
  kComplete = 0,
  kFork,    // no child could be made
  kPage,    // no memory for code outside the range
  kArm,     // the kernel does not offer it, or refuses
  kNoTrap,  // a call from outside the range was not caught
  kChildDied,
};

struct DispatchProbe {
  DispatchStep stopped_at;
  int system_code;  // errno of the failed step
  double plain_ns;  // one call, not armed
  double armed_ns;  // one call from the allowed range, armed
  double trap_ns;   // one caught call, to the handler and back
};

DispatchProbe probe_dispatch();

}  // namespace casemate::cli
