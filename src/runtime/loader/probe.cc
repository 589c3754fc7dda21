// See probe.h. Order of checks as in Linux's fs/exec.c: the file itself, then script depth, then format.
#include "runtime/loader/probe.h"

#include <asm/errno.h>
#include <asm/stat.h>
#include <asm/statfs.h>
#include <asm/unistd.h>
#include <linux/fcntl.h>

#include "runtime/engine/process/host_call.h"

namespace casemate::runtime {

constinit const FileAccess* g_file_access = nullptr;

namespace {

constexpr long kExecveCheck = 0x10000;     // AT_EXECVE_CHECK
constexpr long kAccessEffective = 0x200;   // AT_EACCESS, the same bit as AT_REMOVEDIR
constexpr long kMayExecute = 1;            // X_OK
constexpr unsigned long kMountNoexec = 8;  // ST_NOEXEC
constexpr unsigned kFileTypeMask = 0170000, kRegular = 0100000, kSymbolicLink = 0120000;  // inode(7)
constexpr long kOpenForReading = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

long stat_at(int directory_fd, const char* path, unsigned flags, struct stat& status) {
  return host_call(__NR_newfstatat, directory_fd, reinterpret_cast<long>(path), reinterpret_cast<long>(&status), flags);
}

bool has_type(const struct stat& status, unsigned type) { return (status.st_mode & kFileTypeMask) == type; }

// "/proc/self/fd/<fd>": the way from an O_PATH descriptor to one that can be read.
class DescriptorPath {
 public:
  explicit DescriptorPath(unsigned fd) {
    static constexpr char kPrefix[] = "/proc/self/fd/";
    std::size_t position = 0;
    for (; kPrefix[position] != '\0'; ++position) text_[position] = kPrefix[position];
    unsigned digits = 1;
    for (unsigned rest = fd / 10; rest != 0; rest /= 10) ++digits;
    text_[position + digits] = '\0';
    for (; digits != 0; fd /= 10) text_[position + --digits] = static_cast<char>('0' + fd % 10);
  }
  const char* text() const { return text_; }

