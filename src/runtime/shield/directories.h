// Working directory, root and umask of a process in the file shield's terms. Threads that share them in the kernel
// (CLONE_FS) share them here.
//
// While the working directory lies in a volume, the kernel's is "/"; while it is a host directory, the kernel's is that
// directory, and its path is asked for when needed. A changed root (chroot) exists here only.
#pragma once

#include <cstdint>

#include "protocol/shield.h"
#include "runtime/boot/launch_state.h"
#include "runtime/intercept/lock.h"
#include "runtime/intercept/thread.h"
#include "runtime/shield/channel.h"

namespace casemate::runtime {

struct DirectoryState {
  std::atomic<std::uint32_t> references;
  Lock lock;  // of all below, for as long as it takes to copy them
  std::uint32_t umask;
  protocol::Place root;     // kRoot, or where chroot went
  protocol::Place working;  // kNode, or kHostPath: the kernel's
  char root_path[protocol::kPathCapacity];
};

// At boot: from the launch state, or (all zero there) from the kernel.
DirectoryState* directories_create(const LaunchState& state);
// A copy for a child without CLONE_FS. Null: no memory.
DirectoryState* directories_copy(DirectoryState& copied_from);
void directories_release(DirectoryState& directories);
void directories_after_fork(DirectoryState& used);

// Umask and root of the request that is being built.
void describe_directories(DirectoryState& directories, RequestMemory& memory);
// Where relative paths start.
protocol::Place working_place(DirectoryState& directories);
// Was the root never changed?
bool has_plain_root(DirectoryState& directories);
void remember_directories(DirectoryState& directories, LaunchState& state);

// Moves the process to where a reply to kChangeDirectory leads; the kernel's result for host directories.
long enter_directory(Thread& thread, RequestMemory& memory);

}  // namespace casemate::runtime
