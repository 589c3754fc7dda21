// What the patcher needs from the rest of the runtime, for hosted tests: guest copies that really respect page
// protection, a settable thread count, and the list of protected ranges.
#pragma once

#include <cstdint>
#include <vector>

namespace casemate::runtime::testing {

void set_thread_count(std::uint32_t count);
struct ProtectedRange {
  std::uint64_t start, size;
};
const std::vector<ProtectedRange>& protected_ranges();

// Calls patcher_on_trap until the site's thresholds are passed.
void trap_until_patched(std::uint64_t site);

}  // namespace casemate::runtime::testing
