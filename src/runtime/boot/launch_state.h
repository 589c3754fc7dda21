// What `casemate run` (at the start) and the runtime itself (at each execve of the program) hand to the next runtime
// image, through a memfd at descriptor N+1, where N is the runtime's descriptor named by AT_EXECFN.
// Plain data, fixed size; the reader validates magic, version and every terminator.
#pragma once

#include <cstdint>

#include "protocol/shield.h"
#include "runtime/boot/attest_launch.h"

namespace casemate::runtime {

inline constexpr std::uint64_t kLaunchMagic = 0x31656d6973616543;
inline constexpr std::uint32_t kLaunchVersion = 6;

enum class TraceMode : std::uint32_t { kOff = 0, kCalls = 1, kSummary = 2 };

struct LaunchState {
  std::uint64_t magic;
  std::uint32_t version;
  // O_PATH or O_RDONLY descriptor of the file to load (after #! resolution). -1: at the first start of a shielded run,
  // when exec_path is the word that names the program; the image looks for it along PATH in the program's view.
  std::int32_t program_fd;
  TraceMode trace_mode;
  std::int32_t trace_fd;                  // -1: none
  std::uint32_t flags;                    // kLaunch*
  std::uint32_t ignored_runtime_signals;  // bits: SIGSEGV, SIGBUS, SIGTRAP, SIGSYS the program ignores
  std::int32_t diagnostics_fd;            // where warnings go; -1: descriptor 2
  std::int32_t summary_fd;                // memory file with the TraceSummary of the run; -1: none
  std::uint64_t virtually_blocked;        // of the same signals, those the program believes blocked
  std::int64_t first_pid;                 // of the run: prints the summary when it ends
  std::uint64_t warned[8];                // system call numbers whose refusal has been reported already
  char exec_path[4096];                   // as given to execve: the program's AT_EXECFN
  char comm[16];
  std::int32_t shield_fd;  // hello socket of the file shield (protocol/shield.h), inherited by every image; -1: none
  std::int32_t words_fd;   // memory file with arguments and environment (private_words.h); -1: the kernel's are right
  // The process's directories in the shield's terms; filled at exec, all zero at the first start. A host directory as
  // working directory is the kernel's.
  protocol::Place root, working_directory;
  char root_path[protocol::kPathCapacity];  // of a kHostPath root, else empty
  char first_directory[1024];               // at the first start of a run under a policy: where it begins; else empty
  AttestLaunch attest;                      // only at the first start; all zero at exec
  // Network shield (netshield/shared/arena.h): the socket to the keeper and the arena, inherited by every image; -1:
  // none. And at exec the member that goes on; ~0 at the first start.
  std::int32_t net_fd, net_arena_fd;
  std::uint32_t net_member;
  std::uint32_t effective_group;  // of the image that hands over: what a set-group-id runtime goes back to
};

inline constexpr std::uint32_t kLaunchQuiet = 1;       // do not print one-time warnings
inline constexpr std::uint32_t kLaunchNoPatching = 2;  // every call traps (diagnosis, benchmarks)
inline constexpr std::uint32_t kLaunchFirst = 4;       // started by `casemate run`: errors are printed for the user
inline constexpr std::uint32_t kLaunchSealed = 8;      // this run has evidence: nobody may trace it or dump its memory
// Runs under a policy. Arguments and environment go from image to image in memory files, never through the kernel.
inline constexpr std::uint32_t kLaunchPrivateWords = 16;
// No program, interpreter or executable mapping from a file of the host.
inline constexpr std::uint32_t kLaunchNoHostCode = 32;

}  // namespace casemate::runtime
