#include "keeper/memory_volume.h"

#include <sys/xattr.h>

#include <algorithm>

#include "keeper/memory_volume_node.h"

namespace casemate::keeper {

using volume::Attributes;
using volume::InodeNumber;

MemoryVolume::MemoryVolume(const volume::Clock& clock, const Options& options)
    : clock_(clock), capacity_pages_(options.capacity / volume::kPageSize) {
  Node& root = add_node({.mode = S_IFDIR | (options.root_mode & 07777),
                         .uid = options.root_uid,
                         .gid = options.root_gid,
                         .device = 0,
                         .target = {}});
  root.attributes.link_count = 2;
  root.parent = volume::kRootInode;
}

MemoryVolume::~MemoryVolume() = default;

MemoryVolume::Node* MemoryVolume::find(InodeNumber inode) {
  const auto found = nodes_.find(inode);
  return found == nodes_.end() ? nullptr : found->second.get();
}

Result<MemoryVolume::Node*> MemoryVolume::find_directory(InodeNumber inode) {
  Node* const node = find(inode);
  if (node == nullptr) return memory_error(ENOENT, "no such inode");
  if (!node->is_directory()) return memory_error(ENOTDIR, "not a directory");
  return node;
}

Result<MemoryVolume::Entry> MemoryVolume::find_entry(Node& directory, std::string_view name) {
  if (name.size() > volume::kMaximumNameSize) return memory_error(ENAMETOOLONG, "name too long");
  const auto found = directory.entries.find(name);
  if (found == directory.entries.end()) return memory_error(ENOENT, "no such name");
  return found->second;
}

Result<void> MemoryVolume::check_new_name(Node& directory, std::string_view name) {
  if (name.size() > volume::kMaximumNameSize) return memory_error(ENAMETOOLONG, "name too long");
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string_view::npos) {
    return memory_error(EINVAL, "not a name");
  }
  if (directory.parent == 0) return memory_error(ENOENT, "the directory was removed");
  if (directory.entries.contains(name)) return memory_error(EEXIST, "name exists");
  return {};
}

MemoryVolume::Node& MemoryVolume::add_node(const volume::NodeSpecification& specification) {
  auto node = std::make_unique<Node>();
  Attributes& attributes = node->attributes;
  attributes.inode = next_inode_++;
  attributes.mode = specification.mode;
  attributes.uid = specification.uid;
  attributes.gid = specification.gid;
  attributes.device = specification.device;
  node->target = specification.target;
  if (S_ISLNK(specification.mode)) attributes.size = node->target.size();
  attributes.birth_time = clock_.now();
  attributes.access_time = attributes.modify_time = attributes.change_time = attributes.birth_time;
  return *(nodes_[attributes.inode] = std::move(node));
}

void MemoryVolume::touch(Node& node) { node.attributes.modify_time = node.attributes.change_time = clock_.now(); }

void MemoryVolume::add_entry(Node& directory, std::string_view name, Node& node) {
  const std::uint64_t cookie = next_cookie_++;
  directory.entries.emplace(name, Entry{node.attributes.inode, cookie});
  directory.entries_by_cookie.emplace(cookie, name);
  node.attributes.link_count += 1;
  if (node.is_directory()) {
    node.parent = directory.attributes.inode;
    directory.attributes.link_count += 1;
  }
  node.attributes.change_time = clock_.now();
  touch(directory);
}

void MemoryVolume::remove_entry(Node& directory, std::string_view name) {
  const auto entry = directory.entries.find(name);
  Node& node = *find(entry->second.inode);
  directory.entries_by_cookie.erase(entry->second.cookie);
  directory.entries.erase(entry);
  node.attributes.link_count -= 1;
  if (node.is_directory()) directory.attributes.link_count -= 1;
  node.attributes.change_time = clock_.now();
  touch(directory);
}

Result<Attributes> MemoryVolume::lookup(InodeNumber directory, std::string_view name) {
  const std::lock_guard lock(mutex_);
  Node* const node = CASEMATE_TRY(find_directory(directory));
  const Entry entry = CASEMATE_TRY(find_entry(*node, name));
  return find(entry.inode)->attributes;
}

Result<Attributes> MemoryVolume::create_node(InodeNumber directory, std::string_view name,
                                             const volume::NodeSpecification& specification) {
  const std::lock_guard lock(mutex_);
  Node* const parent = CASEMATE_TRY(find_directory(directory));
  if (auto checked = check_new_name(*parent, name); !checked) return checked.error();
  Node& node = add_node(specification);
  add_entry(*parent, name, node);
  if (node.is_directory()) node.attributes.link_count = 2;
  return node.attributes;
}

Result<Attributes> MemoryVolume::create_orphan(const volume::NodeSpecification& specification) {
  const std::lock_guard lock(mutex_);
  return add_node(specification).attributes;
}

