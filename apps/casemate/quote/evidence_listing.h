// `casemate quote show`: what any kind of evidence says, without judging it.
#pragma once

#include <string>
#include <vector>

#include "attest/result.h"
#include "base/result.h"
#include "crypto/bytes.h"

namespace casemate::cli {

struct EvidenceListing {
  std::string format;
  std::vector<attest::Measurement> measurements;
};

// Errors: kFormat for bytes of no known kind.
Result<EvidenceListing> list_evidence(crypto::ByteView bytes);

}  // namespace casemate::cli
