#include "volume/testing/model.h"

#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>

#include "volume/check.h"

namespace casemate::volume::testing {
namespace {

Error with_code(int code) { return Error(ErrorCategory::kUsage, "model", code); }
std::uint64_t page_end(std::uint64_t size) { return (size + kPageSize - 1) / kPageSize; }
constexpr std::uint64_t kNoPage = ~std::uint64_t{0};

}  // namespace

Model::Model() {
  Node& root = nodes_[kRootInode];
  root.mode = S_IFDIR | 0755;
  root.links = 2;
  root.size = kPageSize;
}

Result<Model::Node*> Model::node(InodeNumber inode) {
  const auto found = nodes_.find(inode);
  if (found == nodes_.end()) return with_code(ENOENT);
  return &found->second;
}

Result<Model::Node*> Model::directory(InodeNumber inode) {
  Node* const found = CASEMATE_TRY(node(inode));
  if (!S_ISDIR(found->mode)) return with_code(ENOTDIR);
  return found;
}

Result<Model::Node*> Model::file(InodeNumber inode) {
  Node* const found = CASEMATE_TRY(node(inode));
  if (S_ISDIR(found->mode)) return with_code(EISDIR);
  if (!S_ISREG(found->mode)) return with_code(EINVAL);
  return found;
}

Result<InodeNumber> Model::entry(InodeNumber in_directory, std::string_view name) {
  const Node* const above = CASEMATE_TRY(directory(in_directory));
  const auto found = above->entries.find(name);
  if (found == above->entries.end()) return with_code(ENOENT);
  return found->second;
}

Attributes Model::describe(InodeNumber inode) const {
  const Node& node = nodes_.at(inode);
  Attributes attributes;
  attributes.inode = inode;
  attributes.mode = node.mode;
  attributes.uid = node.uid;
  attributes.gid = node.gid;
  attributes.link_count = node.links;
  attributes.device = node.device;
  attributes.size = node.size;
  attributes.allocated_size = (node.data.size() + node.reserved.size()) * kPageSize;
  return attributes;
}

// --- names

Result<Attributes> Model::lookup(InodeNumber in_directory, std::string_view name) {
  return describe(CASEMATE_TRY(entry(in_directory, name)));
}

Result<InodeNumber> Model::make(const NodeSpecification& specification) {
  const InodeNumber inode = next_++;
  Node& made = nodes_[inode];
  made.mode = specification.mode;
  made.uid = specification.uid;
  made.gid = specification.gid;
  if (S_ISCHR(made.mode) || S_ISBLK(made.mode)) made.device = specification.device;
  made.target = specification.target;
  made.size = S_ISDIR(made.mode) ? kPageSize : made.target.size();
  return inode;
}

Result<Attributes> Model::create_node(InodeNumber in_directory, std::string_view name,
                                      const NodeSpecification& specification) {
  Node* const above = CASEMATE_TRY(directory(in_directory));
  if (above->entries.contains(name)) return with_code(EEXIST);
  if (above->links == 0) return with_code(ENOENT);
  const InodeNumber inode = CASEMATE_TRY(make(specification));
  Node& made = nodes_[inode];
  made.links = S_ISDIR(made.mode) ? 2 : 1;
  made.parent = in_directory;
  if (S_ISDIR(made.mode)) ++above->links;
  above->entries.emplace(name, inode);
  return describe(inode);
}

Result<Attributes> Model::create_orphan(const NodeSpecification& specification) {
  return describe(CASEMATE_TRY(make(specification)));
}

Result<void> Model::link(InodeNumber inode, InodeNumber in_directory, std::string_view name) {
  Node* const above = CASEMATE_TRY(directory(in_directory));
  Node* const linked = CASEMATE_TRY(node(inode));
  if (S_ISDIR(linked->mode)) return with_code(EPERM);
  if (above->entries.contains(name)) return with_code(EEXIST);
  if (above->links == 0) return with_code(ENOENT);
  ++linked->links;
  above->entries.emplace(name, inode);
  return {};
}

Attributes Model::drop_name(InodeNumber above, std::string_view name) {
  Node& in = nodes_[above];
  const auto found = in.entries.find(name);
  const InodeNumber inode = found->second;
  in.entries.erase(found);
  Node& dropped = nodes_[inode];
  if (S_ISDIR(dropped.mode)) {
    dropped.links = 0;
    dropped.parent = 0;
    --in.links;
  } else {
    --dropped.links;
  }
  return describe(inode);
}

Result<Attributes> Model::unlink(InodeNumber in_directory, std::string_view name) {
  if (S_ISDIR(nodes_[CASEMATE_TRY(entry(in_directory, name))].mode)) return with_code(EISDIR);
  return drop_name(in_directory, name);
}

Result<Attributes> Model::remove_directory(InodeNumber in_directory, std::string_view name) {
  const Node& removed = nodes_[CASEMATE_TRY(entry(in_directory, name))];
  if (!S_ISDIR(removed.mode)) return with_code(ENOTDIR);
  if (!removed.entries.empty()) return with_code(ENOTEMPTY);
  return drop_name(in_directory, name);
}

bool Model::is_inside(InodeNumber inode, InodeNumber above) const {
  for (; inode != 0; inode = nodes_.at(inode).parent) {
    if (inode == above) return true;
  }
  return false;
}

Result<std::optional<Attributes>> Model::rename(InodeNumber from_directory, std::string_view from_name,
                                                InodeNumber to_directory, std::string_view to_name, RenameMode mode) {
  using Replaced = std::optional<Attributes>;
  const InodeNumber moved = CASEMATE_TRY(entry(from_directory, from_name));
  Node* const to = CASEMATE_TRY(directory(to_directory));
  const auto found = to->entries.find(to_name);
  const InodeNumber target = found == to->entries.end() ? 0 : found->second;
  if (target == 0 && mode == RenameMode::kExchange) return with_code(ENOENT);
  if (target != 0 && mode == RenameMode::kNoReplace) return with_code(EEXIST);
  if (to->links == 0) return with_code(ENOENT);
  if (target == moved) return Replaced();
  const bool moves_directory = S_ISDIR(nodes_[moved].mode);
  if (moves_directory && is_inside(to_directory, moved)) return with_code(EINVAL);
  Node& from = nodes_[from_directory];
  if (mode == RenameMode::kExchange) {
    const bool target_directory = S_ISDIR(nodes_[target].mode);
    if (target_directory && is_inside(from_directory, target)) return with_code(EINVAL);
    from.entries.find(from_name)->second = target;
    to->entries.find(to_name)->second = moved;
    if (target_directory) nodes_[target].parent = from_directory;
    if (moves_directory) nodes_[moved].parent = to_directory;
    from.links += (target_directory ? 1U : 0U) - (moves_directory ? 1U : 0U);
    to->links += (moves_directory ? 1U : 0U) - (target_directory ? 1U : 0U);
    return Replaced();
  }
  Replaced replaced;
  if (target != 0) {
    const Node& old = nodes_[target];
    if (moves_directory && !S_ISDIR(old.mode)) return with_code(ENOTDIR);
    if (!moves_directory && S_ISDIR(old.mode)) return with_code(EISDIR);
    if (!old.entries.empty()) return with_code(ENOTEMPTY);
    replaced = drop_name(to_directory, to_name);
  }
  from.entries.erase(from.entries.find(from_name));
  to->entries.emplace(to_name, moved);
  if (moves_directory) {
    nodes_[moved].parent = to_directory;
    --from.links;
    ++to->links;
  }
  return replaced;
}

Result<void> Model::release_orphan(InodeNumber inode) {
  if (CASEMATE_TRY(node(inode))->links != 0) return with_code(EINVAL);
  nodes_.erase(inode);
  return {};
}

void Model::sweep_orphans() {
  std::erase_if(nodes_, [](const auto& item) { return item.second.links == 0; });
}

Result<std::vector<DirectoryEntry>> Model::read_directory(InodeNumber in_directory, std::uint64_t, std::size_t) {
  std::vector<DirectoryEntry> entries;
  for (const auto& [name, inode] : CASEMATE_TRY(directory(in_directory))->entries) {
    entries.push_back({name, inode, nodes_[inode].mode & S_IFMT, 0});
  }
  return entries;
}

Result<std::string> Model::read_link(InodeNumber inode) {
  const Node* const link = CASEMATE_TRY(node(inode));
  if (!S_ISLNK(link->mode)) return with_code(EINVAL);
  return link->target;
}

Result<InodeNumber> Model::parent(InodeNumber in_directory) { return CASEMATE_TRY(directory(in_directory))->parent; }

Result<std::string> Model::name_in_parent(InodeNumber) { return with_code(ENOSYS); }

// --- attributes

Result<Attributes> Model::attributes(InodeNumber inode) {
  (void)CASEMATE_TRY(node(inode));
  return describe(inode);
}

Result<Attributes> Model::set_attributes(InodeNumber inode, const AttributeChange& change) {
  Node* const changed = change.size ? CASEMATE_TRY(file(inode)) : CASEMATE_TRY(node(inode));
  if (change.permissions) changed->mode = (changed->mode & ~07777U) | (*change.permissions & 07777U);
  if (change.uid) changed->uid = *change.uid;
  if (change.gid) changed->gid = *change.gid;
  if (change.size) resize(*changed, *change.size);
  return describe(inode);
}

Result<Bytes> Model::extended_attribute(InodeNumber inode, std::string_view name) {
  const Node* const of = CASEMATE_TRY(node(inode));
  const auto found = of->extended.find(name);
  if (found == of->extended.end()) return with_code(ENODATA);
  return found->second;
}

Result<void> Model::set_extended_attribute(InodeNumber inode, std::string_view name, ByteView value, int flags) {
  Node* const of = CASEMATE_TRY(node(inode));
  const bool exists = of->extended.contains(name);
  if (exists && (flags & XATTR_CREATE) != 0) return with_code(EEXIST);
  if (!exists && (flags & XATTR_REPLACE) != 0) return with_code(ENODATA);
  of->extended[std::string(name)] = Bytes(value.begin(), value.end());
  return {};
}

Result<void> Model::remove_extended_attribute(InodeNumber inode, std::string_view name) {
  Node* const of = CASEMATE_TRY(node(inode));
  const auto found = of->extended.find(name);
  if (found == of->extended.end()) return with_code(ENODATA);
  of->extended.erase(found);
  return {};
}

Result<std::vector<std::string>> Model::extended_attribute_names(InodeNumber inode) {
  std::vector<std::string> names;
  for (const auto& [name, value] : CASEMATE_TRY(node(inode))->extended) names.push_back(name);
  return names;
}

// --- contents

void Model::clear_pages(Node& node, std::uint64_t first, std::uint64_t end) {
  for (std::set<std::uint64_t>* pages : {&node.data, &node.reserved}) {
    pages->erase(pages->lower_bound(first), end == kNoPage ? pages->end() : pages->lower_bound(end));
  }
}

void Model::resize(Node& node, std::uint64_t size) {
  if (size < node.size) clear_pages(node, page_end(size), kNoPage);
  node.contents.resize(size);
  node.size = size;
}

Result<std::size_t> Model::read(InodeNumber inode, std::uint64_t offset, std::span<std::byte> out) {
  const Node* const from = CASEMATE_TRY(file(inode));
  if (offset >= from->size) return std::size_t{0};
  const std::size_t size = std::min<std::uint64_t>(out.size(), from->size - offset);
  std::copy_n(from->contents.begin() + static_cast<std::ptrdiff_t>(offset), size, out.begin());
  return size;
}

Result<void> Model::write(InodeNumber inode, std::uint64_t offset, ByteView data) {
  Node* const to = CASEMATE_TRY(file(inode));
  if (offset + data.size() > to->size) {
    to->size = offset + data.size();
    to->contents.resize(to->size);
  }
  std::copy(data.begin(), data.end(), to->contents.begin() + static_cast<std::ptrdiff_t>(offset));
  for (std::uint64_t page = offset / kPageSize; page < page_end(offset + data.size()); ++page) {
    to->reserved.erase(page);
    to->data.insert(page);
  }
  return {};
}

Result<void> Model::punch_hole(InodeNumber inode, std::uint64_t offset, std::uint64_t size) {
  Node* const of = CASEMATE_TRY(file(inode));
  const std::uint64_t begin = std::min(offset, of->size), end = std::min(offset + size, of->size);
  std::fill(of->contents.begin() + static_cast<std::ptrdiff_t>(begin),
            of->contents.begin() + static_cast<std::ptrdiff_t>(end), std::byte{0});
  const std::uint64_t first = page_end(offset), last = (offset + size) / kPageSize;
  if (first < last) clear_pages(*of, first, last);
  return {};
}

Result<void> Model::allocate(InodeNumber inode, std::uint64_t offset, std::uint64_t size, AllocateMode mode) {
  Node* const of = CASEMATE_TRY(file(inode));
  for (std::uint64_t page = offset / kPageSize; page < page_end(offset + size); ++page) {
    if (!of->data.contains(page)) of->reserved.insert(page);
  }
  if (mode == AllocateMode::kExtend && offset + size > of->size) resize(*of, offset + size);
  return {};
}

void Model::move_pages(Node& node, std::uint64_t from, std::uint64_t to, std::uint64_t count) {
  const std::set<std::uint64_t> old = node.data;
  for (std::uint64_t index = 0; index < count; ++index) {
    node.reserved.erase(to + index);
    node.data.erase(to + index);
    if (old.contains(from + index)) node.data.insert(to + index);
  }
}

Result<void> Model::collapse_range(InodeNumber inode, std::uint64_t offset, std::uint64_t size) {
  Node* const of = CASEMATE_TRY(file(inode));
  if (offset >= of->size || size >= of->size - offset) return with_code(EINVAL);
  const auto begin = of->contents.begin() + static_cast<std::ptrdiff_t>(offset);
  of->contents.erase(begin, begin + static_cast<std::ptrdiff_t>(size));
  const std::uint64_t from = (offset + size) / kPageSize;
  move_pages(*of, from, offset / kPageSize, page_end(of->size) - from);
  of->size -= size;
  clear_pages(*of, page_end(of->size), kNoPage);
  return {};
}

Result<void> Model::insert_range(InodeNumber inode, std::uint64_t offset, std::uint64_t size) {
  Node* const of = CASEMATE_TRY(file(inode));
  if (offset >= of->size) return with_code(EINVAL);
  of->contents.insert(of->contents.begin() + static_cast<std::ptrdiff_t>(offset), size, std::byte{0});
  const std::uint64_t first = offset / kPageSize, shift = size / kPageSize, count = page_end(of->size) - first;
  of->size += size;
  move_pages(*of, first, first + shift, count);
  clear_pages(*of, first, first + shift);
  return {};
}

Result<std::uint64_t> Model::seek(InodeNumber inode, std::uint64_t offset, SeekTarget target) {
  const Node* const of = CASEMATE_TRY(file(inode));
  if (offset >= of->size) return with_code(ENXIO);
  for (std::uint64_t page = offset / kPageSize; page * kPageSize < of->size; ++page) {
    if (of->data.contains(page) == (target == SeekTarget::kData)) return std::max(offset, page * kPageSize);
  }
  if (target == SeekTarget::kData) return with_code(ENXIO);
  return of->size;
}

}  // namespace casemate::volume::testing
