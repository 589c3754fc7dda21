// Private words (private_words.h): taken over by a starting image, written for the next one.
//
// What a hostile host can do here -> what we answer
//  - hand over a memory file that is not what its header says -> one line, no program runs
#pragma once

#include "runtime/boot/program.h"

namespace casemate::runtime {

// Builds a new initial stack below the kernel's, with the words of the memory file `fd` and the kernel's auxiliary
// vector, and closes `fd`. Does not return on failure. Requires: not running on that stack.
InitialStack take_words(const InitialStack& stack, int fd);

// A memory file (close-on-exec) with the program's own argument and environment vectors (either may be 0: empty).
// Returns its descriptor, or -E2BIG, -EFAULT, or the kernel's errno.
long pack_words(std::uint64_t argv, std::uint64_t envp);

}  // namespace casemate::runtime
