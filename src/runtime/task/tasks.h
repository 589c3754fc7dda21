// Tasks (threads and processes) of the program.
#pragma once

#include "runtime/intercept/process.h"
#include "runtime/intercept/thread.h"

extern "C" [[noreturn]] void casemate_exit_thread(std::uint32_t* state, int status);

namespace casemate::runtime {

// A copy for a child with a descriptor table of its own; null when memory is exhausted.
DescriptorState* descriptors_create(const DescriptorState& copied_from);
// Drops a task's references to shared tables.
void release_task(Thread& thread);

}  // namespace casemate::runtime
