// What OpenSSL's assembler routines want to know of the processor, in executables without libcrypto's C parts.
#pragma once

#include <cstdint>

namespace casemate::netshield {

// Before the first use of kKernelCipher; quick, may be repeated. Threads: before there are any.
void kernels_detect_processor();

}  // namespace casemate::netshield
