// What `casemate measure` and `casemate sign` read: an sgxs stream or a runtime executable.
#pragma once

#include <string>

#include "base/result.h"
#include "evidence/enclave_measurement.h"

namespace casemate::cli {

enum class MeasuredForm { kRuntimeExecutable, kSgxsStream };

struct MeasuredFile {
  evidence::Mrenclave mr_enclave{};
  std::uint64_t enclave_size = 0, page_count = 0;
};

// `sink` gets the sgxs stream of a runtime executable. Errors: kSystem, kFormat, kExhausted (64 MiB).
Result<MeasuredFile> measure_file(const std::string& path, MeasuredForm form,
                                  const evidence::EnclaveRecorder::Sink& sink = {});

}  // namespace casemate::cli
