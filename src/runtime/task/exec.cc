// execve of the program = checks here, a LaunchState in a memfd, then a real execve of the runtime's own image with the
// program's argv and environment, which the new image runs on. docs/development/plan-runtime.md, "Exec".
//
// What a hostile host can do here -> what we answer
//  - change files between our checks and the load in the new image -> the new image parses everything again and refuses
#include "runtime/task/exec.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "runtime/boot/launch_state.h"
#include "runtime/boot/words.h"
#include "runtime/files/memory_file.h"
#include "runtime/files/views.h"
#include "runtime/intercept/dispatch.h"
#include "runtime/intercept/line.h"
#include "runtime/intercept/process.h"
#include "runtime/intercept/tracing.h"
#include "runtime/loader/load.h"
#include "runtime/loader/probe.h"
#include "runtime/loader/script.h"
#include "runtime/memory/guest.h"
#include "runtime/netshield/net.h"
#include "runtime/shield/shield.h"
#include "runtime/signal/signals.h"
#include "runtime/task/tasks.h"

namespace casemate::runtime {
namespace {

inline constexpr long kE2Big = -7, kEnoent = -2, kEperm = -1;
inline constexpr std::uint64_t kAtExecveCheck = 0x10000;
inline constexpr std::size_t kMaxPath = 4096;
inline constexpr std::size_t kMaxArguments = 1 << 20;

// What one script on the way to the program inserts into argv.
struct Script {
  char name[kMaxPath];
  char interpreter[kScriptHeadSize];
  char argument[kScriptHeadSize];
};

// Working memory of one exec, from mmap: stacks are small, and several tasks may exec at once.
struct ExecMemory {
  LaunchState state;
  std::byte scratch[kLoadScratchSize];
  char name[kMaxPath + 32];  // as the kernel names the program, /dev/fd/N/ included
  char path[kMaxPath];       // as the caller gave it
  Script scripts[kMaxScriptDepth + 1];
};

// argv under construction: what scripts insert, which takes the place of the program's first entry. count is 0 without
// scripts.
struct Arguments {
  // A script found through a close-on-exec descriptor: its interpreter could not open it.
  bool name_vanishes;
  unsigned count;
  const char* inserted[2 * (kMaxScriptDepth + 1) + 1];
};

class Descriptor {
 public:
  explicit Descriptor(long fd) : fd_(fd) {}
  ~Descriptor() { reset(-1); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  void reset(long fd) {
    if (fd_ >= 0) host_call(SYS_close, fd_);
    fd_ = fd;
  }
  long get() const { return fd_; }

 private:
  long fd_;
};

long open_program(int directory, const char* path, std::uint64_t flags) {
  if (view_of(path) == View::kExe) path = g_process.exe_path;
  return open_executable(directory, path, static_cast<unsigned>(flags));
}

long status_of_program(long fd, ProgramFileStatus& status) {
  if (g_process.shield_active) return shield_program_status(fd, status);
  struct stat kernel_status;
  const long error = host_call(SYS_fstat, fd, reinterpret_cast<long>(&kernel_status));
  if (error == 0) status = {kernel_status.st_mode, kernel_status.st_uid, kernel_status.st_gid};
  return error;
}

// Gaining privileges through the file would give them to the runtime's image instead: refuse rather than run without.
long check_set_id(long fd) {
  ProgramFileStatus status{};
  if (const long error = status_of_program(fd, status); error != 0) return error;
  const auto user = static_cast<std::uint32_t>(host_call(SYS_geteuid));
  const auto group = static_cast<std::uint32_t>(host_call(SYS_getegid));
  const bool sets_user = (status.mode & S_ISUID) != 0 && status.uid != user;
  const bool sets_group = (status.mode & S_ISGID) != 0 && (status.mode & S_IXGRP) != 0 && status.gid != group;
  return sets_user || sets_group ? kEperm : 0;
}

void copy_text(char* to, const char* from, std::size_t capacity) {
  std::size_t i = 0;
  for (; i + 1 < capacity && from[i] != 0; ++i) to[i] = from[i];
  to[i] = 0;
}

// Puts interpreter and argument of a script before its name, which takes the place of the first entry.
void insert_script(Arguments& arguments, const char* script, const char* interpreter, const char* argument) {
  const unsigned added = argument != nullptr ? 2 : 1;
  if (arguments.count == 0) arguments.count = 1;
  for (unsigned i = arguments.count; i > 0; --i) arguments.inserted[i - 1 + added] = arguments.inserted[i - 1];
  arguments.inserted[added] = script;
  arguments.inserted[0] = interpreter;
  if (added == 2) arguments.inserted[1] = argument;
  arguments.count += added;
}

// Follows scripts to the ELF file: on success `program` is open on it.
long resolve(ExecMemory& memory, Descriptor& program, Arguments& arguments, const char* name) {
  for (unsigned depth = 0;; ++depth) {
    const ExecProbe probe = probe_program(static_cast<int>(program.get()), depth, memory.scratch);
    if (probe.kind == ProbeKind::kFailed) return -probe.failure.error_number;
    if (probe.kind == ProbeKind::kElf) return check_set_id(program.get());
    if (arguments.name_vanishes && depth == 0) return kEnoent;
    Script& script = memory.scripts[depth];
    copy_text(script.name, name, sizeof(script.name));
    copy_text(script.interpreter, probe.interpreter, sizeof(script.interpreter));
    if (probe.argument != nullptr) copy_text(script.argument, probe.argument, sizeof(script.argument));
    insert_script(arguments, script.name, script.interpreter, probe.argument != nullptr ? script.argument : nullptr);
    name = script.interpreter;
    const long fd = open_program(AT_FDCWD, name, 0);
    if (is_error(fd)) return fd;
    program.reset(fd);
  }
}

void set_comm(LaunchState& state) {
  const char* base = state.exec_path;
  for (const char* at = state.exec_path; *at != 0; ++at) {
    if (*at == '/') base = at + 1;
  }
  copy_text(state.comm, base, sizeof(state.comm));
}

// Two neighbouring descriptors, the runtime's image at the returned number and the state behind it, both inherited.
long place_descriptors(const Thread& thread, long state_fd, long& placed_state) {
  long low = thread.descriptors->runtime_fd() & ~15;
  for (unsigned attempt = 0; attempt < 64; ++attempt) {
    const long runtime = host_call(SYS_fcntl, thread.descriptors->runtime_fd(), F_DUPFD, low);
    if (is_error(runtime)) {
      if (low == 3) return runtime;
      low = 3;  // RLIMIT_NOFILE is below our window now
      continue;
    }
    placed_state = host_call(SYS_fcntl, state_fd, F_DUPFD, runtime + 1);
    if (placed_state == runtime + 1) return runtime;
    if (!is_error(placed_state)) host_call(SYS_close, placed_state);
    host_call(SYS_close, runtime);
    low = runtime + 1;
  }
  return -24;
}

void fill_state(const Thread& thread, LaunchState& state, long program_fd) {
  state.magic = kLaunchMagic;
  state.version = kLaunchVersion;
  state.program_fd = static_cast<std::int32_t>(program_fd);
  state.trace_mode = g_process.trace_mode;
  state.trace_fd = thread.descriptors->trace_fd();
  state.flags = g_process.launch_flags & ~kLaunchFirst;
  state.ignored_runtime_signals = static_cast<std::uint32_t>(signals_before_exec(const_cast<Thread&>(thread)));
  state.virtually_blocked = thread.virtually_blocked;
  state.summary_fd = thread.descriptors->summary_fd();
  state.first_pid = g_process.first_pid;
  state.diagnostics_fd = -1;
  state.shield_fd = -1;
  if (g_process.shield_active) shield_fill_launch(thread, state);
  net_fill_launch(thread, state);
  state.effective_group = static_cast<std::uint32_t>(host_call(SYS_getegid));
  __builtin_memcpy(state.warned, g_process.warned, sizeof(state.warned));
  set_comm(state);
}

void inherit_own(const Thread& thread, long descriptor_flags) {
  for (unsigned i = kTraceFd; i <= kHelloFd; ++i) {
    const std::int32_t fd = thread.descriptors->own[i];
    if (fd >= 0) host_call(SYS_fcntl, fd, F_SETFD, descriptor_flags);
  }
}

// The point of no return. Returns only on failure.
long enter_image(Thread& thread, ExecMemory& memory, long program_fd, std::uint64_t argv, std::uint64_t envp) {
  Descriptor program(host_call(SYS_fcntl, program_fd, F_DUPFD, thread.descriptors->runtime_fd() & ~15));
  if (is_error(program.get())) program.reset(host_call(SYS_fcntl, program_fd, F_DUPFD, 3));
  if (is_error(program.get())) return program.get();
  fill_state(thread, memory.state, program.get());
  Descriptor words(-1);
  std::uint64_t shown_argv[2] = {reinterpret_cast<std::uint64_t>(memory.state.comm), 0}, shown_envp[1] = {0};
  if ((g_process.launch_flags & kLaunchPrivateWords) != 0) {
    const Descriptor packed(pack_words(argv, envp));
    if (is_error(packed.get())) return packed.get();
    words.reset(host_call(SYS_fcntl, packed.get(), F_DUPFD, 3));
    if (is_error(words.get())) return words.get();
    argv = reinterpret_cast<std::uint64_t>(shown_argv);
    envp = reinterpret_cast<std::uint64_t>(shown_envp);
  }
  memory.state.words_fd = static_cast<std::int32_t>(words.get());
  const Descriptor state(create_memory_file("casemate-launch", Inheritance::kCloseOnExec));
  if (is_error(state.get())) return state.get();
  const long written = host_call(SYS_write, state.get(), reinterpret_cast<long>(&memory.state), sizeof(LaunchState));
  if (written != static_cast<long>(sizeof(LaunchState))) return is_error(written) ? written : -12;
  long placed_state = -1;
  const Descriptor runtime(place_descriptors(thread, state.get(), placed_state));
  if (is_error(runtime.get())) return runtime.get();
  const Descriptor placed(placed_state);
  inherit_own(thread, 0);
  const std::uint64_t arguments[6] = {
      static_cast<std::uint64_t>(runtime.get()), reinterpret_cast<std::uint64_t>(""), argv, envp, AT_EMPTY_PATH, 0};
  trace_departure(thread);
  if (g_process.net_active) net_before_exec(thread);
  const long result = pass_arguments(SYS_execveat, arguments);
  inherit_own(thread, FD_CLOEXEC);
  return result;
}

// The program's argv behind what scripts inserted. Null-terminated array in memory of its own (size in `bytes`).
long build_argv(const Arguments& arguments, std::uint64_t argv, std::uint64_t& built, std::uint64_t& bytes) {
  std::size_t count = 0;
  if (argv != 0) {
    for (;; ++count) {
      std::uint64_t entry = 0;
      if (count == kMaxArguments) return kE2Big;
      // The first argv may be the runtime's own stack copy or program memory: both are readable through casemate_copy.
      if (const long error = read_guest(entry, guest(argv + 8 * count)); error != 0) return error;
      if (entry == 0) break;
    }
  }
  bytes = 8 * (count + arguments.count + 1);
  const long memory =
      host_call(SYS_mmap, 0, static_cast<long>(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (is_error(memory)) return memory;
  built = static_cast<std::uint64_t>(memory);
  auto* out = reinterpret_cast<std::uint64_t*>(memory);
  for (unsigned i = 0; i < arguments.count; ++i) *out++ = reinterpret_cast<std::uint64_t>(arguments.inserted[i]);
  for (std::size_t i = 1; i < count; ++i) {
    if (const long error = read_guest(*out++, guest(argv + 8 * i)); error != 0) return error;
  }
  *out = 0;
  return 0;
}

enum class NameKind { kLasting, kVanishing };

long exec_opened(Thread& thread, ExecMemory& memory, long fd, const char* name, NameKind kind, std::uint64_t argv,
                 std::uint64_t envp) {
  Descriptor program(fd);
  if (is_error(fd)) return fd;
  Arguments arguments{};
  arguments.name_vanishes = kind == NameKind::kVanishing;
  if (const long error = resolve(memory, program, arguments, name); error != 0) return error;
  copy_text(memory.state.exec_path, name, sizeof(memory.state.exec_path));
  if (arguments.count == 0) return enter_image(thread, memory, program.get(), argv, envp);
  std::uint64_t built = 0, bytes = 0;
  long result = build_argv(arguments, argv, built, bytes);
  if (result == 0) result = enter_image(thread, memory, program.get(), built, envp);
  if (built != 0) host_call(SYS_munmap, static_cast<long>(built), static_cast<long>(bytes));
  return result;
}

ExecMemory* exec_memory() {
  const long mapped =
      host_call(SYS_mmap, 0, sizeof(ExecMemory), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return is_error(mapped) ? nullptr : reinterpret_cast<ExecMemory*>(mapped);
}

long exec_at(Thread& thread, int directory, GuestAddr path_address, std::uint64_t argv, std::uint64_t envp,
             std::uint64_t flags) {
  ExecMemory* const memory = exec_memory();
  if (memory == nullptr) return -12;
  long result = read_guest_string(memory->path, kMaxPath, path_address);
  if (result == 0 && (flags & AT_EMPTY_PATH) == 0) result = kEnoent;
  if (!is_error(result)) {
    const long fd = open_program(directory, memory->path, flags);
    NameKind kind = NameKind::kLasting;
    std::size_t prefix_size = 0;
    if (directory != AT_FDCWD && memory->path[0] != '/') {
      if ((host_call(SYS_fcntl, directory, F_GETFD) & FD_CLOEXEC) != 0) kind = NameKind::kVanishing;
      Line prefix;
      prefix.text("/dev/fd/").number(directory).text(memory->path[0] != 0 ? "/" : "");
      copy_text(memory->name, prefix.c_str(), sizeof(memory->name));
      prefix_size = prefix.size();
    }
    copy_text(memory->name + prefix_size, memory->path, sizeof(memory->name) - prefix_size);
    result = exec_opened(thread, *memory, fd, memory->name, kind, argv, envp);
  }
  host_call(SYS_munmap, reinterpret_cast<long>(memory), sizeof(ExecMemory));
  return result;
}

}  // namespace

long exec_script_at_start(Thread& thread, const char* path, char** argv, char** envp) {
  ExecMemory* const memory = exec_memory();
  if (memory == nullptr) return -12;
  const long fd = open_program(AT_FDCWD, path, 0);
  return exec_opened(thread, *memory, fd, path, NameKind::kLasting, reinterpret_cast<std::uint64_t>(argv),
                     reinterpret_cast<std::uint64_t>(envp));
}

long sys_execve(Thread& thread, Regs& regs) {
  return exec_at(thread, AT_FDCWD, guest(regs.rdi), regs.rsi, regs.rdx, 0);
}

long sys_execveat(Thread& thread, Regs& regs) {
  if ((regs.r8 & ~std::uint64_t{AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | kAtExecveCheck}) != 0) return -22;
  // The kernel would judge a shielded file by its memory file: as a kernel before 6.14, which has no such check.
  if ((regs.r8 & kAtExecveCheck) != 0) return g_process.shield_active ? -22 : pass_through(thread, regs);
  return exec_at(thread, static_cast<int>(regs.rdi), guest(regs.rsi), regs.rdx, regs.r10, regs.r8);
}

}  // namespace casemate::runtime
