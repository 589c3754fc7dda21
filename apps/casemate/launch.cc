#include "casemate/launch.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <memory>

#include "casemate/doctor/dispatch_probe.h"
#include "casemate/doctor/host.h"
#include "casemate/las/evidence_request.h"

namespace casemate::cli {
namespace {

constexpr unsigned kNoexecSeal = 8;  // MFD_NOEXEC_SEAL, Linux 6.3
constexpr int kPreferredEnd = 1024;
constexpr int kWindow = 16;

std::string own_directory() {
  char path[4096];
  const ssize_t size = readlink("/proc/self/exe", path, sizeof(path));
  if (size <= 0) return "";
  const std::string text(path, static_cast<std::size_t>(size));
  return text.substr(0, text.rfind('/'));
}

// Dispositions survive exec, but the runtime takes these four for itself and must know what the program inherits.
std::uint32_t ignored_runtime_signals() {
  std::uint32_t ignored = 0;
  for (const int signal : {SIGSEGV, SIGBUS, SIGTRAP, SIGSYS}) {
    struct sigaction action = {};
    if (sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN) ignored |= 1U << (signal - 1);
  }
  return ignored;
}

template <std::size_t kCapacity>
void copy_text(char (&destination)[kCapacity], const std::string& source) {
  const std::size_t size = std::min(source.size(), kCapacity - 1);
  std::memcpy(destination, source.data(), size);
  destination[size] = '\0';
}

std::unique_ptr<runtime::LaunchState> describe(const RunProgram& request, const Program& program, int first,
                                               int shield_fd) {
  auto state = std::make_unique<runtime::LaunchState>();
  state->magic = runtime::kLaunchMagic;
  state->version = runtime::kLaunchVersion;
  state->program_fd = program.file.is_open() ? first + 2 : -1;
  state->shield_fd = shield_fd;
  state->trace_mode = request.trace;
  state->trace_fd = request.trace == runtime::TraceMode::kOff ? -1 : first + 3;
  state->flags = runtime::kLaunchFirst;
  if (request.noise == Noise::kQuiet) state->flags |= runtime::kLaunchQuiet;
  if (request.patching == Patching::kOff) state->flags |= runtime::kLaunchNoPatching;
  state->ignored_runtime_signals = ignored_runtime_signals();
  state->diagnostics_fd = -1;
  state->words_fd = -1;
  state->net_fd = state->net_arena_fd = -1;
  state->net_member = ~std::uint32_t{0};
  state->effective_group = getegid();
  copy_text(state->exec_path, program.path);
  copy_text(state->comm, program.path.substr(program.path.rfind('/') + 1));
  return state;
}

Result<UniqueFd> create_state_file() {
  UniqueFd file(memfd_create("casemate-launch", MFD_CLOEXEC | kNoexecSeal));
  if (!file.is_open() && errno == EINVAL) file.reset(memfd_create("casemate-launch", MFD_CLOEXEC));
  if (!file.is_open()) return own_failure("cannot create the memory file for the runtime", errno);
  return file;
}

Result<void> write_state(const UniqueFd& file, const runtime::LaunchState& state) {
  const ssize_t written = write(file.get(), &state, sizeof(state));
  if (written == static_cast<ssize_t>(sizeof(state))) return {};
  return own_failure("cannot write the memory file for the runtime", written < 0 ? errno : ENOMEM);
}

Result<UniqueFd> open_trace(const RunProgram& request) {
  if (request.trace == runtime::TraceMode::kOff) return UniqueFd();
  UniqueFd file;
  if (request.trace_file.empty()) {
    file.reset(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3));
    if (!file.is_open()) return own_failure("standard error is not open; use --trace-file for the trace", errno);
  } else {
    const int flags = O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOCTTY;
    file.reset(open(request.trace_file.c_str(), flags, 0666));
    if (!file.is_open()) return own_failure(request.trace_file + ": cannot write the trace there", errno);
  }
  return file;
}

bool is_free_descriptor(int fd) { return fcntl(fd, F_GETFD) < 0 && errno == EBADF; }

int choose_own_descriptors() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return -1;
  return choose_descriptors(limit.rlim_cur, is_free_descriptor);
}

// Inherited by the runtime's image, so without close-on-exec; it sets that itself where the program must not see them.
Result<void> place(const UniqueFd& source, int target) {
  if (dup3(source.get(), target, 0) == target) return {};
  return own_failure("cannot place a descriptor for the runtime", errno);
}

// The runtime knows its number from the launch state, so any free one will do.
Result<int> place_anywhere(const UniqueFd& source, int first) {
  if (!source.is_open()) return -1;
  int placed = fcntl(source.get(), F_DUPFD, first + kHandedDescriptors);
  if (placed < 0) placed = fcntl(source.get(), F_DUPFD, 3);
  if (placed < 0) return own_failure("cannot place a descriptor for the runtime", errno);
  return placed;
}

