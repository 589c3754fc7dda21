#include "volume/page_group.h"

#include <algorithm>

#include "volume/errors.h"

namespace casemate::volume {
namespace {

bool continues(const PageSlot& previous, const PageSlot& slot, std::uint64_t distance, const PageSlot& first) {
  if (slot.kind != previous.kind) return false;
  if (slot.kind == PageKind::kReserved) return true;
  return slot.unit == first.unit + distance && slot.seal.epoch == first.seal.epoch &&
         slot.seal.counter == first.seal.counter + distance;
}

}  // namespace

bool PageGroup::is_empty() const {
  return std::all_of(slots.begin(), slots.end(), [](const PageSlot& slot) { return slot.kind == PageKind::kHole; });
}

Bytes PageGroup::encode() const {
  Bytes value;
  value.reserve(64);
  ByteWriter writer(value);
  for (std::size_t first = 0, end = 0; first < kGroupPages; first = end) {
    end = first + 1;
    const PageSlot& slot = slots[first];
    if (slot.kind == PageKind::kHole) continue;
    while (end < kGroupPages && continues(slots[end - 1], slots[end], end - first, slot)) ++end;
    writer.number(static_cast<std::uint8_t>(slot.kind));
    writer.number(static_cast<std::uint8_t>(first));
    writer.number(static_cast<std::uint8_t>(end - first));
    if (slot.kind == PageKind::kReserved) continue;
    writer.number(slot.unit);
    writer.number(slot.seal.epoch);
    writer.number(slot.seal.counter);
    for (std::size_t page = first; page < end; ++page) writer.bytes(slots[page].tag);
  }
  return value;
}

Result<PageGroup> PageGroup::decode(ByteView value) {
  const auto wrong = [] { return damaged("metadata: a list of pages does not follow the format"); };
  PageGroup group;
  ByteReader reader(value);
  std::size_t position = 0;
  while (!reader.at_end()) {
    const auto kind = static_cast<PageKind>(reader.number<std::uint8_t>());
    const std::size_t first = reader.number<std::uint8_t>(), count = reader.number<std::uint8_t>();
    if (first < position || count == 0 || first + count > kGroupPages) return wrong();
    if (kind != PageKind::kData && kind != PageKind::kReserved) return wrong();
    PageSlot slot;
    slot.kind = kind;
    if (kind == PageKind::kData) {
      slot.unit = reader.number<std::uint64_t>();
      slot.seal.epoch = reader.number<std::uint32_t>();
      slot.seal.counter = reader.number<std::uint64_t>();
      if (slot.unit >= kMaximumUnit) return wrong();
    }
    for (position = first; position < first + count; ++position) {
      if (kind == PageKind::kData) slot.tag = reader.array<16>();
      group.slots[position] = slot;
      if (kind == PageKind::kReserved) continue;
      ++slot.unit;
      ++slot.seal.counter;
    }
  }
  if (reader.failed()) return wrong();
  return group;
}

}  // namespace casemate::volume
