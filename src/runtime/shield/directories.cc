#include "runtime/shield/directories.h"

#include <sys/syscall.h>

#include "runtime/engine/process/host_call.h"
#include "runtime/intercept/dispatch.h"
#include "runtime/intercept/table_pool.h"
#include "runtime/memory/guest.h"
#include "runtime/shield/kinds.h"
#include "runtime/table/table.h"

namespace casemate::runtime {
namespace {

using protocol::Operation;
using protocol::Place;
using protocol::PlaceKind;
using protocol::Reply;
using protocol::ReplyKind;

inline constexpr long kEfault = -14, kEinval = -22, kEnotdir = -20, kEnomem = -12, kEperm = -1, kErange = -34;

constinit TablePool<DirectoryState> g_directories;

std::size_t length(const char* text) { return __builtin_strlen(text); }

void copy_text(char* to, const char* from) {
  std::size_t i = 0;
  for (; i + 1 < protocol::kPathCapacity && from[i] != 0; ++i) to[i] = from[i];
  to[i] = 0;
}

void set_working(DirectoryState& directories, Place place) {
  const LockGuard guard(directories.lock);
  directories.working = place;
}

bool leads_to_host(const Reply& reply) {
  return reply.kind == ReplyKind::kHostPaths || reply.place.kind == PlaceKind::kHostPath;
}

long ask_for_directory(Thread& thread, RequestMemory& memory) {
  const long result = exchange(thread, memory);
  return is_error(result) ? result : 0;
}

}  // namespace

DirectoryState* directories_create(const LaunchState& state) {
  DirectoryState* const made = g_directories.claim();
  if (made == nullptr) return nullptr;
  made->root = state.root;
  made->working = state.working_directory;
  copy_text(made->root_path, state.root_path);
  if (made->root.kind == PlaceKind::kNone) made->root = {PlaceKind::kRoot, 0, 0};
  if (made->working.kind == PlaceKind::kNone) made->working = {PlaceKind::kHostPath, 0, 0};
  made->umask = static_cast<std::uint32_t>(host_call(SYS_umask, 0));
  host_call(SYS_umask, static_cast<long>(made->umask));
  return made;
}

DirectoryState* directories_copy(DirectoryState& copied_from) {
  DirectoryState* const made = g_directories.claim();
  if (made == nullptr) return nullptr;
  const LockGuard guard(copied_from.lock);
  made->lock.reset();
  made->umask = copied_from.umask;
  made->root = copied_from.root;
  made->working = copied_from.working;
  copy_text(made->root_path, copied_from.root_path);
  return made;
}

void directories_release(DirectoryState& directories) { directories.references.fetch_sub(1); }

void directories_after_fork(DirectoryState& used) {
  g_directories.keep_only(used);
  used.lock.reset();
}

void describe_directories(DirectoryState& directories, RequestMemory& memory) {
  const LockGuard guard(directories.lock);
  memory.request.credentials.umask = directories.umask;
  memory.request.root = directories.root;
  if (directories.root.kind != PlaceKind::kHostPath) return;
  copy_text(memory.root_path, directories.root_path);
  memory.request.root_path_size = static_cast<std::uint32_t>(length(memory.root_path));
}

Place working_place(DirectoryState& directories) {
  const LockGuard guard(directories.lock);
  return directories.working;
}

bool has_plain_root(DirectoryState& directories) {
  return __atomic_load_n(&directories.root.kind, __ATOMIC_RELAXED) == PlaceKind::kRoot;
}

void remember_directories(DirectoryState& directories, LaunchState& state) {
  const LockGuard guard(directories.lock);
  state.root = directories.root;
  state.working_directory = directories.working;
  copy_text(state.root_path, directories.root_path);
}

long enter_directory(Thread& thread, RequestMemory& memory) {
  if (!leads_to_host(memory.reply)) {
    // Before the kernel leaves: nobody may start from "/" meanwhile and believe it to be a host directory of ours.
    set_working(*thread.directories, memory.reply.place);
    host_call(SYS_chdir, reinterpret_cast<long>("/"));
    return 0;
  }
  const long result = host_call(SYS_chdir, reinterpret_cast<long>(memory.host_path[0]));
  if (result == 0) set_working(*thread.directories, {PlaceKind::kHostPath, 0, 0});
  return result;
}

namespace {

// `memory` holds the request's place; `operation` is kChangeDirectory for both.
long change_root(Thread& thread, RequestMemory& memory) {
  DirectoryState& directories = *thread.directories;
  const LockGuard guard(directories.lock);
  if (leads_to_host(memory.reply)) {
    const char* const path = memory.host_path[0];
    directories.root = {PlaceKind::kHostPath, 0, 0};
    copy_text(directories.root_path, path);
    return 0;
  }
  directories.root = memory.reply.place;
  return 0;
}

// getcwd of a working directory that the kernel does not know, or under another root than the program.
long path_of_place(Thread& thread, Place place, RequestMemory*& memory) {
  memory = begin_request(thread, Operation::kPathOf);
  if (memory == nullptr) return kEnomem;
  memory->request.base[0] = place;
  if (place.kind != PlaceKind::kNode) {
    const long size = host_call(SYS_getcwd, reinterpret_cast<long>(memory->base_path[0]), protocol::kPathCapacity);
    if (size <= 1) return size;
    memory->request.base_path_size[0] = static_cast<std::uint32_t>(size - 1);
  }
  const long result = exchange(thread, *memory);
  return is_error(result) ? result : 0;
}

}  // namespace

long finish_chdir(Thread& thread, RequestMemory& memory) { return enter_directory(thread, memory); }

long finish_chroot(Thread& thread, RequestMemory& memory) {
  if (host_call(SYS_geteuid) != 0) return kEperm;
  return change_root(thread, memory);
}

long sys_fchdir(Thread& thread, Regs& regs) {
  const auto fd = static_cast<std::int32_t>(regs.rdi);
  const DescriptorKind kind = kind_of(thread, fd);
  if (!kind.shielded()) {
    const long result = pass_through(thread, regs);
    if (result == 0) set_working(*thread.directories, {PlaceKind::kHostPath, 0, 0});
    return result;
  }
  if (slot_at(kind.slot).kind != protocol::NodeKind::kDirectory) return kEnotdir;
  RequestMemory* const memory = begin_request(thread, Operation::kChangeDirectory);
  if (memory == nullptr) return kEnomem;
  memory->request.base[0] = {PlaceKind::kSlot, 0, kind.slot};
  const long error = ask_for_directory(thread, *memory);
  return error != 0 ? error : enter_directory(thread, *memory);
}

long sys_getcwd(Thread& thread, Regs& regs) {
  const Place place = working_place(*thread.directories);
  if (place.kind != PlaceKind::kNode && has_plain_root(*thread.directories)) return pass_through(thread, regs);
  RequestMemory* memory = nullptr;
  const long error = path_of_place(thread, place, memory);
  if (error != 0) return error;
  const std::uint32_t size = memory->reply.data_size;
  if (size == 0) return kEinval;
  if (regs.rsi < size + 1) return kErange;
  const char end = 0;
  if (copy_to_guest(guest(regs.rdi), reply_data(*memory), size) != 0) return kEfault;
  if (copy_to_guest(guest(regs.rdi + size), &end, 1) != 0) return kEfault;
  return static_cast<long>(size) + 1;
}

long sys_umask(Thread& thread, Regs& regs) {
  const LockGuard guard(thread.directories->lock);
  const long result = host_call(SYS_umask, static_cast<long>(regs.rdi));
  thread.directories->umask = static_cast<std::uint32_t>(regs.rdi) & 0777;
  return result;
}

}  // namespace casemate::runtime
