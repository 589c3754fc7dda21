#include "volume/tree.h"

#include <algorithm>
#include <string>
#include <unordered_set>

#include "volume/check.h"
#include "volume/errors.h"

namespace casemate::volume {
namespace {

NodePointer pointer_at(const NodePage& page, std::size_t position) {
  ByteReader reader(page.value(position));
  return read_pointer(reader);
}

// Only the place is known before the child is sealed.
std::array<std::byte, kNodePointerSize> unsealed_pointer(Unit unit) {
  std::array<std::byte, kNodePointerSize> value{};
  store_number(value.data(), unit);
  return value;
}

std::array<std::byte, 8> node_identity(Unit unit) {
  std::array<std::byte, 8> bytes;
  store_number(bytes.data(), unit);
  return bytes;
}

// A node with one item more than fits, as an ordered list.
struct OverfullNode {
  const NodePage& page;
  std::size_t position;
  const Key& key;
  ByteView value;

  std::size_t count() const { return page.count() + 1; }
  Key key_at(std::size_t index) const {
    return index == position ? key : page.key(index < position ? index : index - 1);
  }
  ByteView value_at(std::size_t index) const {
    return index == position ? value : page.value(index < position ? index : index - 1);
  }
  // How many items go to the left: half of the bytes; everything old when the new item is the last one, so that nodes
  // filled in order end up full.
  std::size_t left_count() const {
    if (position == page.count()) return page.count();
    const std::size_t half = (page.used() + NodePage::item_cost(value.size())) / 2;
    std::size_t left = 0, bytes = 0;
    while (bytes < half && left + 1 < count()) bytes += NodePage::item_cost(value_at(left++).size());
    return left;
  }
};

}  // namespace

Result<void> Tree::start_empty() {
  const Node* const root = CASEMATE_TRY(new_node(0));
  root_ = {root->unit, {}, {}};
  return {};
}

// --- reading

Result<void> Tree::read(const NodePointer& pointer, unsigned level, const Key* lower_bound, NodePage& page) const {
  const std::string name = "node in unit " + std::to_string(pointer.unit);
  VOLUME_CHECK(store_.read_unit(pointer.unit, page.bytes()));
  const crypto::Aes256Gcm* const cipher = CASEMATE_TRY(keyring_.cipher(pointer.seal.epoch));
  if (!cipher->open(nonce_for(Domain::kNode, pointer.seal.counter), node_identity(pointer.unit), page.bytes(),
                    pointer.tag, page.bytes())) {
    return damaged("metadata: " + name + " is not what was written there");
  }
  if (!page.is_valid() || (level != kAnyLevel && page.level() != level) ||
      (lower_bound != nullptr && page.count() > 0 && page.key(0) < *lower_bound)) {
    return damaged("metadata: " + name + " does not follow the format");
  }
  return {};
}

Result<Tree::Node*> Tree::load(const NodePointer& pointer, unsigned level, const Key* lower_bound) {
  if (const auto known = nodes_.find(pointer.unit); known != nodes_.end()) {
    Node* const node = known->second.get();
    if (level != kAnyLevel && node->page.level() != level) return damaged("metadata: a node stands on two levels");
    touch(*node);
    return node;
  }
  auto node = std::make_unique<Node>();
  node->unit = pointer.unit;
  VOLUME_CHECK(read(pointer, level, lower_bound, node->page));
  Node* const loaded = node.get();
  nodes_.emplace(pointer.unit, std::move(node));
  touch(*loaded);
  return loaded;
}

Result<Tree::Node*> Tree::load_root() { return load(root_, kAnyLevel, nullptr); }

Result<Tree::Node*> Tree::child(Node& parent, std::size_t position) {
  const Key lower_bound = parent.page.key(position);
  return load(pointer_at(parent.page, position), parent.page.level() - 1, &lower_bound);
}

Result<Tree::Path> Tree::descend(const Key& key) {
  Path path;
  Node* node = CASEMATE_TRY(load_root());
  path.push(node);
  while (node->page.level() > 0) {
    const std::size_t position = node->page.child_position(key);
    path.steps[path.count - 1].position = position;
    if (position + 1 < node->page.count()) path.upper_bound = node->page.key(position + 1);
    node = CASEMATE_TRY(child(*node, position));
    path.push(node);
  }
  return path;
}

Result<std::optional<ByteView>> Tree::find(const Key& key) {
  Node* node = CASEMATE_TRY(load_root());
  while (node->page.level() > 0) node = CASEMATE_TRY(child(*node, node->page.child_position(key)));
  const std::size_t position = node->page.lower_bound(key);
  if (!node->page.holds(position, key)) return std::optional<ByteView>();
  return std::optional<ByteView>(node->page.value(position));
}

Result<std::optional<Item>> Tree::next(const Key& first, const Key& last) {
  std::optional<Item> found;
  VOLUME_CHECK(scan(first, last, [&](const Item& item) -> Result<bool> {
    found = item;
    return false;
  }));
  return found;
}

Result<void> Tree::scan(const Key& first, const Key& last, const std::function<Result<bool>(const Item&)>& visit) {
  Key from = first;
  while (true) {
    Path path = CASEMATE_TRY(descend(from));
    const NodePage& leaf = path.leaf().page;
    for (std::size_t position = leaf.lower_bound(from); position < leaf.count(); ++position) {
      const Item item{leaf.key(position), leaf.value(position)};
      if (item.key > last) return {};
      if (!CASEMATE_TRY(visit(item))) return {};
    }
    if (!path.upper_bound || *path.upper_bound > last) return {};
    from = *path.upper_bound;
  }
}

// --- changing

Result<Tree::Node*> Tree::new_node(unsigned level) {
  auto node = std::make_unique<Node>();
  node->page.clear(level);
  node->unit = CASEMATE_TRY(store_.take_unit());
  node->dirty = true;
  ++dirty_count_;
  Node* const fresh = node.get();
  nodes_[fresh->unit] = std::move(node);
  touch(*fresh);
  return fresh;
}

void Tree::free_node(Node& node) {
  store_.give_unit(node.unit, node.dirty ? NodeStore::Was::kNeverStored : NodeStore::Was::kStored);
  if (node.dirty) --dirty_count_;
  if (node.in_checkpoint) std::erase(in_checkpoint_, &node);
  unlink(node);
  nodes_.erase(node.unit);
}

Result<void> Tree::make_node_dirty(Node& node) {
  if (node.dirty) return {};
  const Unit fresh = CASEMATE_TRY(store_.take_unit());
  store_.give_unit(node.unit, NodeStore::Was::kStored);
  auto handle = nodes_.extract(node.unit);
  handle.key() = fresh;
  nodes_.insert(std::move(handle));
  node.unit = fresh;
  node.dirty = true;
  ++dirty_count_;
  return {};
}

void Tree::point_to(Node& parent, std::size_t position, const Node& child_node) {
  store_number(parent.page.mutable_value(position).data(), child_node.unit);
}

Result<void> Tree::make_dirty(Path& path) {
  for (std::size_t depth = 0; depth < path.count; ++depth) {
    Node& node = *path.steps[depth].node;
    if (node.dirty) continue;
    VOLUME_CHECK(make_node_dirty(node));
    if (depth == 0) {
      root_.unit = node.unit;
    } else {
      point_to(*path.steps[depth - 1].node, path.steps[depth - 1].position, node);
    }
  }
  return {};
}

Result<Tree::Outcome> Tree::put(const Key& key, ByteView value) {
  Path path = CASEMATE_TRY(descend(key));
  VOLUME_CHECK(make_dirty(path));
  NodePage& leaf = path.leaf().page;
  const std::size_t position = leaf.lower_bound(key);
  Outcome outcome = Outcome::kInserted;
  if (leaf.holds(position, key)) {
    outcome = Outcome::kReplaced;
    const std::span<std::byte> old = leaf.mutable_value(position);
    if (old.size() == value.size()) {
      std::copy(value.begin(), value.end(), old.begin());
      return outcome;
    }
    leaf.erase(position);
  }
  VOLUME_CHECK(insert(path, path.count - 1, position, key, value));
  return outcome;
}

Result<void> Tree::overwrite(const Key& key, ByteView value) {
  Path path = CASEMATE_TRY(descend(key));
  NodePage& leaf = path.leaf().page;
  const std::size_t position = leaf.lower_bound(key);
  if (!path.leaf().dirty || !leaf.holds(position, key) || leaf.value(position).size() != value.size()) {
    return damaged("metadata: an item changed while it was stored");
  }
  std::copy(value.begin(), value.end(), leaf.mutable_value(position).begin());
  return {};
}

Result<void> Tree::insert(Path& path, std::size_t depth, std::size_t position, const Key& key, ByteView value) {
  NodePage& page = path.steps[depth].node->page;
  if (!page.fits(value.size())) return split(path, depth, position, key, value);
  page.insert(position, key, value);
  return {};
}

Result<void> Tree::split(Path& path, std::size_t depth, std::size_t position, const Key& key, ByteView value) {
  Node& node = *path.steps[depth].node;
  Node* const right = CASEMATE_TRY(new_node(node.page.level()));
  const NodePage old = node.page;
  const OverfullNode items{old, position, key, value};
  const std::size_t left_count = items.left_count();
  node.page.clear(old.level());
  for (std::size_t index = 0; index < items.count(); ++index) {
    (index < left_count ? node.page : right->page).append(items.key_at(index), items.value_at(index));
  }
  std::size_t parent_depth = depth - 1;
  if (depth == 0) {
    VOLUME_CHECK(grow_root(path));
    parent_depth = 0;
  }
  return insert(path, parent_depth, path.steps[parent_depth].position + 1, right->page.key(0),
                unsealed_pointer(right->unit));
}

// The old root becomes the only child of a new one, at the front of the path.
Result<void> Tree::grow_root(Path& path) {
  Node* const old = path.steps[0].node;
  if (old->page.level() >= kMaximumLevel) return damaged("metadata: the tree is too high");
  Node* const root = CASEMATE_TRY(new_node(old->page.level() + 1));
  root->page.append(Key{}, unsealed_pointer(old->unit));
  root_.unit = root->unit;
  std::copy_backward(path.steps.begin(), path.steps.begin() + static_cast<std::ptrdiff_t>(path.count),
                     path.steps.begin() + static_cast<std::ptrdiff_t>(path.count) + 1);
  ++path.count;
  path.steps[0] = {root, 0};
  return {};
}

Result<Tree::Outcome> Tree::erase(const Key& key) {
  Path path = CASEMATE_TRY(descend(key));
  const std::size_t position = path.leaf().page.lower_bound(key);
  if (!path.leaf().page.holds(position, key)) return Outcome::kAbsent;
  VOLUME_CHECK(make_dirty(path));
  path.leaf().page.erase(position);
  VOLUME_CHECK(shrink(path));
  return Outcome::kErased;
}

// The key of a first child is the lower bound of its parent; it must stay that.
void Tree::remove_child(Node& parent, std::size_t position) {
  const Key lower_bound = parent.page.key(0);
  parent.page.erase(position);
  if (position == 0 && parent.page.count() > 0) parent.page.set_key(0, lower_bound);
}

Result<void> Tree::shrink(Path& path) {
  for (std::size_t depth = path.count - 1; depth > 0; --depth) {
    Node& node = *path.steps[depth].node;
    const Step& parent = path.steps[depth - 1];
    if (node.page.count() == 0) {
      remove_child(*parent.node, parent.position);
      free_node(node);
      continue;
    }
    if (node.page.used() >= kNodeCapacity / 4) break;
    if (!CASEMATE_TRY(merge_into_sibling(*parent.node, parent.position))) break;
  }
  return shrink_root();
}

// Merging is for saving space: a sibling that cannot be read is left alone.
Result<bool> Tree::merge_into_sibling(Node& parent, std::size_t position) {
  for (const std::size_t left_position : {position, position - 1}) {
    if (left_position >= parent.page.count() || left_position + 1 >= parent.page.count()) continue;
    const Result<Node*> left = child(parent, left_position), right = child(parent, left_position + 1);
    if (!left || !right || left.value() == right.value()) continue;
    Node& into = *left.value();
    Node& from = *right.value();
    if (into.page.used() + from.page.used() > kNodeCapacity * 3 / 4) continue;
    VOLUME_CHECK(make_node_dirty(into));
    point_to(parent, left_position, into);
    for (std::size_t index = 0; index < from.page.count(); ++index) {
      into.page.append(from.page.key(index), from.page.value(index));
    }
    remove_child(parent, left_position + 1);
    free_node(from);
    return true;
  }
  return false;
}

Result<void> Tree::shrink_root() {
  Node* root = CASEMATE_TRY(load_root());
  while (root->page.level() > 0 && root->page.count() <= 1) {
    if (root->page.count() == 0) {
      root->page.clear(0);
      return {};
    }
    const Result<Node*> only = child(*root, 0);
    if (!only) return {};
    root_ = pointer_at(root->page, 0);
    free_node(*root);
    root = only.value();
  }
  return {};
}

// --- storing

Result<void> Tree::seal(Node& node, NodePointer& pointer, crypto::Aes256Gcm::Session& session, std::uint32_t epoch,
                        std::uint64_t& counter, std::vector<SealedNode>& out) {
  for (std::size_t position = 0; node.page.level() > 0 && position < node.page.count(); ++position) {
    const std::span<std::byte> value = node.page.mutable_value(position);
    const auto below = nodes_.find(load_number<std::uint64_t>(value.data()));
    if (below == nodes_.end() || !below->second->dirty) continue;
    if (below->second->page.level() + 1 != node.page.level()) return damaged("metadata: a node stands on two levels");
    NodePointer child_pointer;
    VOLUME_CHECK(seal(*below->second, child_pointer, session, epoch, counter, out));
    Bytes encoded;
    ByteWriter writer(encoded);
    write_pointer(writer, child_pointer);
    std::copy(encoded.begin(), encoded.end(), value.begin());
  }
  SealedNode& sealed = out.emplace_back();
  sealed.unit = node.unit;
  pointer.unit = node.unit;
  pointer.seal = {epoch, counter++};
  pointer.tag = session.seal(nonce_for(Domain::kNode, pointer.seal.counter), node_identity(node.unit),
                             node.page.bytes(), sealed.bytes);
  node.dirty = false;
  --dirty_count_;
  if (!node.in_checkpoint) in_checkpoint_.push_back(&node);
  node.in_checkpoint = true;
  return {};
}

Result<std::vector<SealedNode>> Tree::seal_dirty(std::uint32_t epoch, std::uint64_t& counter) {
  std::vector<SealedNode> sealed;
  if (dirty_count_ == 0) return sealed;
  sealed.reserve(dirty_count_);
  const crypto::Aes256Gcm* const cipher = CASEMATE_TRY(keyring_.cipher(epoch));
  crypto::Aes256Gcm::Session session = cipher->session();
  Node* const root = CASEMATE_TRY(load_root());
  VOLUME_CHECK(seal(*root, root_, session, epoch, counter, sealed));
  if (dirty_count_ != 0) return damaged("metadata: a changed node cannot be reached from the root");
  return sealed;
}

void Tree::finish_checkpoint() {
  for (Node* const node : in_checkpoint_) node->in_checkpoint = false;
  in_checkpoint_.clear();
}

// --- cache

void Tree::unlink(Node& node) {
  (node.older != nullptr ? node.older->newer : oldest_) = node.newer;
  (node.newer != nullptr ? node.newer->older : newest_) = node.older;
  node.older = node.newer = nullptr;
}

void Tree::touch(Node& node) {
  if (newest_ == &node) return;
  if (node.older != nullptr || node.newer != nullptr || oldest_ == &node) unlink(node);
  node.older = newest_;
  if (newest_ != nullptr) newest_->newer = &node;
  newest_ = &node;
  if (oldest_ == nullptr) oldest_ = &node;
}

void Tree::trim(std::size_t maximum) {
  // Nodes that must stay move to the newer end; the bound keeps a call short when most of them must.
  for (int steps = 64; nodes_.size() > maximum && steps > 0; --steps) {
    Node& node = *oldest_;
    if (node.dirty || node.in_checkpoint) {
      touch(node);
      continue;
    }
    unlink(node);
    nodes_.erase(node.unit);
  }
}

// --- whole tree

Result<void> Tree::walk_below(const NodePointer& pointer, unsigned level, const Key* lower_bound,
                              const std::function<void(Unit, const NodePage*, const Error*)>& visit,
                              std::unordered_set<Unit>& seen) {
  NodePage page;
  const auto known = nodes_.find(pointer.unit);
  if (known != nodes_.end() && (known->second->dirty || known->second->in_checkpoint)) {
    page = known->second->page;
    if (level != kAnyLevel && page.level() != level) return damaged("metadata: a node stands on two levels");
  } else if (auto done = read(pointer, level, lower_bound, page); !done) {
    visit(pointer.unit, nullptr, &done.error());
    return {};
  }
  visit(pointer.unit, &page, nullptr);
  if (!seen.insert(pointer.unit).second) return {};  // the visitor has noticed; once is enough
  for (std::size_t position = 0; page.level() > 0 && position < page.count(); ++position) {
    const Key key = page.key(position);
    VOLUME_CHECK(walk_below(pointer_at(page, position), page.level() - 1, &key, visit, seen));
  }
  return {};
}

Result<void> Tree::walk(const std::function<void(Unit, const NodePage*, const Error*)>& visit) {
  std::unordered_set<Unit> seen;
  return walk_below(root_, kAnyLevel, nullptr, visit, seen);
}

Result<void> Tree::move_nodes_from(Unit bound) {
  std::vector<std::pair<Key, unsigned>> high;  // lower bound and level
  VOLUME_CHECK(walk([&](Unit unit, const NodePage* page, const Error*) {
    if (unit >= bound && page != nullptr) high.emplace_back(page->count() > 0 ? page->key(0) : Key{}, page->level());
  }));
  for (const auto& [key, level] : high) {
    Path path = CASEMATE_TRY(descend(key));
    while (path.count > 1 && path.leaf().page.level() < level) --path.count;
    VOLUME_CHECK(make_dirty(path));
  }
  return {};
}

}  // namespace casemate::volume