Result<void> MemoryVolume::link(InodeNumber inode, InodeNumber directory, std::string_view name) {
  const std::lock_guard lock(mutex_);
  Node* const node = find(inode);
  if (node == nullptr) return memory_error(ENOENT, "no such inode");
  if (node->is_directory()) return memory_error(EPERM, "directories have one name");
  Node* const parent = CASEMATE_TRY(find_directory(directory));
  if (auto checked = check_new_name(*parent, name); !checked) return checked.error();
  add_entry(*parent, name, *node);
  return {};
}

Result<Attributes> MemoryVolume::unlink(InodeNumber directory, std::string_view name) {
  const std::lock_guard lock(mutex_);
  Node* const parent = CASEMATE_TRY(find_directory(directory));
  const Entry entry = CASEMATE_TRY(find_entry(*parent, name));
  Node& node = *find(entry.inode);
  if (node.is_directory()) return memory_error(EISDIR, "is a directory");
  remove_entry(*parent, name);
  return node.attributes;
}

Result<Attributes> MemoryVolume::remove_directory(InodeNumber directory, std::string_view name) {
  const std::lock_guard lock(mutex_);
  Node* const parent = CASEMATE_TRY(find_directory(directory));
  const Entry entry = CASEMATE_TRY(find_entry(*parent, name));
  Node& node = *find(entry.inode);
  if (!node.is_directory()) return memory_error(ENOTDIR, "not a directory");
  if (!node.entries.empty()) return memory_error(ENOTEMPTY, "directory not empty");
  remove_entry(*parent, name);
  node.attributes.link_count = 0;
  node.parent = 0;
  return node.attributes;
}

bool MemoryVolume::is_below(InodeNumber directory, InodeNumber ancestor) {
  for (InodeNumber at = directory;;) {
    if (at == ancestor) return true;
    const Node* const node = find(at);
    if (node == nullptr || node->parent == 0 || node->parent == at) return false;
    at = node->parent;
  }
}

Result<void> MemoryVolume::check_replacement(Node& moved, Node& replaced) {
  if (moved.is_directory() && !replaced.is_directory()) return memory_error(ENOTDIR, "target is no directory");
  if (!moved.is_directory() && replaced.is_directory()) return memory_error(EISDIR, "target is a directory");
  if (replaced.is_directory() && !replaced.entries.empty()) return memory_error(ENOTEMPTY, "target not empty");
  return {};
}

Result<std::optional<Attributes>> MemoryVolume::exchange(Node& from, std::string_view from_name, Node& to,
                                                         std::string_view to_name) {
  Node& first = *find(from.entries.find(from_name)->second.inode);
  Node& second = *find(to.entries.find(to_name)->second.inode);
  if (second.is_directory() && is_below(from.attributes.inode, second.attributes.inode)) {
    return memory_error(EINVAL, "a directory cannot move below itself");
  }
  remove_entry(from, from_name);
  remove_entry(to, to_name);
  add_entry(to, to_name, first);
  add_entry(from, from_name, second);
  return std::optional<Attributes>(second.attributes);
}

Result<std::optional<Attributes>> MemoryVolume::rename(InodeNumber from_directory, std::string_view from_name,
                                                       InodeNumber to_directory, std::string_view to_name,
                                                       volume::RenameMode mode) {
  const std::lock_guard lock(mutex_);
  Node* const from = CASEMATE_TRY(find_directory(from_directory));
  Node* const to = CASEMATE_TRY(find_directory(to_directory));
  const Entry entry = CASEMATE_TRY(find_entry(*from, from_name));
  Node& moved = *find(entry.inode);
  if (moved.is_directory() && is_below(to_directory, entry.inode)) {
    return memory_error(EINVAL, "a directory cannot move below itself");
  }
  const auto target = to->entries.find(to_name);
  if (target == to->entries.end()) {
    if (mode == volume::RenameMode::kExchange) return memory_error(ENOENT, "nothing to exchange with");
    if (auto checked = check_new_name(*to, to_name); !checked) return checked.error();
    remove_entry(*from, from_name);
    add_entry(*to, to_name, moved);
    return std::optional<Attributes>();
  }
  if (mode == volume::RenameMode::kNoReplace) return memory_error(EEXIST, "name exists");
  if (target->second.inode == entry.inode) return std::optional<Attributes>();
  if (mode == volume::RenameMode::kExchange) return exchange(*from, from_name, *to, to_name);
  Node& replaced = *find(target->second.inode);
  if (auto checked = check_replacement(moved, replaced); !checked) return checked.error();
  remove_entry(*to, to_name);
  if (replaced.is_directory()) {
    replaced.attributes.link_count = 0;
    replaced.parent = 0;
  }
  remove_entry(*from, from_name);
  add_entry(*to, to_name, moved);
  return std::optional<Attributes>(replaced.attributes);
}

Result<void> MemoryVolume::release_orphan(InodeNumber inode) {
  const std::lock_guard lock(mutex_);
  Node* const node = find(inode);
  if (node == nullptr) return memory_error(ENOENT, "no such inode");
  if (node->attributes.link_count != 0) return memory_error(EINVAL, "it has names");
  used_pages_ -= node->pages.size();
  nodes_.erase(inode);
  return {};
}

