#include "casemate/doctor/host.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>

#include "base/unique_fd.h"
#include "casemate/doctor/needed_calls.h"
#include "casemate/doctor/trusted_hardware.h"

namespace casemate::cli {
namespace {

constexpr long kMemfdSecret = 447;
constexpr unsigned long kFsgsbaseBit = 2;  // AT_HWCAP2, arch/x86/include/uapi/asm/hwcap2.h

// The first line of a small kernel file; nothing when it does not exist or may not be read.
std::optional<std::string> kernel_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  if (!file || !std::getline(file, line)) return std::nullopt;
  return line;
}

std::string whole_file(const char* path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

Finding kernel() {
  utsname name = {};
  uname(&name);
  const bool recent = release_is_at_least(name.release, 5, 11);
  const bool machine = std::strcmp(name.machine, "x86_64") == 0;
  const Verdict verdict = recent && machine ? Verdict::kGood : Verdict::kRequired;
  return {"kernel", "Kernel", verdict, fmt::format("{} {} {}", name.sysname, name.release, name.machine),
          verdict == Verdict::kGood ? "new enough (5.11 or later on x86-64)"
                                    : "no program can run: Linux 5.11 or later on x86-64 is needed"};
}

Finding fsgsbase() {
  const bool offered = (getauxval(AT_HWCAP2) & kFsgsbaseBit) != 0;
  return {"fsgsbase", "FSGSBASE", offered ? Verdict::kGood : Verdict::kLimited, offered ? "yes" : "no",
          offered ? "FS and GS can be switched without entering the kernel"
                  : "the process engine runs without it; hosted shields would pay two kernel entries per switch"};
}

Finding membarrier() {
  const long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
  const bool offered = commands > 0 && (commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE) != 0;
  return {"membarrier", "membarrier SYNC_CORE", offered ? Verdict::kGood : Verdict::kLimited, offered ? "yes" : "no",
          offered ? "code of running threads can be patched"
                  : "system calls of multi-threaded programs keep trapping: slow (about a microsecond each)"};
}

Finding memfd_secret() {
  const UniqueFd file(static_cast<int>(syscall(kMemfdSecret, O_CLOEXEC)));
  if (file.is_open()) {
    return {"memfd_secret", "memfd_secret", Verdict::kGood, "yes",
            "root keys can be hidden from the kernel's own maps"};
  }
  const int code = errno;
  return {"memfd_secret", "memfd_secret", Verdict::kMissing, std::string("no: ") + std::strerror(code),
          "root keys would live in ordinary memory; Linux 6.5, or secretmem.enable=1 on the kernel command line"};
}

Finding memfd_exec() {
  const std::string level = kernel_line("/proc/sys/vm/memfd_noexec").value_or("not in this kernel");
  if (level == "2") {
    return {"memfd_noexec", "vm.memfd_noexec", Verdict::kLimited, level,
            "programs that make code in memory files (some JIT compilers) fail, as they do natively"};
  }
  return {"memfd_noexec", "vm.memfd_noexec", Verdict::kGood, level, "executable memory files are allowed"};
}

bool child_can(int (*attempt)()) {
  const pid_t child = fork();
  if (child < 0) return false;
  if (child == 0) _exit(attempt() == 0 ? 0 : 1);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

Finding user_namespaces() {
  const bool allowed = child_can([] { return unshare(CLONE_NEWUSER); });
  return {"user_namespaces", "User namespaces", allowed ? Verdict::kGood : Verdict::kLimited, allowed ? "yes" : "no",
          allowed ? "programs that sandbox themselves can"
                  : "not needed by Casemate; programs that sandbox themselves fail, as they do natively"};
}

Finding seccomp() {
  const std::string mode = status_field(whole_file("/proc/self/status"), "Seccomp");
  if (mode == "0" || mode.empty()) {
    return {"seccomp", "Seccomp of the caller", Verdict::kGood, "none", "no filter stands in the way"};
  }
  return {
      "seccomp", "Seccomp of the caller", Verdict::kLimited, mode == "2" ? "filter" : "strict",
      "a container profile may refuse calls; the lines Syscall User Dispatch and Calls that we need tell which matter"};
}

Finding vsyscall() {
  const std::string maps = whole_file("/proc/self/maps");
  const bool present = maps.find("[vsyscall]") != std::string::npos;
  return {"vsyscall", "vsyscall page", present ? Verdict::kLimited : Verdict::kGood, present ? "mapped" : "none",
          present
              ? "time, gettimeofday and getcpu through it are not intercepted (they read clocks only); vsyscall=none"
              : "no kernel entry escapes interception"};
}

std::string size_text(rlim_t value) {
  if (value == RLIM_INFINITY) return "unlimited";
  if (value >= (1 << 20) && value % (1 << 20) == 0) return fmt::format("{} MiB", value >> 20);
  if (value >= (1 << 10)) return fmt::format("{} KiB", value >> 10);
  return fmt::format("{}", value);
}

rlimit limit_of(__rlimit_resource resource) {
  rlimit limit = {};
  getrlimit(resource, &limit);
  return limit;
}

Finding descriptor_limit() {
  const rlimit limit = limit_of(RLIMIT_NOFILE);
  const bool enough = limit.rlim_cur >= 64;
  return {"limit_nofile", "Limit: descriptors", enough ? Verdict::kGood : Verdict::kLimited,
          fmt::format("{} (hard {})", limit.rlim_cur, limit.rlim_max),
          enough ? "the runtime takes up to four of them" : "very few: the runtime takes up to four of them"};
}

Finding locked_memory_limit() {
  const rlimit limit = limit_of(RLIMIT_MEMLOCK);
  const bool enough = limit.rlim_cur >= 64 * 1024;
  return {"limit_memlock", "Limit: locked memory", enough ? Verdict::kGood : Verdict::kLimited,
          size_text(limit.rlim_cur),
          enough ? "enough for sealed keys" : "too small for sealed keys: they would live in ordinary memory"};
}

Finding address_space_limit() {
  const rlimit limit = limit_of(RLIMIT_AS);
  const bool unlimited = limit.rlim_cur == RLIM_INFINITY;
  return {"limit_as", "Limit: address space", unlimited ? Verdict::kGood : Verdict::kLimited, size_text(limit.rlim_cur),
          unlimited ? "not limited" : "the runtime's mappings count: 128 KiB per thread and 16 MiB of stubs per 2 GiB"};
}

Finding stack_limit() {
  const rlimit limit = limit_of(RLIMIT_STACK);
  return {"limit_stack", "Limit: stack", Verdict::kGood, size_text(limit.rlim_cur),
          "programs get the kernel's own stack with this limit"};
}

Finding overcommit() {
  const std::string mode = kernel_line("/proc/sys/vm/overcommit_memory").value_or("unknown");
  const bool strict = mode == "2";
  return {"overcommit", "vm.overcommit_memory", strict ? Verdict::kLimited : Verdict::kGood, mode,
          strict ? "strict: reserved memory of the runtime counts; large forks may fail, as they do natively"
                 : "reserved memory costs nothing"};
}

Finding huge_pages() {
  const std::string line = kernel_line("/sys/kernel/mm/transparent_hugepage/enabled").value_or("");
  const std::string mode = chosen_word(line);
  return {"thp", "Transparent huge pages", Verdict::kGood, mode.empty() ? "not in this kernel" : mode,
          mode == "always" ? "runtime memory may round up to 2 MiB pages: more memory per process, same speed"
                           : "no effect on the runtime"};
}

Finding mappings_limit() {
  const std::string line = kernel_line("/proc/sys/vm/max_map_count").value_or("0");
  long count = 0;
  std::from_chars(line.data(), line.data() + line.size(), count);
  const bool enough = count >= 65530;
  return {"max_map_count", "vm.max_map_count", enough ? Verdict::kGood : Verdict::kLimited, line,
          enough ? "the runtime takes two mappings per thread"
                 : "low: the runtime takes two mappings per thread; raise it for programs with many threads"};
}

Finding ptrace_scope() {
  const std::optional<std::string> scope = kernel_line("/proc/sys/kernel/yama/ptrace_scope");
  const bool open = !scope.has_value() || *scope == "0";
  return {"ptrace_scope", "yama ptrace_scope", open ? Verdict::kLimited : Verdict::kGood, scope.value_or("no yama"),
          open ? "any process of the same user can read the program's memory; 1 or more restricts that, never for root"
               : "other processes of the same user cannot attach; root still can"};
}

Finding swap() {
  const std::string text = whole_file("/proc/swaps");
  const bool used = text.find('\n') != std::string::npos && text.find('\n') + 1 < text.size();
  return {"swap", "Swap", used ? Verdict::kLimited : Verdict::kGood, used ? "in use" : "none",
          used ? "memory of programs can reach the disk; unless the device is encrypted, in the clear"
               : "memory does not reach a disk"};
}

Finding dispatch() { return judge_dispatch(probe_dispatch()); }

using Probe = Finding (*)();
constexpr Probe kProbes[] = {kernel,
                             dispatch,
                             fsgsbase,
                             membarrier,
                             vsyscall,
                             seccomp,
                             examine_needed_calls,
                             memfd_secret,
                             memfd_exec,
                             swap,
                             ptrace_scope,
                             user_namespaces,
                             descriptor_limit,
                             locked_memory_limit,
                             address_space_limit,
                             stack_limit,
                             overcommit,
                             huge_pages,
                             mappings_limit};

}  // namespace

bool release_is_at_least(std::string_view release, int major, int minor) {
  int found_major = 0;
  int found_minor = 0;
  const char* const end = release.data() + release.size();
  const auto first = std::from_chars(release.data(), end, found_major);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != '.') return false;
  if (std::from_chars(first.ptr + 1, end, found_minor).ec != std::errc()) return false;
  return found_major != major ? found_major > major : found_minor >= minor;
}

std::string status_field(std::string_view text, std::string_view key) {
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(key) || line.size() <= key.size() || line[key.size()] != ':') continue;
    const std::size_t begin = line.find_first_not_of(" \t", key.size() + 1);
    if (begin == std::string::npos) return "";
    return line.substr(begin, line.find_last_not_of(" \t") + 1 - begin);
  }
  return "";
}

