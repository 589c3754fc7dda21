// What the fuzzers of evidence share: properties that must hold, and the input as bytes.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>

#include "crypto/bytes.h"

namespace casemate::fuzz {

inline void require(const char* property, const bool& holds) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", property);
  std::abort();
}

inline crypto::ByteView as_input(const std::uint8_t* data, std::size_t size) {
  return std::as_bytes(std::span(data, size));
}

}  // namespace casemate::fuzz
