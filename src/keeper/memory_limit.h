// How much memory this application may use.
#pragma once

#include <cstdint>

namespace casemate::keeper {

// Bytes: the machine's available memory, or the limits of this process' control groups, whichever is less.
std::uint64_t memory_limit();

}  // namespace casemate::keeper
