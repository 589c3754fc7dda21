#include "runtime/shield/shield.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sys/syscall.h>

#include "runtime/engine/process/host_call.h"
#include "runtime/loader/probe.h"
#include "runtime/shield/calls.h"
#include "runtime/shield/channel.h"
#include "runtime/shield/directories.h"
#include "runtime/shield/kinds.h"
#include "runtime/shield/mappings.h"
#include "runtime/shield/pages.h"
#include "runtime/shield/status.h"
#include "runtime/shield/windows.h"

namespace casemate::runtime {
namespace {

using protocol::NodeKind;
using protocol::Operation;
using protocol::PlaceKind;
using protocol::PopulatePurpose;
using protocol::ReplyKind;

inline constexpr int kExitOwnFailure = 125, kExitNotExecutable = 126, kExitNotFound = 127;
inline constexpr long kEacces = -13, kEio = -5, kEnoent = -2, kEnotdir = -20;
inline constexpr std::uint64_t kMayExecute = 1, kEffectiveAccess = 0x200;
inline constexpr std::uint64_t kOpenForReading = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

std::size_t length(const char* text) { return __builtin_strlen(text); }

// --- files that the loader opens ---

// A file just opened by the keeper: regular, or nothing for us; all its pages fetched and pinned.
long take_program(Thread& thread, const RequestMemory& memory) {
  const long fd = memory.received[0];
  if (fd < 0) return kEio;
  const std::uint32_t slot = kind_now(fd).slot;
  protocol::ShieldAttributes attributes;
  long error = slot == kNoSlot ? kEio : attributes_of(fd, slot, attributes);
  if (error == 0 && slot_at(slot).kind != NodeKind::kRegular) error = kEacces;
  if (error == 0) error = populate_pinned(thread, slot, {0, attributes.size}, PopulatePurpose::kMap);
  if (error == 0) return fd;
  host_call(SYS_close, fd);
  return error;
}

long open_program_file(int directory, const char* path, unsigned flags) {
  Thread& thread = current_thread();
  RequestMemory* const memory = begin_request(thread, Operation::kOpen);
  if (memory == nullptr) return -12;
  const std::size_t size = length(path);
  if (size >= protocol::kPathCapacity) return -36;
  __builtin_memcpy(memory->path[0], path, size + 1);
  const bool keeps = (flags & AT_SYMLINK_NOFOLLOW) != 0;
  const Located located = locate_text(thread, *memory, 0, directory, keeps ? Links::kKeep : Links::kFollow);
  if (located.error != 0) return located.error;
  const bool no_host_code = (g_process.launch_flags & kLaunchNoHostCode) != 0;
  if (located.way != Way::kKeeper) return no_host_code ? kEacces : open_executable_of_kernel(directory, path, flags);
  memory->request.arguments[0] = kOpenForReading | (keeps ? O_NOFOLLOW : 0);
  const long result = exchange(thread, *memory);
  if (is_error(result)) return result;
  if (memory->reply.kind == ReplyKind::kHostPaths) {
    if (no_host_code) return kEacces;
    return open_executable_of_kernel(AT_FDCWD, memory->host_path[0], flags & ~unsigned{AT_EMPTY_PATH});
  }
  return take_program(thread, *memory);
}

// 0 or the errno of a refusal for shielded files; kNotShielded for others.
long check_program_file(int fd) {
  const std::uint32_t slot = kind_now(fd).slot;
  if (slot == kNoSlot) return kCheckByKernel;
  const long result = slot_request(current_thread(), Operation::kAccess, slot, kMayExecute, kEffectiveAccess);
  return is_error(result) ? result : 0;
}

constexpr FileAccess kShieldedFiles = {&open_program_file, &check_program_file};

// --- the start of a run ---

// `wanted`, or the kernel's working directory, in the shield's view; "/" if that region does not exist.
void enter_first_directory(Thread& thread, const char* wanted) {
  for (unsigned attempt = 0; attempt < 2; ++attempt) {
    RequestMemory* const memory = begin_request(thread, Operation::kChangeDirectory);
    if (memory == nullptr) return;
    char* const path = memory->path[0];
    auto size = static_cast<long>(length(wanted));
    __builtin_memcpy(path, wanted, static_cast<std::size_t>(size) + 1);
    if (size == 0) size = host_call(SYS_getcwd, reinterpret_cast<long>(path), protocol::kPathCapacity) - 1;
    if (attempt != 0 || size <= 0 || path[0] != '/') {
      path[0] = '/';
      size = 1;
    }
    memory->request.base[0] = {PlaceKind::kRoot, 0, 0};
    memory->request.path_size[0] = static_cast<std::uint32_t>(size);
    if (!is_error(exchange(thread, *memory)) && enter_directory(thread, *memory) == 0) return;
  }
  host_call(SYS_chdir, reinterpret_cast<long>("/"));
}

const char* variable(char** environment, const char* name) {
  const std::size_t size = length(name);
  for (; *environment != nullptr; ++environment) {
    if (__builtin_memcmp(*environment, name, size) == 0 && (*environment)[size] == '=') return *environment + size + 1;
  }
  return nullptr;
}

bool has_slash(const char* word) {
  while (*word != 0 && *word != '/') ++word;
  return *word == '/';
}

// "<directory>/<word>" into `path`; an empty directory means the working directory. False: too long.
bool join(char (&path)[4096], const char* directory, std::size_t size, const char* word) {
  const std::size_t word_size = length(word);
  if (size + word_size + 2 > sizeof(path)) return false;
  __builtin_memcpy(path, directory, size);
  if (size != 0) path[size++] = '/';
  __builtin_memcpy(path + size, word, word_size + 1);
  return true;
}

// Opens what may be executed there.
long open_candidate(const char* path) {
  const long fd = open_program_file(AT_FDCWD, path, 0);
  if (is_error(fd)) return fd;
  const long refusal = check_program_file(static_cast<int>(fd));
  if (refusal == 0 || refusal == kCheckByKernel) return fd;
  host_call(SYS_close, fd);
  return refusal;
}

// The word itself, or the first that fits along PATH; the path is in g_process.exec_path.
long search(const char* word, const char* directories) {
  if (has_slash(word)) {
    join(g_process.exec_path, "", 0, word);
    return open_candidate(g_process.exec_path);
  }
  long worst = kEnoent;
  for (;;) {
    std::size_t size = 0;
    while (directories[size] != 0 && directories[size] != ':') ++size;
    if (join(g_process.exec_path, directories, size, word)) {
      const long fd = open_candidate(g_process.exec_path);
      if (!is_error(fd)) return fd;
      if (fd != kEnoent && fd != kEnotdir) worst = fd;
    }
    if (directories[size] == 0) return worst;
    directories += size + 1;
  }
}

}  // namespace

void shield_boot(Thread& thread, const LaunchState& state) {
  DescriptorState& descriptors = *thread.descriptors;
  descriptors.own[kHelloFd] = state.shield_fd;
  descriptors.own_count = kFirstChannelFd;
  host_call(SYS_fcntl, state.shield_fd, F_SETFD, FD_CLOEXEC);
  thread.directories = directories_create(state);
  if (thread.directories == nullptr || channels_attach(thread) != 0) {
    fail("the keeper of this run's volumes does not answer", "see its messages above", kExitOwnFailure);
  }
  kinds_create(descriptors);
  g_file_access = &kShieldedFiles;
  if (state.working_directory.kind == PlaceKind::kNone) enter_first_directory(thread, state.first_directory);
}

void shield_find_program(Thread&, LaunchState& state, char** environment) {
  const char* path = variable(environment, "PATH");
  const long fd = search(state.exec_path, path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin");
  if (is_error(fd)) {
    const bool missing = fd == kEnoent || fd == kEnotdir;
    fail(missing ? "no such program among this run's files" : "the program cannot be executed", state.exec_path,
         missing ? kExitNotFound : kExitNotExecutable);
  }
  state.program_fd = static_cast<std::int32_t>(fd);
  __builtin_memcpy(state.exec_path, g_process.exec_path, sizeof(state.exec_path));
}

bool shield_prepare_child(Thread& parent, Thread& child, std::uint64_t flags) {
  if ((flags & CLONE_FILES) == 0) kinds_shared();
  if ((flags & CLONE_FS) != 0) {
    child.directories = parent.directories;
    child.directories->references.fetch_add(1);
  } else {
    child.directories = directories_copy(*parent.directories);
  }
  return child.directories != nullptr;
}

void shield_release_task(Thread& thread) {
  if (thread.directories != nullptr) directories_release(*thread.directories);
}

void shield_before_fork(Thread& thread, std::uint64_t flags) {
  kinds_shared();
  // Two address spaces that change one descriptor table cannot both know what is in it.
  if ((flags & CLONE_FILES) != 0) thread.descriptors->kinds = nullptr;
}

void shield_after_fork_in_child(Thread& thread, std::uint64_t flags) {
  if ((flags & CLONE_FILES) != 0) {
    channels_leave_to_other(*thread.descriptors);
  } else {
    channels_after_copy(*thread.descriptors);
  }
  directories_after_fork(*thread.directories);
  mappings_after_fork();
  windows_after_fork();
}

void shield_before_end(Thread& thread) {
  if (host_call(SYS_getpid) != 1) return;
  RequestMemory* const memory = begin_request(thread, Operation::kSynchronizeAll);
  if (memory != nullptr) exchange(thread, *memory);
}

void shield_fill_launch(const Thread& thread, LaunchState& state) {
  state.shield_fd = thread.descriptors->own[kHelloFd];
  remember_directories(*thread.directories, state);
}

long shield_program_status(long fd, ProgramFileStatus& status) {
  const std::uint32_t slot = kind_now(fd).slot;
  struct stat kernel_status;
  if (slot == kNoSlot) {
    const long error = host_call(SYS_fstat, fd, reinterpret_cast<long>(&kernel_status));
    if (error == 0) status = {kernel_status.st_mode, kernel_status.st_uid, kernel_status.st_gid};
    return error;
  }
  protocol::ShieldAttributes attributes;
  const long error = attributes_of(fd, slot, attributes);
  if (error == 0) status = {attributes.mode, attributes.uid, attributes.gid};
  return error;
}

bool shield_path_of(Thread& thread, long fd, char* path, std::size_t capacity) {
  const std::uint32_t slot = kind_now(fd).slot;
  if (slot == kNoSlot) return false;
  if (is_error(slot_request(thread, Operation::kPathOf, slot))) return false;
  const RequestMemory& memory = *thread.request_memory;
  const std::size_t size = memory.reply.data_size;
  if (size == 0 || size >= capacity) return false;
  __builtin_memcpy(path, reply_data(memory), size);
  path[size] = 0;
  return true;
}

}  // namespace casemate::runtime
