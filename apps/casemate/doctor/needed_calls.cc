#include "casemate/doctor/needed_calls.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace casemate::cli {
namespace {

// True when the kernel answered, with whatever.
bool is_answered(long result) {
  if (result >= 0) return true;
  return errno != EPERM && errno != ENOSYS && errno != EACCES;
}

bool memory_files() {
  const long file = syscall(SYS_memfd_create, "casemate-doctor", MFD_CLOEXEC);
  const bool answered = is_answered(file);
  if (file >= 0) close(static_cast<int>(file));
  return answered;
}
bool exec_of_descriptors() { return is_answered(syscall(SYS_execveat, -1, "", nullptr, nullptr, AT_EMPTY_PATH)); }
bool ranges_of_descriptors() { return is_answered(syscall(SYS_close_range, ~0U, 0U, 0U)); }
bool process_descriptors() {
  const long process = syscall(SYS_pidfd_open, getpid(), 0);
  const bool answered = is_answered(process);
  if (process >= 0) close(static_cast<int>(process));
  return answered;
}
bool careful_opening() {
  const open_how how = {};
  return is_answered(syscall(SYS_openat2, -1, "casemate-doctor", &how, sizeof(how)));
}
bool pairs_of_sockets() {
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) return is_answered(-1);
  close(sockets[0]);
  close(sockets[1]);
  return true;
}

struct NeededCall {
  const char* name;
  bool (*is_allowed)();
  Verdict without;
};

constexpr NeededCall kCalls[] = {
    {"memfd_create", memory_files, Verdict::kRequired},        {"execveat", exec_of_descriptors, Verdict::kRequired},
    {"close_range", ranges_of_descriptors, Verdict::kLimited}, {"pidfd_open", process_descriptors, Verdict::kLimited},
    {"openat2", careful_opening, Verdict::kLimited},           {"socketpair", pairs_of_sockets, Verdict::kLimited},
};

}  // namespace

Finding examine_needed_calls() {
  Verdict worst = Verdict::kGood;
  std::string refused;
  for (const NeededCall& call : kCalls) {
    if (call.is_allowed()) continue;
    refused += (refused.empty() ? "" : ", ") + std::string(call.name);
    if (worst != Verdict::kRequired) worst = call.without;
  }
  const char* const consequence =
      worst == Verdict::kGood ? "no profile refuses what the runtime and the keeper need"
      : worst == Verdict::kRequired
          ? "no program can run: allow these calls in the container's seccomp profile"
          : "runs with --fs and --policy fail: allow these calls in the container's seccomp profile";
  return {"needed_calls", "Calls that we need", worst, refused.empty() ? "all allowed" : "refused: " + refused,
          consequence};
}

}  // namespace casemate::cli