Result<std::vector<volume::DirectoryEntry>> MemoryVolume::read_directory(InodeNumber directory, std::uint64_t cookie,
                                                                         std::size_t maximum_count) {
  const std::lock_guard lock(mutex_);
  Node* const node = CASEMATE_TRY(find_directory(directory));
  std::vector<volume::DirectoryEntry> entries;
  for (auto at = node->entries_by_cookie.lower_bound(cookie);
       at != node->entries_by_cookie.end() && entries.size() < maximum_count; ++at) {
    const InodeNumber inode = node->entries.find(at->second)->second.inode;
    entries.push_back({at->second, inode, find(inode)->attributes.mode & S_IFMT, at->first + 1});
  }
  return entries;
}

Result<std::string> MemoryVolume::read_link(InodeNumber inode) {
  const std::lock_guard lock(mutex_);
  const Node* const node = find(inode);
  if (node == nullptr) return memory_error(ENOENT, "no such inode");
  if (!S_ISLNK(node->attributes.mode)) return memory_error(EINVAL, "no symbolic link");
  return node->target;
}

Result<InodeNumber> MemoryVolume::parent(InodeNumber directory) {
  const std::lock_guard lock(mutex_);
  Node* const node = CASEMATE_TRY(find_directory(directory));
  if (node->parent == 0) return memory_error(ENOENT, "the directory was removed");
  return node->parent;
}

Result<std::string> MemoryVolume::name_in_parent(InodeNumber directory) {
  const std::lock_guard lock(mutex_);
  Node* const node = CASEMATE_TRY(find_directory(directory));
  if (node->parent == 0) return memory_error(ENOENT, "the directory was removed");
  for (const auto& [name, entry] : find(node->parent)->entries) {
    if (entry.inode == directory) return name;
  }
  return memory_error(ENOENT, "the root has no name");
}

Result<Attributes> MemoryVolume::attributes(InodeNumber inode) {
  const std::lock_guard lock(mutex_);
  const Node* const node = find(inode);
  if (node == nullptr) return memory_error(ENOENT, "no such inode");
  return node->attributes;
}

Result<Attributes> MemoryVolume::set_attributes(InodeNumber inode, const volume::AttributeChange& change) {
  const std::lock_guard lock(mutex_);
  Node* const node = find(inode);
  if (node == nullptr) return memory_error(ENOENT, "no such inode");
  Attributes& attributes = node->attributes;
  if (change.size && !S_ISREG(attributes.mode)) return memory_error(EINVAL, "only regular files have a size");
  if (change.size && *change.size > volume::kMaximumFileSize) return memory_error(EFBIG, "too large");
  if (change.size) {
    cut(*node, *change.size);
    touch(*node);
  }
  if (change.permissions) attributes.mode = (attributes.mode & ~07777U) | (*change.permissions & 07777);
  attributes.uid = change.uid.value_or(attributes.uid);
  attributes.gid = change.gid.value_or(attributes.gid);
  attributes.access_time = change.access_time.value_or(attributes.access_time);
  attributes.modify_time = change.modify_time.value_or(attributes.modify_time);
  attributes.change_time = change.change_time.value_or(clock_.now());
  return attributes;
}

Result<std::vector<std::byte>> MemoryVolume::extended_attribute(InodeNumber inode, std::string_view name) {
  const std::lock_guard lock(mutex_);
  const Node* const node = find(inode);
  if (node == nullptr) return memory_error(ENOENT, "no such inode");
  const auto found = node->extended.find(name);
  if (found == node->extended.end()) return memory_error(ENODATA, "no such attribute");
  return found->second;
}

Result<void> MemoryVolume::set_extended_attribute(InodeNumber inode, std::string_view name,
                                                  std::span<const std::byte> value, int flags) {
  const std::lock_guard lock(mutex_);
  Node* const node = find(inode);
  if (node == nullptr) return memory_error(ENOENT, "no such inode");
  const bool exists = node->extended.contains(name);
  if (exists && flags == XATTR_CREATE) return memory_error(EEXIST, "attribute exists");
  if (!exists && flags == XATTR_REPLACE) return memory_error(ENODATA, "no such attribute");
  node->extended[std::string(name)].assign(value.begin(), value.end());
  node->attributes.change_time = clock_.now();
  return {};
}

Result<void> MemoryVolume::remove_extended_attribute(InodeNumber inode, std::string_view name) {
  const std::lock_guard lock(mutex_);
  Node* const node = find(inode);
  if (node == nullptr) return memory_error(ENOENT, "no such inode");
  const auto found = node->extended.find(name);
  if (found == node->extended.end()) return memory_error(ENODATA, "no such attribute");
  node->extended.erase(found);
  node->attributes.change_time = clock_.now();
  return {};
}

Result<std::vector<std::string>> MemoryVolume::extended_attribute_names(InodeNumber inode) {
  const std::lock_guard lock(mutex_);
  const Node* const node = find(inode);
  if (node == nullptr) return memory_error(ENOENT, "no such inode");
  std::vector<std::string> names;
  for (const auto& [name, value] : node->extended) names.push_back(name);
  return names;
}

}  // namespace casemate::keeper
