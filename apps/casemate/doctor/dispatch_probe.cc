#include "casemate/doctor/dispatch_probe.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstring>

#include "base/unique_fd.h"

namespace casemate::cli {
namespace {

constexpr long kTaskSize = 0x7ffffffff000;
constexpr std::uint64_t kLowPage = 0x200000;  // below every executable, so that one range covers all other code
constexpr std::size_t kPageSize = 4096;
constexpr int kRounds = 7;
constexpr int kCalls = 50000;
constexpr int kTraps = 5000;
constexpr unsigned char kGetppidCode[] = {0xb8, 0x6e, 0, 0, 0, 0x0f, 0x05, 0xc3};  // mov $110,%eax; syscall; ret

volatile std::sig_atomic_t g_traps = 0;

void count_trap(int) { g_traps = g_traps + 1; }

long call_here() {
  long result = 0;
  asm volatile("syscall" : "=a"(result) : "a"(SYS_getppid) : "rcx", "r11", "memory");
  return result;
}

template <typename Function>
double nanoseconds_per_call(int calls, Function function) {
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < calls; ++i) function();
  const std::chrono::duration<double, std::nano> passed = std::chrono::steady_clock::now() - start;
  return passed.count() / calls;
}

int switch_dispatch(bool armed) {
  if (!armed) return prctl(kSyscallUserDispatch, 0, 0, 0, 0);
  const long begin = static_cast<long>(kLowPage + kPageSize);
  return prctl(kSyscallUserDispatch, 1, begin, kTaskSize - begin, 0);
}

using Caller = long (*)();

Caller make_foreign_caller() {
  void* page = mmap(reinterpret_cast<void*>(kLowPage), kPageSize, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (page == MAP_FAILED) return nullptr;
  std::memcpy(page, kGetppidCode, sizeof(kGetppidCode));
  if (mprotect(page, kPageSize, PROT_READ | PROT_EXEC) != 0) return nullptr;
  return reinterpret_cast<Caller>(page);
}

DispatchProbe stopped(DispatchStep step, int code) { return {step, code, 0, 0, 0}; }

// The lowest of several alternating rounds: what the machine can do when nothing else disturbs it.
DispatchProbe measure(Caller foreign) {
  DispatchProbe probe = {DispatchStep::kComplete, 0, 1e9, 1e9, 1e9};
  for (int round = 0; round < kRounds; ++round) {
    if (switch_dispatch(false) != 0) return stopped(DispatchStep::kArm, errno);
    probe.plain_ns = std::min(probe.plain_ns, nanoseconds_per_call(kCalls, call_here));
    if (switch_dispatch(true) != 0) return stopped(DispatchStep::kArm, errno);
    probe.armed_ns = std::min(probe.armed_ns, nanoseconds_per_call(kCalls, call_here));
    g_traps = 0;
    probe.trap_ns = std::min(probe.trap_ns, nanoseconds_per_call(kTraps, foreign));
    if (g_traps != kTraps) return stopped(DispatchStep::kNoTrap, 0);
  }
  return probe;
}

DispatchProbe run_in_child() {
  struct sigaction action = {};
  action.sa_handler = count_trap;
  sigemptyset(&action.sa_mask);
  sigaction(SIGSYS, &action, nullptr);
  sigset_t caught;
  sigemptyset(&caught);
  sigaddset(&caught, SIGSYS);
  sigprocmask(SIG_UNBLOCK, &caught, nullptr);
  const Caller foreign = make_foreign_caller();
  if (foreign == nullptr) return stopped(DispatchStep::kPage, errno);
  if (switch_dispatch(true) != 0) return stopped(DispatchStep::kArm, errno);
  foreign();
  if (g_traps != 1) return stopped(DispatchStep::kNoTrap, 0);
  return measure(foreign);
}

}  // namespace

DispatchProbe probe_dispatch() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return stopped(DispatchStep::kFork, errno);
  UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const pid_t child = fork();
  if (child < 0) return stopped(DispatchStep::kFork, errno);
  if (child == 0) {
    const DispatchProbe probe = run_in_child();
    const ssize_t written = write(write_end.get(), &probe, sizeof(probe));
    _exit(written == static_cast<ssize_t>(sizeof(probe)) ? 0 : 1);
  }
  write_end.reset();
  DispatchProbe probe = {};
  const ssize_t size = read(read_end.get(), &probe, sizeof(probe));
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return size == static_cast<ssize_t>(sizeof(probe)) ? probe : stopped(DispatchStep::kChildDied, 0);
}

}  // namespace casemate::cli
