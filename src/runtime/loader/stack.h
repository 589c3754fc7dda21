// The initial stack that the kernel built: finding its parts, and giving the program an auxiliary vector that describes
// the program instead of the runtime. Layout: System V ABI for x86-64, section 3.4.1; getauxval(3).
//
// What a hostile host or peer can do here -> what we answer
//  - nothing in the process engine: the kernel built this memory and nobody else ran yet. It is therefore read
//  directly.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/loader/load.h"

namespace casemate::runtime {

struct AuxEntry {
  std::uint64_t type, value;
};

struct EntryStack {
  std::uint64_t argument_count;
  char** arguments;     // argument_count entries and a null
  char** environment;   // ended by a null
  AuxEntry* auxiliary;  // ended by AT_NULL
};

// `stack_pointer`: the address of argc, as the kernel set rsp at process entry.
[[nodiscard]] EntryStack read_entry_stack(std::uint64_t* stack_pointer);

// Null when the vector has no such entry.
[[nodiscard]] AuxEntry* find_auxiliary(const EntryStack& stack, std::uint64_t type);

enum class AuxEdit : std::uint8_t { kDone, kEntryMissing };

// Rewrites AT_PHDR, AT_PHENT, AT_PHNUM, AT_BASE, AT_ENTRY and AT_EXECFN in place. `exec_path` is the address of a
// string that lives as long as the program, or 0 to keep the kernel's. kEntryMissing: the vector is not one that Linux
// builds (it holds all six); nothing was changed.
[[nodiscard]] AuxEdit describe_program(const EntryStack& stack, const LoadedProgram& loaded, std::uint64_t exec_path);

// End of the stack mapping: Linux ends it with the AT_EXECFN string and one null word. 0 without AT_EXECFN.
// Requires: AT_EXECFN was not rewritten yet.
[[nodiscard]] std::uint64_t stack_end(const EntryStack& stack);

// Makes the whole stack mapping executable, and what it grows by later, as Linux does for PT_GNU_STACK with PF_X.
// `address`: any in the stack. Returns 0 or a negative errno.
[[nodiscard]] long make_stack_executable(std::uint64_t address, std::uint64_t end);

}  // namespace casemate::runtime
