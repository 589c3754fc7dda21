// The whole loading step of a program: its image, the interpreter it names, and where execution starts.
//
// What a hostile host or peer can do here -> what we answer
//  - swap files between the probe before execve and this load -> everything is parsed and checked again
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/loader/elf_file.h"
#include "runtime/loader/image.h"
#include "runtime/loader/load_error.h"

namespace casemate::runtime {

struct LoadRequest {
  int fd;  // the program, open for reading
  Randomization randomization;
  CodeMappedHook on_code_mapped;
  std::span<std::byte> scratch;  // kLoadScratchSize; free again on return
};

struct LoadedProgram {
  MappedImage program;
  MappedImage interpreter;      // all zero when the program names none
  std::uint64_t start_address;  // the interpreter's entry, or the program's
  StackExecution stack;         // the program's PT_GNU_STACK
};

// Maps program and interpreter. On failure nothing stays mapped and no descriptor stays open. The interpreter is opened
// (and closed) with a descriptor number chosen by the kernel.
[[nodiscard]] LoadFailure load_program(const LoadRequest& request, LoadedProgram& loaded);

}  // namespace casemate::runtime
