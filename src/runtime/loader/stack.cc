// See stack.h.
#include "runtime/loader/stack.h"

#include <asm/unistd.h>
#include <linux/auxvec.h>
#include <linux/mman.h>

#include "runtime/engine/process/host_call.h"

namespace casemate::runtime {

EntryStack read_entry_stack(std::uint64_t* stack_pointer) {
  EntryStack stack = {};
  stack.argument_count = *stack_pointer;
  stack.arguments = reinterpret_cast<char**>(stack_pointer + 1);
  stack.environment = stack.arguments + stack.argument_count + 1;
  char** end = stack.environment;
  while (*end != nullptr) ++end;
  stack.auxiliary = reinterpret_cast<AuxEntry*>(end + 1);
  return stack;
}

AuxEntry* find_auxiliary(const EntryStack& stack, std::uint64_t type) {
  for (AuxEntry* entry = stack.auxiliary; entry->type != AT_NULL; ++entry) {
    if (entry->type == type) return entry;
  }
  return nullptr;
}

AuxEdit describe_program(const EntryStack& stack, const LoadedProgram& loaded, std::uint64_t exec_path) {
  AuxEntry* const exec_entry = find_auxiliary(stack, AT_EXECFN);
  if (exec_entry == nullptr) return AuxEdit::kEntryMissing;
  const AuxEntry values[] = {
      {AT_PHDR, loaded.program.phdr_address}, {AT_PHENT, loaded.program.phent},
      {AT_PHNUM, loaded.program.phnum},       {AT_BASE, loaded.interpreter.load_bias},
      {AT_ENTRY, loaded.program.entry},       {AT_EXECFN, exec_path != 0 ? exec_path : exec_entry->value},
  };
  for (const AuxEntry& value : values) {
    if (find_auxiliary(stack, value.type) == nullptr) return AuxEdit::kEntryMissing;
  }
  for (const AuxEntry& value : values) find_auxiliary(stack, value.type)->value = value.value;
  return AuxEdit::kDone;
}

std::uint64_t stack_end(const EntryStack& stack) {
  const AuxEntry* const entry = find_auxiliary(stack, AT_EXECFN);
  if (entry == nullptr) return 0;
  const char* end = reinterpret_cast<const char*>(entry->value);
  while (*end != '\0') ++end;
  return page_end(reinterpret_cast<std::uint64_t>(end) + 1 + sizeof(std::uint64_t));
}

long make_stack_executable(std::uint64_t address, std::uint64_t end) {
  const std::uint64_t begin = page_begin(address);
  return host_call(__NR_mprotect, static_cast<long>(begin), static_cast<long>(end - begin),
                   PROT_READ | PROT_WRITE | PROT_EXEC | PROT_GROWSDOWN);
}

}  // namespace casemate::runtime
