// Attributes of inodes, and extended ones. Values of extended attributes beyond 1 KiB stand in pieces of their own.
#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>

#include "volume/engine.h"

namespace casemate::volume {
namespace {

Result<void> check_attribute_name(std::string_view name) {
  if (name.empty() || name.size() > kMaximumNameSize)
    return refused(ERANGE, "the name of the attribute has no fit size");
  if (name.find('\0') != std::string_view::npos) return refused(EINVAL, "not a name");
  return {};
}

}  // namespace

Result<Attributes> Engine::attributes(InodeNumber inode) {
  const Lock lock = lock_for_reading();
  VOLUME_CHECK(usable());
  return CASEMATE_TRY(load_inode(inode)).attributes;
}

void Engine::apply_change(Inode& inode, const AttributeChange& wanted) {
  Attributes& a = inode.attributes;
  const Timestamp now = clock_.now();
  if (wanted.permissions) a.mode = (a.mode & ~07777U) | (*wanted.permissions & 07777U);
  if (wanted.uid) a.uid = *wanted.uid;
  if (wanted.gid) a.gid = *wanted.gid;
  if (wanted.size) {
    a.size = *wanted.size;
    a.modify_time = now;
  }
  if (wanted.access_time) a.access_time = *wanted.access_time;
  if (wanted.modify_time) a.modify_time = *wanted.modify_time;
  a.change_time = wanted.change_time.value_or(now);
}

Result<Attributes> Engine::set_attributes(InodeNumber inode, const AttributeChange& wanted) {
  if (wanted.size) return settled(resize_file(inode, wanted));
  return settled(change<Attributes>({0, Purpose::kReleasing}, [&]() -> Result<Attributes> {
    return update_inode(inode, [&](Inode& node) { apply_change(node, wanted); });
  }));
}

// --- extended attributes

Result<std::optional<Engine::AttributeSlot>> Engine::find_attribute(InodeNumber inode, std::string_view name) {
  VOLUME_CHECK(check_attribute_name(name));
  (void)CASEMATE_TRY(load_inode(inode));
  const std::uint64_t first = name_index(name_hash_key_, name), last = first | ((1U << kSlotBits) - 1);
  std::optional<AttributeSlot> found;
  VOLUME_CHECK(metadata_.scan({inode, ItemType::kAttribute, first}, {inode, ItemType::kAttribute, last},
                              [&](const Item& item) -> Result<bool> {
                                ExtendedAttribute attribute = CASEMATE_TRY(ExtendedAttribute::decode(item.value));
                                if (attribute.name != name) return true;
                                found = AttributeSlot{item.key.index, std::move(attribute)};
                                return false;
                              }));
  return found;
}

Result<std::vector<std::byte>> Engine::extended_attribute(InodeNumber inode, std::string_view name) {
  const Lock lock = lock_for_reading();
  VOLUME_CHECK(usable());
  std::optional<AttributeSlot> slot = CASEMATE_TRY(find_attribute(inode, name));
  if (!slot) return refused(ENODATA, "no such attribute");
  Bytes value = std::move(slot->attribute.value);
  if (slot->attribute.size <= kValueChunk) return value;
  VOLUME_CHECK(metadata_.scan(value_key(inode, slot->index, 0), value_key(inode, slot->index, 127),
                              [&](const Item& item) -> Result<bool> {
                                value.insert(value.end(), item.value.begin(), item.value.end());
                                return true;
                              }));
  if (value.size() != slot->attribute.size) return damaged("metadata: an extended attribute lacks a part");
  return value;
}

Result<void> Engine::erase_attribute(InodeNumber inode, const AttributeSlot& slot) {
  VOLUME_CHECK(erase({inode, ItemType::kAttribute, slot.index}));
  if (slot.attribute.size <= kValueChunk) return {};
  for (std::uint64_t chunk = 0; chunk * kValueChunk < slot.attribute.size; ++chunk) {
    VOLUME_CHECK(erase(value_key(inode, slot.index, chunk)));
  }
  return {};
}

Result<void> Engine::set_extended_attribute(InodeNumber inode, std::string_view name, std::span<const std::byte> value,
                                            int flags) {
  if ((flags & ~(XATTR_CREATE | XATTR_REPLACE)) != 0) return refused(EINVAL, "unknown flags");
  if (value.size() > kMaximumAttributeSize) return refused(E2BIG, "the value has more than 65536 bytes");
  const Need need{value.size() / kValueChunk};
  return settled(change<void>(need, [&]() -> Result<void> {
    const std::optional<AttributeSlot> old = CASEMATE_TRY(find_attribute(inode, name));
    if (old && (flags & XATTR_CREATE) != 0) return refused(EEXIST, "the attribute exists");
    if (!old && (flags & XATTR_REPLACE) != 0) return refused(ENODATA, "no such attribute");
    std::uint64_t index = old ? old->index : name_index(name_hash_key_, name);
    while (!old && CASEMATE_TRY(metadata_.find({inode, ItemType::kAttribute, index}))) {
      if ((++index & ((1U << kSlotBits) - 1)) == 0) return refused(ENOSPC, "too many names with the same hash");
    }
    if (old) VOLUME_CHECK(erase_attribute(inode, *old));
    ExtendedAttribute attribute{std::string(name), static_cast<std::uint32_t>(value.size()), {}};
    if (value.size() <= kValueChunk) attribute.value.assign(value.begin(), value.end());
    VOLUME_CHECK(put({inode, ItemType::kAttribute, index}, attribute.encode()));
    for (std::size_t offset = 0; value.size() > kValueChunk && offset < value.size(); offset += kValueChunk) {
      VOLUME_CHECK(put(value_key(inode, index, offset / kValueChunk),
                       value.subspan(offset, std::min(kValueChunk, value.size() - offset))));
    }
    return without_value(update_inode(inode, [&](Inode& node) { node.attributes.change_time = clock_.now(); }));
  }));
}

Result<void> Engine::remove_extended_attribute(InodeNumber inode, std::string_view name) {
  return settled(change<void>({0, Purpose::kReleasing}, [&]() -> Result<void> {
    const std::optional<AttributeSlot> old = CASEMATE_TRY(find_attribute(inode, name));
    if (!old) return refused(ENODATA, "no such attribute");
    VOLUME_CHECK(erase_attribute(inode, *old));
    return without_value(update_inode(inode, [&](Inode& node) { node.attributes.change_time = clock_.now(); }));
  }));
}

Result<std::vector<std::string>> Engine::extended_attribute_names(InodeNumber inode) {
  const Lock lock = lock_for_reading();
  VOLUME_CHECK(usable());
  (void)CASEMATE_TRY(load_inode(inode));
  std::vector<std::string> names;
  VOLUME_CHECK(metadata_.scan({inode, ItemType::kAttribute, 0}, {inode, ItemType::kAttribute, ~std::uint64_t{0}},
                              [&](const Item& item) -> Result<bool> {
                                names.push_back(CASEMATE_TRY(ExtendedAttribute::decode(item.value)).name);
                                return true;
                              }));
  return names;
}

}  // namespace casemate::volume
