// Guest copies of hosted tests: the program's memory is the test's own, except for one range that faults.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/memory/guest.h"

namespace casemate::runtime::testing {

// From now on reads that touch [begin, begin + size) fail with EFAULT; size 0: none.
void set_faulting_range(const void* begin, std::size_t size);

}  // namespace casemate::runtime::testing
