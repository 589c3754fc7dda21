// One description per call that takes a path or stands for one (f*() calls), and the driver that all of them share:
// say where the path starts, ask the keeper, then give the program its answer or make the program's own call on the
// host path that the keeper names. path_calls.cc holds the descriptions.
#pragma once

#include <cstdint>

#include "runtime/shield/channel.h"

namespace casemate::runtime {

// A path in a call: index of the argument with its directory (-1: the working directory) and of the path itself. Both
// -1: none. With `path` -1 only, the call is about the descriptor.
struct PathArgument {
  std::int8_t directory = -1, path = -1;
  constexpr bool used() const { return directory >= 0 || path >= 0; }
};

// What happens to a symbolic link at the path's end.
enum class Links : std::uint8_t {
  kFollow,
  kKeep,
  kUnlessNoFollow,  // AT_SYMLINK_NOFOLLOW in `flags`
  kIfFollow,        // AT_SYMLINK_FOLLOW in `flags`
  kOpenFlags,       // O_NOFOLLOW, or O_CREAT with O_EXCL: `open_flags` of the state
};

struct CallState;

struct ShieldCall {
  protocol::Operation operation;
  PathArgument places[2] = {};
  Links links = Links::kFollow;
  std::int8_t flags = -1;  // index of the AT_* flags; an empty path may mean the descriptor then
  std::int8_t text = -1;   // index of a string that goes along as path 1, never resolved
  // Puts the call's other arguments into the request. Negative errno: the call's result.
  long (*fill)(CallState& state) = nullptr;
  // After a reply that is the call's own answer: gives the program its data; the call's result.
  long (*finish)(CallState& state, long result) = nullptr;
  // Before the program's own call on host paths: adjusts state.arguments further.
  void (*adjust)(CallState& state) = nullptr;
};

struct CallState {
  Thread& thread;
  const Regs& regs;
  const ShieldCall& call;
  RequestMemory& memory;
  std::uint64_t arguments[6];  // the program's; later those of the call that is made for it
  std::uint64_t open_flags = 0;
  RequestData data = {};
  ReceivedKind received = ReceivedKind::kCloseOnExec;
};

long shield_call(Thread& thread, const Regs& regs, const ShieldCall& call);

// Where a located path leads.
enum class Way : std::uint8_t {
  kKernel,   // the kernel may resolve it
  kKeeper,   // base and path stand in the request
  kInvalid,  // the kernel knows the error
};
struct Located {
  long error;  // not 0: the call's result
  Way way;
};
// Reads path `which` of the call from program memory and finds out where it starts.
Located locate(CallState& state, unsigned which);
// The same for a path of the runtime's own memory, already in memory.path[which], from `directory` (AT_FDCWD).
// `links`: kFollow or kKeep.
Located locate_text(Thread& thread, RequestMemory& memory, unsigned which, std::int32_t directory, Links links);

// In views.cc, for paths that the shield does not know either.
long finish_open(CallState& state, long result);
long finish_chdir(Thread& thread, RequestMemory& memory);
long finish_chroot(Thread& thread, RequestMemory& memory);

// In descriptor_calls.cc. RLIMIT_FSIZE, bytes; and what a call that would go beyond does: SIGXFSZ, and EFBIG.
inline constexpr std::uint64_t kNoSizeLimit = ~std::uint64_t{0};
std::uint64_t file_size_limit();
long exceed_size_limit(const Thread& thread);

// Handlers in runs with volumes for rows that have a handler of their own without.
#define CASEMATE_SHIELD_HANDLERS(X) \
  X(open)                           \
  X(creat)                          \
  X(openat)                         \
  X(openat2)                        \
  X(stat)                           \
  X(lstat)                          \
  X(newfstatat)                     \
  X(statx) X(access) X(faccessat) X(faccessat2) X(readlink) X(readlinkat) X(fstat) X(getdents) X(getdents64) X(fcntl)
#define CASEMATE_DECLARE(name) long shield_##name(Thread& thread, Regs& regs);
CASEMATE_SHIELD_HANDLERS(CASEMATE_DECLARE)
#undef CASEMATE_DECLARE

}  // namespace casemate::runtime
