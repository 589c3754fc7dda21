// The file shield in the core: what boot, clone, exec and the loader need of it. docs/runtime/files.md explains it;
// everything here is for runs with volumes (g_process.shield_active) only.
#pragma once

#include "runtime/boot/launch_state.h"
#include "runtime/intercept/process.h"
#include "runtime/intercept/thread.h"

namespace casemate::runtime {

// At boot of an image, on the runtime stack: channels, shared memory, directories; the loader opens files through the
// shield from here on. Ends the process with a message when there is no keeper.
void shield_boot(Thread& thread, const LaunchState& state);
// `casemate run` handed over a word instead of a file: looks for it along PATH in `environment` among the shielded
// files, and puts descriptor and path into `state`. Ends the process with a message when there is none.
void shield_find_program(Thread& thread, LaunchState& state, char** environment);

// The child's side of a task that is about to be created with these clone flags; false: no memory.
[[nodiscard]] bool shield_prepare_child(Thread& parent, Thread& child, std::uint64_t flags);
void shield_release_task(Thread& thread);
// Around a clone that copies memory.
void shield_before_fork(Thread& thread, std::uint64_t flags);
void shield_after_fork_in_child(Thread& thread, std::uint64_t flags);

// The process is about to end. If its end is that of all processes of its PID name space (a container's first process),
// returns when what was written is durable: the kernel kills the keeper with the rest.
void shield_before_end(Thread& thread);

// What the next image must know. The hello socket's descriptor is made to survive the exec by the caller.
void shield_fill_launch(const Thread& thread, LaunchState& state);

struct ProgramFileStatus {
  std::uint32_t mode, uid, gid;
};
// Of a program file that is open at `fd`. 0 or a negative errno.
long shield_program_status(long fd, ProgramFileStatus& status);
// The path of the file at `fd` as the program sees it, NUL-terminated; false: not a shielded file.
bool shield_path_of(Thread& thread, long fd, char* path, std::size_t capacity);

}  // namespace casemate::runtime
