#include "volume/node.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace casemate::volume {

void NodePage::clear(unsigned level) {
  bytes_.fill(std::byte{0});
  bytes_[0] = static_cast<std::byte>(level);
  set_header(0, kUnitSize, 0);
}

void NodePage::set_header(std::size_t count, std::size_t heap, std::size_t garbage) {
  store_number(&bytes_[2], static_cast<std::uint16_t>(count));
  store_number(&bytes_[4], static_cast<std::uint16_t>(heap));
  store_number(&bytes_[6], static_cast<std::uint16_t>(garbage));
}

std::size_t NodePage::lower_bound(const Key& key) const {
  std::size_t first = 0, last = count();
  while (first < last) {
    const std::size_t middle = (first + last) / 2;
    if (this->key(middle) < key) {
      first = middle + 1;
    } else {
      last = middle;
    }
  }
  return first;
}

std::size_t NodePage::child_position(const Key& key) const {
  const std::size_t position = lower_bound(key);
  if (holds(position, key)) return position;
  return position == 0 ? 0 : position - 1;
}

void NodePage::insert(std::size_t position, const Key& key, ByteView value) {
  const std::size_t size = kKeySize + value.size();
  if (gap() < size + kSlotSize) squeeze();
  const std::size_t offset = heap() - size;
  store_key(&bytes_[offset], key);
  if (!value.empty()) std::memcpy(&bytes_[offset + kKeySize], value.data(), value.size());
  std::byte* const slot = &bytes_[slot_offset(position)];
  std::memmove(slot + kSlotSize, slot, (count() - position) * kSlotSize);
  store_number(slot, static_cast<std::uint16_t>(offset));
  store_number(slot + 2, static_cast<std::uint16_t>(value.size()));
  set_header(count() + 1, offset, garbage());
}

void NodePage::erase(std::size_t position) {
  const std::size_t size = kKeySize + value_size(position);
  std::memset(&bytes_[item_offset(position)], 0, size);  // what was deleted is not kept
  std::byte* const slot = &bytes_[slot_offset(position)];
  std::memmove(slot, slot + kSlotSize, (count() - position - 1) * kSlotSize);
  std::memset(&bytes_[slot_offset(count() - 1)], 0, kSlotSize);
  set_header(count() - 1, heap(), garbage() + size);
}

void NodePage::squeeze() {
  const NodePage old = *this;
  clear(old.level());
  std::size_t offset = kUnitSize;
  for (std::size_t position = 0; position < old.count(); ++position) {
    const std::size_t size = kKeySize + old.value_size(position);
    offset -= size;
    std::memcpy(&bytes_[offset], &old.bytes_[old.item_offset(position)], size);
    store_number(&bytes_[slot_offset(position)], static_cast<std::uint16_t>(offset));
    store_number(&bytes_[slot_offset(position) + 2], static_cast<std::uint16_t>(old.value_size(position)));
  }
  set_header(old.count(), offset, 0);
}

bool NodePage::is_valid() const {
  if (level() > kMaximumLevel) return false;
  const std::size_t slots_end = kNodeHeaderSize + count() * kSlotSize;
  if (slots_end > kUnitSize || heap() < slots_end || heap() > kUnitSize) return false;
  std::vector<std::pair<std::size_t, std::size_t>> items;  // offset, size
  std::size_t total = 0;
  for (std::size_t position = 0; position < count(); ++position) {
    const std::size_t offset = item_offset(position), size = kKeySize + value_size(position);
    if (offset < heap() || offset + size > kUnitSize || value_size(position) > kMaximumValueSize) return false;
    if (level() > 0 && value_size(position) != kNodePointerSize) return false;
    if (position > 0 && !(key(position - 1) < key(position))) return false;
    items.emplace_back(offset, size);
    total += size;
  }
  std::sort(items.begin(), items.end());
  for (std::size_t index = 1; index < items.size(); ++index) {
    if (items[index - 1].first + items[index - 1].second > items[index].first) return false;
  }
  return heap() + garbage() + total == kUnitSize && (level() == 0 || count() > 0);
}

}  // namespace casemate::volume
