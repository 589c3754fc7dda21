#include "casemate/las/clean_start.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace casemate::cli {
namespace {

// Standard descriptors may be closed by whoever started us; a file of ours must not take their numbers.
Result<void> open_standard_descriptors() {
  for (int fd = 0; fd <= STDERR_FILENO; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    if (open("/dev/null", O_RDWR) != fd) return Error::from_errno("/dev/null", errno);
  }
  return {};
}

}  // namespace

Result<void> start_clean(char** arguments) {
  if (Result<void> opened = open_standard_descriptors(); !opened.has_value()) return opened.error();
  if (environ != nullptr && *environ != nullptr) {
    char* const nothing[] = {nullptr};
    syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
    execve("/proc/self/exe", arguments, nothing);
    return Error::from_errno("cannot start again with an empty environment", errno);
  }
  syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, 0);
  const rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  if (prctl(PR_SET_DUMPABLE, 0) != 0) return Error::from_errno("cannot forbid others our memory", errno);
  return {};
}

}  // namespace casemate::cli
