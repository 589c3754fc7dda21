// A service that holds keys must not run on what its environment says: GLIBC_TUNABLES changes the C library before
// main(), OPENSSL_CONF makes even a static libcrypto load a shared object. So the process starts itself once more with
// an empty environment, without descriptors beyond the standard three, and forbids its memory to others.
#pragma once

#include "base/result.h"

namespace casemate::cli {

// Returns in a process whose environment is empty. Does nothing the second time. Errors: kSystem.
Result<void> start_clean(char** arguments);

}  // namespace casemate::cli
