// The function that encloses an address, from the .eh_frame_hdr of the ELF object mapped there.
// References: System V gABI; LSB core 5.0, "Exception Frames" (.eh_frame, .eh_frame_hdr).
//
// Everything in the mapped object is untrusted: fields are copied once and bounds-checked; whatever is not in the usual
// form is answered with "not found".
#pragma once

#include <cstdint>

#include "runtime/memory/code_map.h"

namespace casemate::runtime {

struct FunctionBounds {
  bool found;
  std::uint64_t start, end;
};

// `mapping` is the code map's entry that contains `address`.
FunctionBounds find_function(const CodeMapping& mapping, std::uint64_t address);

}  // namespace casemate::runtime
