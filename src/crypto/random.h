// Random bytes from the kernel, good enough for keys.
#pragma once

#include <cstddef>
#include <span>

#include "base/result.h"

namespace casemate::crypto {

// Fills `out` completely. Blocks only before the kernel's generator is seeded (early boot). Errors: kSystem.
Result<void> random_bytes(std::span<std::byte> out);

}  // namespace casemate::crypto
