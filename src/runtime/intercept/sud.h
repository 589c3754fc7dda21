// Syscall User Dispatch (prctl(2) PR_SET_SYSCALL_USER_DISPATCH, Linux >= 5.11).
#pragma once

#include <linux/prctl.h>
#include <sys/syscall.h>

#include "runtime/engine/process/host_call.h"
#include "runtime/intercept/process.h"

namespace casemate::runtime {

// From here on every kernel entry of this task outside the runtime's text raises SIGSYS. No selector byte: nothing in
// memory can switch it off. Returns 0 or a negative errno.
inline long sud_arm() {
  return host_call(SYS_prctl, 59, 1, static_cast<long>(g_process.text_begin),
                   static_cast<long>(g_process.text_end - g_process.text_begin), 0);
}

}  // namespace casemate::runtime