 private:
  char text_[32];
};

long open_for_reading(int directory_fd, const char* path, long extra_flags) {
  return host_call(__NR_openat, directory_fd, reinterpret_cast<long>(path), kOpenForReading | extra_flags);
}

// The file behind a descriptor, whatever that was opened for.
long reopen(int fd) {
  const long mode = host_call(__NR_fcntl, fd, F_GETFL);
  if (is_error(mode)) return mode;
  const bool readable = (mode & O_PATH) == 0 && (mode & O_ACCMODE) != O_WRONLY;
  if (readable) return host_call(__NR_fcntl, fd, F_DUPFD_CLOEXEC, 0);
  const DescriptorPath path(static_cast<unsigned>(fd));
  return open_for_reading(AT_FDCWD, path.text(), 0);
}

LoadFailure refused(long result, ImageRole role) {
  LoadError error = LoadError::kSystemRefused;
  if (result == -EACCES) error = LoadError::kNotExecutable;
  if (result == -ETXTBSY) error = LoadError::kBusy;
  if (result == -ENOMEM) error = LoadError::kOutOfMemory;
  return failure_from_call(error, role, result);
}

// EACCES has two common reasons that a user mends differently.
bool on_noexec_mount(int fd) {
  struct statfs status;
  const long result = host_call(__NR_fstatfs, fd, reinterpret_cast<long>(&status));
  return !is_error(result) && (static_cast<unsigned long>(status.f_flags) & kMountNoexec) != 0;
}

// Asks the kernel for its whole verdict without executing. -EINVAL or -ENOSYS: this kernel cannot say.
long ask_kernel(int fd) {
  const char* const arguments[] = {"", nullptr};  // Linux logs a warning for an empty argv
  const char* const environment[] = {nullptr};
  return host_call(__NR_execveat, fd, reinterpret_cast<long>(""), reinterpret_cast<long>(arguments),
                   reinterpret_cast<long>(environment), AT_EMPTY_PATH | kExecveCheck);
}

ExecProbe probe_failed(const LoadFailure& failure) { return {.kind = ProbeKind::kFailed, .failure = failure}; }

LoadFailure check_interpreter(const ElfFile& program, std::span<std::byte> memory) {
  if (const LoadFailure failure = read_interpreter_path(program, memory); failed(failure)) return failure;
  const long fd = open_executable(AT_FDCWD, reinterpret_cast<const char*>(memory.data()), 0);
  if (is_error(fd)) return open_failure(fd, ImageRole::kInterpreter);
  ElfFile file = {.fd = static_cast<int>(fd), .scratch = memory};
  LoadFailure failure = check_executable(file.fd, ImageRole::kInterpreter);
  if (!failed(failure)) failure = read_head(file, ImageRole::kInterpreter);
  if (!failed(failure)) failure = read_plan(file, ImageRole::kInterpreter);
  release_elf(file);
  host_call(__NR_close, fd);
  return failure;
}

ExecProbe probe_elf(ElfFile& file, std::span<std::byte> rest) {
  LoadFailure failure = read_plan(file, ImageRole::kProgram);
  // Errors that kill the process natively come after everything that concerns the interpreter.
  const bool certain = failed(failure) && native_outcome(failure.error, failure.role) == NativeOutcome::kReturnsError;
  if (!certain && has_interpreter(file.plan)) {
    const LoadFailure interpreter_failure = check_interpreter(file, rest);
    const bool first = !failed(failure) || (failed(interpreter_failure) &&
                                            native_outcome(interpreter_failure.error, interpreter_failure.role) ==
                                                NativeOutcome::kReturnsError);
    if (first) failure = interpreter_failure;
  }
  release_elf(file);
  if (failed(failure)) return probe_failed(failure);
  return {.kind = ProbeKind::kElf,
          .failure = {},
          .type = file.plan.header.type,
          .stack = file.plan.stack,
          .interpreter_size = file.plan.interpreter_size};
}

// Terminates the line's two parts in place. The NUL behind a part may stand where the file's next byte was: nobody
// needs that any more, and the scratch is larger than a script line.
const char* terminate(std::span<std::byte> scratch, std::span<const std::byte> part) {
  const std::size_t begin = static_cast<std::size_t>(part.data() - scratch.data());
  scratch[begin + part.size()] = std::byte{0};
  return reinterpret_cast<const char*>(part.data());
}

ExecProbe probe_script(const ElfFile& file) {
  ScriptLine line;
  const LoadError error = parse_script_line(file.scratch.first(file.head_size), line);
  if (error != LoadError::kNone) return probe_failed(failure_of(error, ImageRole::kProgram));
  ExecProbe probe = {.kind = ProbeKind::kScript, .failure = {}};
  if (line.argument.data() != nullptr) probe.argument = terminate(file.scratch, line.argument);
  // Linux resolves an empty interpreter path to the working directory, and so answers EACCES instead of ENOENT.
  probe.interpreter = line.interpreter.empty() ? "." : terminate(file.scratch, line.interpreter);
  return probe;
}

}  // namespace

long open_executable(int directory_fd, const char* path, unsigned flags) {
  if (g_file_access != nullptr) return g_file_access->open(directory_fd, path, flags);
  return open_executable_of_kernel(directory_fd, path, flags);
}

long open_executable_of_kernel(int directory_fd, const char* path, unsigned flags) {
  struct stat status;
  const long found = stat_at(directory_fd, path, flags & (AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW), status);
  if (is_error(found)) return found;
  if (has_type(status, kSymbolicLink)) return -ELOOP;
  if (!has_type(status, kRegular)) return -EACCES;
  if (path[0] == '\0') return reopen(directory_fd);
  return open_for_reading(directory_fd, path, flags & AT_SYMLINK_NOFOLLOW ? O_NOFOLLOW : 0);
}

LoadFailure open_failure(long result, ImageRole role) {
  LoadError error = LoadError::kSystemRefused;
  if (result == -ENOENT) error = LoadError::kNotFound;
  if (result == -EACCES) error = LoadError::kNotReadable;
  return failure_from_call(error, role, result);
}

LoadFailure check_executable(int fd, ImageRole role) {
  if (g_file_access != nullptr) {
    const long verdict = g_file_access->check(fd);
    if (verdict != kCheckByKernel) return verdict == 0 ? LoadFailure{} : refused(verdict, role);
  }
  struct stat status;
  if (const long result = stat_at(fd, "", AT_EMPTY_PATH, status); is_error(result)) return refused(result, role);
  if (!has_type(status, kRegular)) return failure_of(LoadError::kNotRegularFile, role);
  // The kernel's verdict builds half a process image (60 us against 1-4 us for faccessat2, on a busy two-core machine),
  // so it is asked for once: an interpreter that is being written is not worth that.
  long result = role == ImageRole::kProgram ? ask_kernel(fd) : -ENOSYS;
  const bool kernel_answered = result != -EINVAL && result != -ENOSYS;
  if (!kernel_answered) {
    result = host_call(__NR_faccessat2, fd, reinterpret_cast<long>(""), kMayExecute, AT_EMPTY_PATH | kAccessEffective);
  }
  if (result == -EACCES || !kernel_answered) {
    if (on_noexec_mount(fd)) return failure_of(LoadError::kNoexecMount, role);
  }
  return is_error(result) ? refused(result, role) : LoadFailure{};
}

ExecProbe probe_program(int fd, unsigned depth, std::span<std::byte> scratch) {
  if (const LoadFailure failure = check_executable(fd, ImageRole::kProgram); failed(failure))
    return probe_failed(failure);
  if (depth > kMaxScriptDepth) return probe_failed(failure_of(LoadError::kScriptTooDeep, ImageRole::kProgram));
  ElfFile file = {.fd = fd, .scratch = scratch.first(kFileHeadSize)};
  if (const LoadFailure failure = read_head(file, ImageRole::kProgram); failed(failure)) return probe_failed(failure);
  const std::span<const std::byte> head = file.scratch.first(file.head_size);
  if (is_script(head)) return probe_script(file);
  ElfHeader header;
  if (parse_elf_header(head, header) == LoadError::kNotElf)
    return probe_failed(failure_of(LoadError::kUnknownFormat, ImageRole::kProgram));
  return probe_elf(file, scratch.subspan(kFileHeadSize));
}

}  // namespace casemate::runtime
