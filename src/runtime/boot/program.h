// Loads program and interpreter for a starting image and edits the stack that the kernel made.
#pragma once

#include <elf.h>

#include <cstdint>

#include "runtime/boot/launch_state.h"
#include "runtime/intercept/thread.h"

namespace casemate::runtime {

struct InitialStack {
  std::uint64_t* argc;
  char** argv;
  char** envp;
  Elf64_auxv_t* auxv;
};

InitialStack find_initial_stack(std::uint64_t* stack_pointer);

// Returns the address of the first instruction. Does not return on failure: prints one line and exits (127 not found,
// 126 not executable).
std::uint64_t start_image(Thread& thread, const LaunchState& state, const InitialStack& stack);

}  // namespace casemate::runtime
