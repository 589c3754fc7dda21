// Directories: entries stand under a keyed hash of their name, so a name is found with one search and cookies stay
// good while entries come and go.
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "volume/engine.h"

namespace casemate::volume {
namespace {

constexpr std::uint32_t kMaximumLinks = 1U << 30;
constexpr std::uint32_t kNodeTypes[] = {S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK};

Result<void> check_name(std::string_view name) {
  if (name.empty()) return refused(ENOENT, "a name is empty");
  if (name.size() > kMaximumNameSize) return refused(ENAMETOOLONG, "a name has more than 255 bytes");
  if (name == "." || name == ".." || name.find('/') != std::string_view::npos ||
      name.find('\0') != std::string_view::npos) {
    return refused(EINVAL, "not a name");
  }
  return {};
}

}  // namespace

// --- parts

Result<Inode> Engine::load_directory(InodeNumber number) {
  Inode inode = CASEMATE_TRY(load_inode(number));
  if (!S_ISDIR(inode.attributes.mode)) return refused(ENOTDIR, "not a directory");
  return inode;
}

Result<std::optional<Engine::Slot>> Engine::find_entry(InodeNumber directory, std::string_view name) {
  const std::uint64_t first = name_index(name_hash_key_, name), last = first | ((1U << kSlotBits) - 1);
  std::optional<Slot> found;
  VOLUME_CHECK(metadata_.scan({directory, ItemType::kEntry, first}, {directory, ItemType::kEntry, last},
                              [&](const Item& item) -> Result<bool> {
                                Entry entry = CASEMATE_TRY(Entry::decode(item.value));
                                if (entry.name != name) return true;
                                found = Slot{item.key.index, std::move(entry)};
                                return false;
                              }));
  return found;
}

Result<Engine::Slot> Engine::require_entry(InodeNumber directory, std::string_view name) {
  VOLUME_CHECK(check_name(name));
  (void)CASEMATE_TRY(load_directory(directory));
  std::optional<Slot> slot = CASEMATE_TRY(find_entry(directory, name));
  if (!slot) return refused(ENOENT, "no such name");
  return std::move(*slot);
}

// Where a new name goes: the first slot that no name with the same hash takes.
Result<std::uint64_t> Engine::free_entry_index(InodeNumber directory, std::string_view name) {
  const std::uint64_t first = name_index(name_hash_key_, name), last = first | ((1U << kSlotBits) - 1);
  std::uint64_t free = first;
  VOLUME_CHECK(metadata_.scan({directory, ItemType::kEntry, first}, {directory, ItemType::kEntry, last},
                              [&](const Item& item) -> Result<bool> {
                                if (item.key.index != free) return false;
                                ++free;
                                return true;
                              }));
  if (free > last) return refused(ENOSPC, "too many names with the same hash");
  return free;
}

Result<void> Engine::put_entry(InodeNumber directory, std::uint64_t index, const Entry& entry) {
  return put({directory, ItemType::kEntry, index}, entry.encode());
}

Result<bool> Engine::is_empty_directory(InodeNumber directory) {
  const auto entry =
      CASEMATE_TRY(metadata_.next({directory, ItemType::kEntry, 0}, {directory, ItemType::kEntry, ~std::uint64_t{0}}));
  return !entry.has_value();
}

Result<Inode> Engine::make_inode(const NodeSpecification& specification) {
  const std::uint32_t type = specification.mode & S_IFMT;
  if (std::find(std::begin(kNodeTypes), std::end(kNodeTypes), type) == std::end(kNodeTypes)) {
    return refused(EINVAL, "unknown type of node");
  }
  if (type == S_IFLNK && specification.target.empty()) return refused(ENOENT, "a symbolic link without target");
  if (specification.target.size() > kMaximumTargetSize) return refused(ENAMETOOLONG, "the target is too long");
  Inode inode;
  Attributes& attributes = inode.attributes;
  attributes.inode = metadata_.next_inode;
  attributes.mode = specification.mode & (S_IFMT | 07777);
  attributes.uid = specification.uid;
  attributes.gid = specification.gid;
  attributes.device = type == S_IFCHR || type == S_IFBLK ? specification.device : 0;
  attributes.size = type == S_IFLNK ? specification.target.size() : type == S_IFDIR ? kPageSize : 0;
  attributes.access_time = attributes.modify_time = attributes.change_time = attributes.birth_time = clock_.now();
  VOLUME_CHECK(metadata_.prepare(inode_key(attributes.inode)));
  return inode;
}

Result<void> Engine::put_target(InodeNumber inode, const std::string& target) {
  const ByteView bytes = std::as_bytes(std::span(target));
  for (std::size_t offset = 0; offset < bytes.size(); offset += kValueChunk) {
    VOLUME_CHECK(put({inode, ItemType::kTarget, offset / kValueChunk},
                     bytes.subspan(offset, std::min(kValueChunk, bytes.size() - offset))));
  }
  return {};
}

Result<void> Engine::touch_directory(InodeNumber directory, std::int32_t link_change) {
  return without_value(update_inode(directory, [&](Inode& inode) {
    inode.attributes.link_count += static_cast<std::uint32_t>(link_change);
    inode.attributes.modify_time = inode.attributes.change_time = clock_.now();
  }));
}

// One name fewer; without any, the inode is an orphan. A directory has just one, and counts two for it.
Result<Attributes> Engine::remove_link(InodeNumber inode) {
  const Attributes attributes = CASEMATE_TRY(update_inode(inode, [&](Inode& node) {
    Attributes& a = node.attributes;
    a.link_count = S_ISDIR(a.mode) || a.link_count == 0 ? 0 : a.link_count - 1;
    a.change_time = clock_.now();
    node.parent = node.parent_index = 0;
  }));
  if (attributes.link_count == 0) VOLUME_CHECK(put(orphan_key(inode), {}));
  return attributes;
}

Result<Attributes> Engine::remove_entry(InodeNumber directory, const Slot& slot) {
  VOLUME_CHECK(erase({directory, ItemType::kEntry, slot.index}));
  VOLUME_CHECK(touch_directory(directory, S_ISDIR(slot.entry.type) ? -1 : 0));
  return remove_link(slot.entry.inode);
}

Result<void> Engine::erase_all(InodeNumber inode, ItemType type) {
  std::optional<Key> previous;
  while (true) {
    const auto item = CASEMATE_TRY(metadata_.next({inode, type, 0}, {inode, type, ~std::uint64_t{0}}));
    if (!item) return {};
    const Key key = item->key;
    // Found again: it stands where its key does not lead.
    if (key == previous) return fail(damaged("metadata: an item stands in the wrong node"));
    VOLUME_CHECK(erase(key));
    previous = key;
  }
}

Result<void> Engine::release_inode(InodeNumber inode) {
  const Result<PageBalance> cleared = clear_pages({inode, 0, kMaximumFileSize / kPageSize});
  if (!cleared) return cleared.error();
  for (const ItemType type : {ItemType::kTarget, ItemType::kAttribute, ItemType::kValue}) {
    VOLUME_CHECK(erase_all(inode, type));
  }
  VOLUME_CHECK(erase(inode_key(inode)));
  return erase(orphan_key(inode));
}

// --- calls

Result<Attributes> Engine::lookup(InodeNumber directory, std::string_view name) {
  const Lock lock = lock_for_reading();
  VOLUME_CHECK(usable());
  const Slot slot = CASEMATE_TRY(require_entry(directory, name));
  return CASEMATE_TRY(load_inode(slot.entry.inode)).attributes;
}

Result<Attributes> Engine::create_node(InodeNumber directory, std::string_view name,
                                       const NodeSpecification& specification) {
  return settled(change<Attributes>({}, [&]() -> Result<Attributes> {
    VOLUME_CHECK(check_name(name));
    const Inode above = CASEMATE_TRY(load_directory(directory));
    if (CASEMATE_TRY(find_entry(directory, name))) return refused(EEXIST, "the name exists");
    if (above.attributes.link_count == 0) return refused(ENOENT, "the directory was removed");
    const bool is_directory = S_ISDIR(specification.mode);
    if (is_directory && above.attributes.link_count >= kMaximumLinks) return refused(EMLINK, "too many directories");
    Inode inode = CASEMATE_TRY(make_inode(specification));
    Attributes& attributes = inode.attributes;
    const std::uint64_t index = CASEMATE_TRY(free_entry_index(directory, name));
    attributes.link_count = is_directory ? 2 : 1;
    if (is_directory) {
      inode.parent = directory;
      inode.parent_index = index;
    }
    VOLUME_CHECK(store_inode(inode));
    if (S_ISLNK(attributes.mode)) VOLUME_CHECK(put_target(attributes.inode, specification.target));
    VOLUME_CHECK(put_entry(directory, index, {attributes.inode, attributes.mode & S_IFMT, std::string(name)}));
    VOLUME_CHECK(touch_directory(directory, is_directory ? 1 : 0));
    return attributes;
  }));
}

Result<Attributes> Engine::create_orphan(const NodeSpecification& specification) {
  return settled(change<Attributes>({}, [&]() -> Result<Attributes> {
    if (!S_ISREG(specification.mode)) return refused(EINVAL, "only regular files are made without a name");
    const Inode inode = CASEMATE_TRY(make_inode(specification));
    VOLUME_CHECK(metadata_.prepare(orphan_key(inode.attributes.inode)));
    VOLUME_CHECK(store_inode(inode));
    VOLUME_CHECK(put(orphan_key(inode.attributes.inode), {}));
    return inode.attributes;
  }));
}

Result<void> Engine::link(InodeNumber inode, InodeNumber directory, std::string_view name) {
  return settled(change<void>({}, [&]() -> Result<void> {
    VOLUME_CHECK(check_name(name));
    const Inode above = CASEMATE_TRY(load_directory(directory));
    const Inode node = CASEMATE_TRY(load_inode(inode));
    if (S_ISDIR(node.attributes.mode)) return refused(EPERM, "directories have one name only");
    if (CASEMATE_TRY(find_entry(directory, name))) return refused(EEXIST, "the name exists");
    if (above.attributes.link_count == 0) return refused(ENOENT, "the directory was removed");
    if (node.attributes.link_count >= kMaximumLinks) return refused(EMLINK, "too many links");
    const std::uint64_t index = CASEMATE_TRY(free_entry_index(directory, name));
    VOLUME_CHECK(metadata_.prepare(orphan_key(inode)));
    if (node.attributes.link_count == 0) VOLUME_CHECK(erase(orphan_key(inode)));
    VOLUME_CHECK(without_value(update_inode(inode, [&](Inode& changed) {
      ++changed.attributes.link_count;
      changed.attributes.change_time = clock_.now();
    })));
    VOLUME_CHECK(put_entry(directory, index, {inode, node.attributes.mode & S_IFMT, std::string(name)}));
    return touch_directory(directory, 0);
  }));
}

Result<Attributes> Engine::unlink(InodeNumber directory, std::string_view name) {
  return settled(change<Attributes>({0, Purpose::kReleasing}, [&]() -> Result<Attributes> {
    const Slot slot = CASEMATE_TRY(require_entry(directory, name));
    if (S_ISDIR(slot.entry.type)) return refused(EISDIR, "it is a directory");
    (void)CASEMATE_TRY(load_inode(slot.entry.inode));
    VOLUME_CHECK(metadata_.prepare(orphan_key(slot.entry.inode)));
    return remove_entry(directory, slot);
  }));
}

Result<Attributes> Engine::remove_directory(InodeNumber directory, std::string_view name) {
  return settled(change<Attributes>({0, Purpose::kReleasing}, [&]() -> Result<Attributes> {
    const Slot slot = CASEMATE_TRY(require_entry(directory, name));
    if (!S_ISDIR(slot.entry.type)) return refused(ENOTDIR, "not a directory");
    if (!CASEMATE_TRY(is_empty_directory(slot.entry.inode))) return refused(ENOTEMPTY, "the directory is not empty");
    (void)CASEMATE_TRY(load_inode(slot.entry.inode));
    VOLUME_CHECK(metadata_.prepare(orphan_key(slot.entry.inode)));
    return remove_entry(directory, slot);
  }));
}

Result<void> Engine::release_orphan(InodeNumber inode) {
  return settled(change<void>({0, Purpose::kReleasing}, [&]() -> Result<void> {
    const Inode node = CASEMATE_TRY(load_inode(inode));
    if (node.attributes.link_count != 0) return refused(EINVAL, "the inode has names");
    VOLUME_CHECK(metadata_.prepare(orphan_key(inode)));
    return release_inode(inode);
  }));
}

Result<std::vector<DirectoryEntry>> Engine::read_directory(InodeNumber directory, std::uint64_t cookie,
                                                           std::size_t maximum_count) {
  const Lock lock = lock_for_reading();
  VOLUME_CHECK(usable());
  (void)CASEMATE_TRY(load_directory(directory));
  std::vector<DirectoryEntry> entries;
  if (maximum_count == 0) return entries;
  VOLUME_CHECK(metadata_.scan({directory, ItemType::kEntry, cookie}, {directory, ItemType::kEntry, ~std::uint64_t{0}},
                              [&](const Item& item) -> Result<bool> {
                                Entry entry = CASEMATE_TRY(Entry::decode(item.value));
                                entries.push_back({std::move(entry.name), entry.inode, entry.type, item.key.index + 1});
                                return entries.size() < maximum_count;
                              }));
  return entries;
}

Result<std::string> Engine::read_link(InodeNumber inode) {
  const Lock lock = lock_for_reading();
  VOLUME_CHECK(usable());
  const Inode node = CASEMATE_TRY(load_inode(inode));
  if (!S_ISLNK(node.attributes.mode)) return refused(EINVAL, "not a symbolic link");
  std::string target;
  VOLUME_CHECK(metadata_.scan({inode, ItemType::kTarget, 0}, {inode, ItemType::kTarget, ~std::uint64_t{0}},
                              [&](const Item& item) -> Result<bool> {
                                target.append(reinterpret_cast<const char*>(item.value.data()), item.value.size());
                                return true;
                              }));
  if (target.size() != node.attributes.size) return damaged("metadata: a symbolic link lacks a part");
  return target;
}

Result<InodeNumber> Engine::parent(InodeNumber directory) {
  const Lock lock = lock_for_reading();
  VOLUME_CHECK(usable());
  const Inode inode = CASEMATE_TRY(load_directory(directory));
  if (directory == kRootInode) return directory;
  if (inode.parent == 0) return refused(ENOENT, "the directory was removed");
  return inode.parent;
}

Result<std::string> Engine::name_in_parent(InodeNumber directory) {
  const Lock lock = lock_for_reading();
  VOLUME_CHECK(usable());
  const Inode inode = CASEMATE_TRY(load_directory(directory));
  if (inode.parent == 0) return refused(ENOENT, "the directory has no name");
  const auto value = CASEMATE_TRY(metadata_.find({inode.parent, ItemType::kEntry, inode.parent_index}));
  if (!value) return damaged("metadata: a directory lacks its entry");
  return CASEMATE_TRY(Entry::decode(*value)).name;
}

}  // namespace casemate::volume
