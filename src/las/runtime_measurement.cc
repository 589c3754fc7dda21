#include "las/runtime_measurement.h"

#include "crypto/hash.h"
#include "las/image_layout.h"

namespace casemate::las {

Result<evidence::Digest32> measure_runtime(crypto::ByteView file) {
  const auto mappings = expected_mappings(file.first(std::min(file.size(), kImageHeadSize)));
  if (!mappings.has_value()) return mappings.error();
  return crypto::sha256(file);
}

}  // namespace casemate::las
