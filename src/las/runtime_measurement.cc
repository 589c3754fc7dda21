#include "las/runtime_measurement.h"

#include "evidence/runtime_image.h"

namespace casemate::las {

Result<evidence::Digest32> measure_runtime(crypto::ByteView file) {
  const evidence::RuntimeMeasurement measured = CASEMATE_TRY(evidence::measure_runtime_image(file));
  return measured.mr_enclave;
}

}  // namespace casemate::las
