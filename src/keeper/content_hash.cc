#include "keeper/content_hash.h"

#include <cstring>

namespace casemate::keeper {
namespace {

__extension__ using Wide = unsigned __int128;

std::uint64_t load(const std::byte* at) {
  std::uint64_t value = 0;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

std::uint64_t fold(std::uint64_t left, std::uint64_t right) {
  const Wide product = Wide{left} * right;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

}  // namespace

ContentHash hash_content(const ContentHashKey& key, std::span<const std::byte> data) {
  // Four independent chains hide the multiplier's latency.
  std::uint64_t lanes[4] = {key[0], key[1], key[2], key[3]};
  for (std::size_t at = 0; at < data.size(); at += 64) {
    const std::byte* const block = data.data() + at;
    for (std::size_t lane = 0; lane < 4; ++lane) {
      const std::uint64_t first = load(block + 16 * lane), second = load(block + 16 * lane + 8);
      lanes[lane] = fold(lanes[lane] ^ first ^ key[4 + lane], second + key[(lane + 5) % 8]) + (first ^ (second << 1));
    }
  }
  const std::uint64_t low = fold(lanes[0] ^ key[5], lanes[1] ^ key[6]) + lanes[2];
  const std::uint64_t high = fold(lanes[2] ^ key[7], lanes[3] ^ key[4]) + lanes[0];
  return {fold(low ^ key[1], high ^ key[2]) ^ low, fold(high ^ key[3], low ^ key[0]) + high};
}

}  // namespace casemate::keeper
