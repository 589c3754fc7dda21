// What memory/mappings.cc tells the file shield in runs with volumes.
#pragma once

#include <cstdint>

#include "runtime/intercept/thread.h"

namespace casemate::runtime {

struct PreparedMapping {
  std::uint32_t shared_slot;  // of a shared mapping, to be noted once it stands
  std::uint64_t offset;       // in the file
  bool may_write;             // the descriptor can write: so can the mapping, sooner or later
  bool announced;             // the keeper looks for changes in its pages
};
// Before mmap: fetches and pins the pages of a shielded file. Negative errno: the call's result.
long prepare_mapping(Thread& thread, const Regs& regs, PreparedMapping& prepared);
void finish_mapping(Thread& thread, const PreparedMapping& prepared, std::uint64_t start, std::uint64_t size);
// Before mprotect with PROT_WRITE: the keeper must know what the pages hold now, to find out what changes. Negative
// errno: the call's result.
long mappings_become_writable(Thread& thread, std::uint64_t begin, std::uint64_t size);
// Before mremap: the pages that a shared mapping grows by are fetched. Negative errno: the call's result.
long prepare_growth(Thread& thread, std::uint64_t begin, std::uint64_t old_size, std::uint64_t new_size);
void mappings_removed(std::uint64_t begin, std::uint64_t size);
void mappings_moved(std::uint64_t begin, std::uint64_t size, std::uint64_t new_begin, std::uint64_t new_size);
void mappings_after_fork();

}  // namespace casemate::runtime
