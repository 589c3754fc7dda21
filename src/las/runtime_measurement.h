// The number that identifies a runtime executable: what `casemate measure` prints.
#pragma once

#include "base/result.h"
#include "crypto/bytes.h"
#include "evidence/simulation.h"

namespace casemate::las {

// Errors: kFormat when `file` cannot be a runtime.
Result<evidence::Digest32> measure_runtime(crypto::ByteView file);

}  // namespace casemate::las
