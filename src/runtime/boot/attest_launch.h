// The part of LaunchState about evidence (boot/attest.h): plain data, all zero when none is wanted.
#pragma once

#include <cstdint>

#include "protocol/las.h"

namespace casemate::runtime {

struct AttestLaunch {
  char address[protocol::kLasAddressCapacity];  // sun_path of the LAS; a leading NUL means an abstract name
  std::uint32_t address_size;                   // 0: no evidence is wanted
  std::int32_t evidence_fd;                     // open for writing; closed before the program starts
  protocol::LasPurpose purpose;
  std::uint32_t nonce_size;
  std::uint8_t nonce[protocol::kLasNonceCapacity];
};

}  // namespace casemate::runtime
