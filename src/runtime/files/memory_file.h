// Memory files of the runtime's own.
#pragma once

#include <sys/syscall.h>

#include "runtime/engine/process/host_call.h"

namespace casemate::runtime {

enum class Inheritance : long { kKept = 0, kCloseOnExec = 1 };

// A descriptor, or a negative errno. Never executable, so that vm.memfd_noexec=2 allows it (memfd_create(2),
// MFD_NOEXEC_SEAL, Linux 6.3); older kernels do not know the flag.
inline long create_memory_file(const char* name, Inheritance inheritance) {
  constexpr long kNoexecSeal = 8, kEinval = -22;
  const auto flags = static_cast<long>(inheritance);
  const long fd = host_call(SYS_memfd_create, reinterpret_cast<long>(name), flags | kNoexecSeal);
  return fd == kEinval ? host_call(SYS_memfd_create, reinterpret_cast<long>(name), flags) : fd;
}

}  // namespace casemate::runtime
