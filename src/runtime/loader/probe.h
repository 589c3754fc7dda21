// Decides before an execve of the program whether it will succeed, because the real execve (of the runtime image)
// cannot fail back afterwards. Error numbers are those of Linux's execve.
//
// What a hostile host or peer can do here -> what we answer
//  - change or swap files after the probe -> the loader checks everything again; the process then ends with a report
//    instead of returning an error, but never runs on unchecked headers
//  - FIFOs and devices as programs -> looked at with stat before they are opened, so that execve has no side effect
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/loader/elf_file.h"
#include "runtime/loader/load_error.h"
#include "runtime/loader/script.h"

namespace casemate::runtime {

// Who opens program files: null, the kernel alone. Runs with volumes set it at boot (shield/shield.h).
struct FileAccess {
  // open_executable, below.
  long (*open)(int directory_fd, const char* path, unsigned flags);
  // May the caller execute the open file? 0, a negative errno, or kCheckByKernel.
  long (*check)(int fd);
};
inline constexpr long kCheckByKernel = 1;
extern const FileAccess* g_file_access;

enum class ProbeKind : std::uint8_t { kFailed, kElf, kScript };

struct ExecProbe {
  ProbeKind kind = ProbeKind::kFailed;
  LoadFailure failure = {};  // kFailed: execve returns -failure.error_number

  // kScript: NUL-terminated, in the scratch memory. The caller puts interpreter, argument (if not null) and the
  // script's path before argv[1...], opens the interpreter and probes that with depth + 1.
  const char* interpreter = nullptr;
  const char* argument = nullptr;

  // kElf
  ElfType type = ElfType::kPositionIndependent;
  StackExecution stack = StackExecution::kDefault;
  std::uint64_t interpreter_size = 0;  // 0: no PT_INTERP
};

// Opens a file for probe_program as execveat(directory_fd, path, flags) would: flags may hold AT_EMPTY_PATH and
// AT_SYMLINK_NOFOLLOW; relative paths start at directory_fd, absolute ones at the process's root. `path` is our memory.
// Returns a descriptor (close-on-exec, for reading; the caller closes it) or the negative errno of execve: ENOENT,
// ENOTDIR, ELOOP, EACCES (not a regular file, no search permission), ... Execute permission is probe_program's
// business.
[[nodiscard]] long open_executable(int directory_fd, const char* path, unsigned flags);

// The same among the kernel's files only.
[[nodiscard]] long open_executable_of_kernel(int directory_fd, const char* path, unsigned flags);

// The reason for a failed open_executable.
[[nodiscard]] LoadFailure open_failure(long result, ImageRole role);

// Regular file, execute permission, noexec mount; for programs exactly as the kernel sees it (ETXTBSY, security
// modules, process limit) where Linux has AT_EXECVE_CHECK (6.14).
[[nodiscard]] LoadFailure check_executable(int fd, ImageRole role);

// One level: `depth` is 0 for the file that execve names, 1 for its script interpreter, and so on.
// Requires: `fd` is open for reading; scratch holds kLoadScratchSize bytes. A script behind a close-on-exec descriptor
// given by AT_EMPTY_PATH is ENOENT natively: the caller, who knows the descriptor, answers that.
[[nodiscard]] ExecProbe probe_program(int fd, unsigned depth, std::span<std::byte> scratch);

}  // namespace casemate::runtime
