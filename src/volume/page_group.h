// Where 32 consecutive pages of a file are: the value of a kPages item. Pages whose units and counters follow one
// another share one run, so that a file written in order takes 17 bytes of metadata per page.
#pragma once

#include <array>
#include <cstdint>

#include "base/result.h"
#include "volume/format.h"

namespace casemate::volume {

inline constexpr std::size_t kGroupPages = 32;

enum class PageKind : std::uint8_t {
  kHole = 0,      // reads as zeros
  kData = 1,      // sealed in a unit
  kReserved = 2,  // reads as zeros, and a unit is promised
};

struct PageSlot {
  PageKind kind = PageKind::kHole;
  Unit unit = 0;
  SealId seal;
  Tag tag{};
  friend bool operator==(const PageSlot&, const PageSlot&) = default;
};

struct PageGroup {
  std::array<PageSlot, kGroupPages> slots;

  bool is_empty() const;
  Bytes encode() const;
  // Errors: kFormat.
  static Result<PageGroup> decode(ByteView value);
};

}  // namespace casemate::volume