std::string chosen_word(std::string_view text) {
  const std::size_t begin = text.find('[');
  const std::size_t end = text.find(']');
  if (begin == std::string_view::npos || end == std::string_view::npos || end < begin) return "";
  return std::string(text.substr(begin + 1, end - begin - 1));
}

Finding judge_dispatch(const DispatchProbe& probe) {
  Finding finding = {"syscall_user_dispatch", "Syscall User Dispatch", Verdict::kRequired, "", ""};
  switch (probe.stopped_at) {
    case DispatchStep::kComplete:
      finding.verdict = Verdict::kGood;
      finding.value = fmt::format("works: +{:.1f} ns per call", std::max(0.0, probe.armed_ns - probe.plain_ns));
      finding.consequence = fmt::format("call {:.0f} ns, armed {:.0f} ns, trapped {:.0f} ns (before a site is patched)",
                                        probe.plain_ns, probe.armed_ns, probe.trap_ns);
      return finding;
    case DispatchStep::kArm:
      finding.value = std::string("no: ") + std::strerror(probe.system_code);
      finding.consequence =
          probe.system_code == EINVAL
              ? "no program can run: Linux 5.11 or later with CONFIG_GENERIC_ENTRY is needed, outside of Casemate"
              : "no program can run: a seccomp profile refuses prctl";
      return finding;
    case DispatchStep::kNoTrap:
      finding.value = "offered, but does not trap";
      finding.consequence = "no program can run: this kernel (or an emulator of one) lets calls escape";
      return finding;
    case DispatchStep::kFork:
    case DispatchStep::kPage:
      finding.value = std::string("not tried: ") + std::strerror(probe.system_code);
      finding.consequence = "the trial needs a process and a page of memory; raise the limits";
      return finding;
    case DispatchStep::kChildDied:
      break;
  }
  finding.value = "the trial process died";
  finding.consequence = "no program can run: this kernel does not serve the trap as Linux does";
  return finding;
}

HostReport examine_host() {
  HostReport report;
  for (const Probe probe : kProbes) report.findings.push_back(probe());
  for (Finding& finding : examine_trusted_hardware(las::HostPaths())) report.findings.push_back(std::move(finding));
  return report;
}

}  // namespace casemate::cli
