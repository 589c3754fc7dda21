// execve, execveat, fexecve. All checks that can fail come before the kernel's execve of the runtime image.
#pragma once

#include "runtime/intercept/thread.h"

namespace casemate::runtime {

// `casemate run SCRIPT`: what execve of the script would do. Returns a negative errno, or not at all.
long exec_script_at_start(Thread& thread, const char* path, char** argv, char** envp);

}  // namespace casemate::runtime
