// One node of the tree: a page of sorted items, exactly as it is sealed on the store (docs/formats/volume.md, "Nodes").
//
// Slots grow up from the header, items grow down from the end. Level 0 holds items; above, a value is the NodePointer
// of a child and its key the lower bound of that child (the first child takes everything below, too).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "volume/format.h"

namespace casemate::volume {

inline constexpr std::size_t kNodeHeaderSize = 16;
inline constexpr std::size_t kSlotSize = 4;
inline constexpr std::size_t kNodeCapacity = kUnitSize - kNodeHeaderSize;
// Three items fit any node, so a node that overflows can always be split in two.
inline constexpr std::size_t kMaximumValueSize = kNodeCapacity / 3 - kKeySize - kSlotSize;
inline constexpr unsigned kMaximumLevel = 10;

class NodePage {
 public:
  explicit NodePage(unsigned level = 0) { clear(level); }
  void clear(unsigned level);

  unsigned level() const { return std::to_integer<unsigned>(bytes_[0]); }
  std::size_t count() const { return load_number<std::uint16_t>(&bytes_[2]); }
  Key key(std::size_t position) const { return load_key(&bytes_[item_offset(position)]); }
  ByteView value(std::size_t position) const {
    return {&bytes_[item_offset(position) + kKeySize], value_size(position)};
  }
  std::span<std::byte> mutable_value(std::size_t position) {
    return {&bytes_[item_offset(position) + kKeySize], value_size(position)};
  }

  // First position whose key is not less; count() when there is none.
  std::size_t lower_bound(const Key& key) const;
  // Interior nodes: which child holds `key`. Requires: not empty.
  std::size_t child_position(const Key& key) const;
  bool holds(std::size_t position, const Key& key) const { return position < count() && this->key(position) == key; }

  // Bytes that items and slots take.
  std::size_t used() const { return kNodeCapacity - gap() - garbage(); }
  static std::size_t item_cost(std::size_t value_size) { return kKeySize + kSlotSize + value_size; }
  bool fits(std::size_t value_size) const { return item_cost(value_size) <= gap() + garbage(); }

  // Requires: fits(), and that the order is kept.
  void insert(std::size_t position, const Key& key, ByteView value);
  void erase(std::size_t position);
  void set_key(std::size_t position, const Key& key) { store_key(&bytes_[item_offset(position)], key); }
  void append(const Key& key, ByteView value) { insert(count(), key, value); }

  // Whether bytes from a store are a node: offsets in range, items apart, keys ascending. Requires before any other
  // use.
  bool is_valid() const;

  std::span<std::byte, kUnitSize> bytes() { return bytes_; }
  std::span<const std::byte, kUnitSize> bytes() const { return bytes_; }

 private:
  std::size_t slot_offset(std::size_t position) const { return kNodeHeaderSize + position * kSlotSize; }
  std::size_t item_offset(std::size_t position) const {
    return load_number<std::uint16_t>(&bytes_[slot_offset(position)]);
  }
  std::size_t value_size(std::size_t position) const {
    return load_number<std::uint16_t>(&bytes_[slot_offset(position) + 2]);
  }
  std::size_t heap() const { return load_number<std::uint16_t>(&bytes_[4]); }
  std::size_t garbage() const { return load_number<std::uint16_t>(&bytes_[6]); }
  std::size_t gap() const { return heap() - slot_offset(count()); }
  void set_header(std::size_t count, std::size_t heap, std::size_t garbage);
  void squeeze();

  std::array<std::byte, kUnitSize> bytes_;
};

}  // namespace casemate::volume