// Everything is opened before the places are chosen, so that no opened file can sit in one of them. Returns the first.
Result<int> hand_over(const RunProgram& request, const Program& program, const KeeperEnds& shield,
                      const UniqueFd& image) {
  const UniqueFd state = CASEMATE_TRY(create_state_file());
  const UniqueFd trace = CASEMATE_TRY(open_trace(request));
  const int first = choose_own_descriptors();
  if (first < 0) return own_failure("no free descriptors for the runtime; raise `ulimit -n` to at least 32", EMFILE);
  const UniqueFd* const sources[kHandedDescriptors] = {&image, &state, &program.file, &trace};
  for (int i = 0; i < kHandedDescriptors; ++i) {
    if (!sources[i]->is_open()) continue;
    if (Result<void> placed = place(*sources[i], first + i); !placed.has_value()) return placed.error();
  }
  const int shield_fd = CASEMATE_TRY(place_anywhere(shield.hello, first));
  const int net_fd = CASEMATE_TRY(place_anywhere(shield.network, first));
  const int net_arena_fd = CASEMATE_TRY(place_anywhere(shield.network_arena, first));
  const std::unique_ptr<runtime::LaunchState> description = describe(request, program, first, shield_fd);
  description->net_fd = net_fd;
  description->net_arena_fd = net_arena_fd;
  if (request.evidence.has_value()) {
    const UniqueFd evidence = CASEMATE_TRY(open_evidence(*request.evidence));
    const int evidence_fd = CASEMATE_TRY(place_anywhere(evidence, first));
    description->attest = CASEMATE_TRY(prepare_evidence(*request.evidence, evidence_fd));
    description->flags |= runtime::kLaunchSealed;
  }
  Result<void> written = write_state(state, *description);
  if (!written.has_value()) return written.error();
  return first;
}

Error exec_failure(int code) {
  if (code == E2BIG) return own_failure("the program's arguments and environment are too long", code);
  return own_failure("cannot start casemate-runtime; is it complete and on a mount without noexec?", code);
}

}  // namespace

Error own_failure(const std::string& what, int code) {
  return Error(ErrorCategory::kExhausted, what + ": " + std::strerror(code), code);
}

int choose_descriptors(std::uint64_t soft_limit, const std::function<bool(int)>& is_free) {
  const int end = static_cast<int>(std::min<std::uint64_t>(soft_limit, 1 << 20));
  const auto fits = [&](int first) {
    if (first < 3 || first + kHandedDescriptors > end) return false;
    for (int i = 0; i < kHandedDescriptors; ++i) {
      if (!is_free(first + i)) return false;
    }
    return true;
  };
  const int preferred = std::min(end, kPreferredEnd) - kWindow;
  for (int first = preferred; first >= 3; --first) {
    if (fits(first)) return first;
  }
  for (int first = std::max(preferred + 1, 3); first + kHandedDescriptors <= end; ++first) {
    if (fits(first)) return first;
  }
  return -1;
}

Result<UniqueFd> open_own_program(const std::string& name) {
  const std::string directory = own_directory();
  const std::string candidates[] = {directory + "/" + name, directory + "/../libexec/casemate/" + name};
  for (const std::string& candidate : candidates) {
    UniqueFd file(open(candidate.c_str(), O_RDONLY | O_CLOEXEC));
    if (file.is_open()) return file;
    if (errno != ENOENT && errno != ENOTDIR) return own_failure(candidate + ": cannot open it", errno);
  }
  return Error(ErrorCategory::kNotFound, name + " is neither in " + directory + " nor in " + directory +
                                             "/../libexec/casemate; install all executables together (`make install`)");
}

Result<UniqueFd> open_runtime() { return open_own_program("casemate-runtime"); }

Result<void> check_kernel() {
  // Switching it off is allowed always, and fails exactly where it does not exist.
  if (prctl(kSyscallUserDispatch, 0, 0, 0, 0) == 0) return {};
  const int code = errno;
  utsname name = {};
  uname(&name);
  std::string reason = std::string("refuses Syscall User Dispatch (") + std::strerror(code) + "): a seccomp profile";
  if (code == EINVAL && release_is_at_least(name.release, 5, 11)) {
    reason = "offers no Syscall User Dispatch: CONFIG_GENERIC_ENTRY is missing, or this is Casemate inside Casemate";
  } else if (code == EINVAL) {
    reason = "is too old for Syscall User Dispatch: Linux 5.11 or newer on x86-64 is needed";
  }
  return Error(ErrorCategory::kSystem,
               "this kernel (" + std::string(name.release) + ") " + reason + "; see `casemate run --doctor`", code);
}

Error launch(const RunProgram& request, const Program& program, const KeeperEnds& shield, char** environment) {
  if (program.path.size() >= sizeof(runtime::LaunchState::exec_path)) {
    return own_failure("the program's path is too long", ENAMETOOLONG);
  }
  Result<UniqueFd> image = open_runtime();
  if (!image.has_value()) return image.error();
  std::vector<char*> arguments;
  arguments.reserve(request.words.size() + 1);
  for (const std::string& word : request.words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const Result<int> first = hand_over(request, program, shield, image.value());
  if (!first.has_value()) return first.error();
  syscall(SYS_execveat, first.value(), "", arguments.data(), environment, AT_EMPTY_PATH);
  return exec_failure(errno);
}

}  // namespace casemate::cli
