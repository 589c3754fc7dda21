// The program's vector registers around code that uses them. The core has none of its own (plan-runtime.md), but AES
// and SHA routines do: their registers are saved here and restored, so that the program's stay what they are.
//
// Components: SSE and AVX, and the upper halves of zmm0 to zmm15, which instructions of AVX zero. The routines touch no
// mask register and none above 15.
#pragma once

#include <cstdint>

#include "netshield/record/record_cipher.h"

namespace casemate::runtime {

// Once, before the others. False: the processor lacks what the shield needs.
[[nodiscard]] bool vectors_boot();

// RecordCipher with the program's registers kept. Signal handlers of the program do not run meanwhile (core rules).
extern const netshield::RecordCipher kCoreCipher;

}  // namespace casemate::runtime
