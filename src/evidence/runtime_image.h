// Measures a runtime executable as if it were an enclave: one number that identifies it in every engine and that a
// build machine can compute. docs/formats/evidence.md has the layout byte by byte.
//
// What a hostile host can do here: the file is the host's. Every header field is checked against the file's size and
// against limits; what would be mapped in memory at the start is what is measured, including the bytes of a segment's
// last page that stand behind it in the file.
#pragma once

#include "evidence/enclave_measurement.h"

namespace casemate::evidence {

struct RuntimeMeasurement {
  Mrenclave mr_enclave{};
  std::uint64_t enclave_size = 0;
  std::uint64_t image_size = 0;  // of the segments' span, in bytes
  std::uint64_t entry = 0;       // from the image's start
  std::uint64_t page_count = 0;
};

// `file`: a static x86-64 ELF executable whose span is at most 256 MiB. The heap is no part of it. `sink` gets the sgxs
// stream. Errors: kFormat.
Result<RuntimeMeasurement> measure_runtime_image(ByteView file, const EnclaveRecorder::Sink& sink = {});

}  // namespace casemate::evidence
