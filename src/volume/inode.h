// Encoding of inodes, directory entries and extended attributes as items (docs/formats/volume.md, "Items").
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "volume/format.h"
#include "volume/volume.h"

namespace casemate::volume {

struct Inode {
  Attributes attributes;
  // Directories: where their one name stands; 0 for the root and for orphans.
  InodeNumber parent = 0;
  std::uint64_t parent_index = 0;

  Bytes encode() const;
  static Result<Inode> decode(InodeNumber number, ByteView value);
};

struct Entry {
  InodeNumber inode = 0;
  std::uint32_t type = 0;  // S_IFMT bits
  std::string name;

  Bytes encode() const;
  static Result<Entry> decode(ByteView value);
};

// Values larger than kValueChunk stand in kValue items.
struct ExtendedAttribute {
  std::string name;
  std::uint32_t size = 0;
  Bytes value;  // when size <= kValueChunk

  Bytes encode() const;
  static Result<ExtendedAttribute> decode(ByteView value);
};

inline constexpr std::size_t kValueChunk = 1024;
inline constexpr std::size_t kMaximumAttributeSize = 65536;
inline constexpr std::size_t kMaximumTargetSize = 4095;

// Index of the first slot of a name: 48 bits of keyed hash, 8 bits of slot. Cookies are index + 1 and stay below 2^57.
using NameHashKey = std::array<std::byte, 16>;
inline constexpr unsigned kSlotBits = 8;
std::uint64_t name_index(const NameHashKey& key, std::string_view name);
// SipHash-2-4.
std::uint64_t siphash(const NameHashKey& key, ByteView data);

inline Key inode_key(InodeNumber inode) { return {inode, ItemType::kInode, 0}; }
inline Key orphan_key(InodeNumber inode) { return {0, ItemType::kOrphan, inode}; }
inline Key value_key(InodeNumber inode, std::uint64_t attribute_index, std::uint64_t chunk) {
  return {inode, ItemType::kValue, attribute_index << 7 | chunk};
}

}  // namespace casemate::volume
