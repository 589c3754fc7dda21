// Finds out whether a page changed, where nobody tells: mappings that a program writes through.
//
// A keyed 128-bit hash by multiplication, about as fast as memory. It needs no strength against people: who writes the
// page is the program whose file it is. The random key keeps accidental patterns from being systematic.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace casemate::keeper {

struct ContentHash {
  std::uint64_t low = 0, high = 0;
  friend bool operator==(const ContentHash&, const ContentHash&) = default;
};

using ContentHashKey = std::array<std::uint64_t, 8>;

// Requires: data.size() is a multiple of 64.
ContentHash hash_content(const ContentHashKey& key, std::span<const std::byte> data);

}  // namespace casemate::keeper
