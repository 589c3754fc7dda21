// The numbers of docs/formats/volume.md that every part of the engine knows. Stored: never renumber.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>

#include "crypto/aead.h"
#include "volume/byte_store.h"
#include "volume/codec.h"

namespace casemate::volume {

inline constexpr std::uint32_t kFormatVersion = 1;

// The store is an array of units; a unit is the smallest thing that is allocated, sealed and written.
inline constexpr std::size_t kUnitSize = 4096;
using Unit = std::uint64_t;
// No store is larger: 4 PiB. Numbers above name nodes that exist in memory only (read-only mounts).
inline constexpr Unit kMaximumUnit = Unit{1} << 40;

inline constexpr Unit kSuperblockUnits[2] = {0, 16};
inline constexpr Unit kJournalUnit = 32;
inline constexpr std::uint64_t kMinimumJournalSize = std::uint64_t{1} << 20;
inline constexpr std::uint64_t kMaximumJournalSize = std::uint64_t{1} << 32;

using Tag = crypto::AeadTag;
using VolumeId = std::array<std::byte, 16>;
using Salt = std::array<std::byte, 16>;

// Nonce of a sealed piece: what kind it is and a number that counts within one mount, under that mount's key.
enum class Domain : std::uint32_t { kData = 1, kNode = 2, kRecord = 3 };

struct SealId {
  std::uint32_t epoch = 0;
  std::uint64_t counter = 0;
  friend bool operator==(const SealId&, const SealId&) = default;
};

enum class ItemType : std::uint8_t {
  kSpace = 1,      // object 0; index: group; value: bitmap of used units
  kOrphan = 2,     // object 0; index: inode; value: empty
  kInode = 3,      // index 0
  kTarget = 4,     // of a symbolic link; index: chunk
  kEntry = 5,      // of a directory; index: name hash and slot
  kAttribute = 6,  // extended; index: name hash and slot
  kValue = 7,      // of an extended attribute; index: that of the attribute, and chunk
  kPages = 8,      // of a file; index: page group
};

struct Key {
  std::uint64_t object = 0;
  ItemType type{};
  std::uint64_t index = 0;
  friend auto operator<=>(const Key&, const Key&) = default;
};
inline constexpr std::size_t kKeySize = 17;

inline Key load_key(const std::byte* place) {
  return {load_number<std::uint64_t>(place), static_cast<ItemType>(place[8]), load_number<std::uint64_t>(place + 9)};
}
inline void store_key(std::byte* place, const Key& key) {
  store_number(place, key.object);
  place[8] = static_cast<std::byte>(key.type);
  store_number(place + 9, key.index);
}
inline Key read_key(ByteReader& reader) {
  const auto bytes = reader.array<kKeySize>();
  return load_key(bytes.data());
}
inline void write_key(ByteWriter& writer, const Key& key) {
  std::array<std::byte, kKeySize> bytes;
  store_key(bytes.data(), key);
  writer.bytes(bytes);
}

struct KeyHash {
  std::size_t operator()(const Key& key) const {
    std::uint64_t mixed = key.object * 0x9e3779b97f4a7c15ULL ^ (static_cast<std::uint64_t>(key.type) << 56) ^ key.index;
    mixed ^= mixed >> 29;
    return mixed * 0xbf58476d1ce4e5b9ULL;
  }
};

// Where a node is and what it must be.
struct NodePointer {
  Unit unit = 0;
  SealId seal;
  Tag tag{};
  friend bool operator==(const NodePointer&, const NodePointer&) = default;
};
inline constexpr std::size_t kNodePointerSize = 36;

inline NodePointer read_pointer(ByteReader& reader) {
  NodePointer pointer;
  pointer.unit = reader.number<std::uint64_t>();
  pointer.seal.epoch = reader.number<std::uint32_t>();
  pointer.seal.counter = reader.number<std::uint64_t>();
  pointer.tag = reader.array<16>();
  return pointer;
}
inline void write_pointer(ByteWriter& writer, const NodePointer& pointer) {
  writer.number(pointer.unit);
  writer.number(pointer.seal.epoch);
  writer.number(pointer.seal.counter);
  writer.bytes(pointer.tag);
}

// Units in a row.
struct Run {
  Unit first = 0;
  std::uint64_t count = 0;
  Unit end() const { return first + count; }
};

// Kinds of change in a journal record.
enum class Change : std::uint8_t {
  kPut = 1,           // item
  kErase = 2,         // item
  kSetPages = 3,      // pages of a file hold data now
  kClearPages = 4,    // pages of a file are holes now
  kReservePages = 5,  // holes among these pages are promised a unit
  kInline = 6,        // contents of a unit that was not written in place yet
};

}  // namespace casemate::volume
