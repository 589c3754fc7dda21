// What memory/mappings.cc tells the file shield in runs with volumes.
#pragma once

#include <cstdint>

#include "runtime/intercept/thread.h"

namespace casemate::runtime {

struct PreparedMapping {
  std::uint32_t shared_slot;  // noted for msync once the mapping stands
};
// Before mmap: fetches and pins the pages of a shielded file. Negative errno: the call's result.
long prepare_mapping(Thread& thread, const Regs& regs, PreparedMapping& prepared);
void finish_mapping(const PreparedMapping& prepared, std::uint64_t start, std::uint64_t size);
void mappings_removed(std::uint64_t begin, std::uint64_t size);
void mappings_moved(std::uint64_t begin, std::uint64_t size, std::uint64_t new_begin, std::uint64_t new_size);
void mappings_after_fork();

}  // namespace casemate::runtime
