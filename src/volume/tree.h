// The B-tree of typed items. Copy-on-write since the last checkpoint: the first change of a node moves it to a new
// unit, so the durable tree stays whole; pointers carry the tags of what they point to.
//
// Nodes are cached; dirty ones and those of a checkpoint under way stay, clean ones go when the cache is over its bound
// (only in trim(), so values that find() gave are good until the next call that is not const or trims).
// Not thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/result.h"
#include "volume/format.h"
#include "volume/keyring.h"
#include "volume/node.h"

namespace casemate::volume {

// Where nodes live.
class NodeStore {
 public:
  virtual ~NodeStore() = default;
  // A unit for a node. The caller of the tree makes sure that there are some; a failure leaves the tree half changed.
  virtual Result<Unit> take_unit() = 0;
  // Nothing refers to the unit any more. `kStored`: the durable superblock may still do.
  enum class Was { kStored, kNeverStored };
  virtual void give_unit(Unit unit, Was was) = 0;
  // The sealed bytes.
  virtual Result<void> read_unit(Unit unit, std::span<std::byte> out) const = 0;
};

struct Item {
  Key key;
  ByteView value;  // valid as long as what find() gives
};

// A node ready to be written.
struct SealedNode {
  Unit unit = 0;
  std::array<std::byte, kUnitSize> bytes;
};

class Tree {
 public:
  Tree(NodeStore& store, const Keyring& keyring) : store_(store), keyring_(keyring) {}

  // Starts empty, or with what was stored. Nothing is read.
  Result<void> start_empty();
  void start_at(const NodePointer& root) { root_ = root; }
  // Valid after seal_dirty().
  const NodePointer& root() const { return root_; }

  Result<std::optional<ByteView>> find(const Key& key);
  // The first item whose key is not less, up to `last`.
  Result<std::optional<Item>> next(const Key& first, const Key& last);
  // Calls for each item in [first, last], in order; the visitor must not change the tree. False stops.
  Result<void> scan(const Key& first, const Key& last, const std::function<Result<bool>(const Item&)>& visit);
  // Brings the way to `key` into the cache, so that put() and erase() need no reading.
  Result<void> prepare(const Key& key) { return prepare_result(find(key)); }

  enum class Outcome { kInserted, kReplaced, kErased, kAbsent };
  // Requires: value.size() <= kMaximumValueSize.
  Result<Outcome> put(const Key& key, ByteView value);
  Result<Outcome> erase(const Key& key);
  // Overwrites a value of the same size in a node that is dirty already: changes no structure.
  Result<void> overwrite(const Key& key, ByteView value);

  std::size_t dirty_count() const { return dirty_count_; }
  std::size_t cached_count() const { return nodes_.size(); }
  // Seals all dirty nodes; they count as stored then and stay cached until finish_checkpoint().
  Result<std::vector<SealedNode>> seal_dirty(std::uint32_t epoch, std::uint64_t& counter);
  void finish_checkpoint();

  // Drops clean nodes, least recently used first, until at most `maximum` nodes are cached (or all that can go went).
  void trim(std::size_t maximum);

  // Reads and checks every node below the root, from the store where it is stored; calls for each. For verification.
  Result<void> walk(const std::function<void(Unit, const NodePage*, const Error*)>& visit);
  // Moves every node at or above `bound` to another unit.
  Result<void> move_nodes_from(Unit bound);

 private:
  struct Node {
    NodePage page;
    Unit unit = 0;
    bool dirty = false;
    bool in_checkpoint = false;
    Node* older = nullptr;  // in the order of use
    Node* newer = nullptr;
  };
  struct Step {
    Node* node = nullptr;
    std::size_t position = 0;  // of the child that was taken
  };
  struct Path {
    std::array<Step, kMaximumLevel + 2> steps;  // from the root to the leaf
    std::size_t count = 0;
    std::optional<Key> upper_bound;  // first key of the next leaf
    Node& leaf() { return *steps[count - 1].node; }
    void push(Node* node) { steps[count++] = {node, 0}; }
  };

  static Result<void> prepare_result(const Result<std::optional<ByteView>>& found) {
    return found ? Result<void>() : Result<void>(found.error());
  }
  // `level`: what the node must be; kAnyLevel for the root.
  static constexpr unsigned kAnyLevel = kMaximumLevel + 1;
  Result<void> read(const NodePointer& pointer, unsigned level, const Key* lower_bound, NodePage& page) const;
  Result<Node*> load(const NodePointer& pointer, unsigned level, const Key* lower_bound);
  Result<Node*> load_root();
  Result<Node*> child(Node& parent, std::size_t position);
  Result<Path> descend(const Key& key);
  Result<void> make_dirty(Path& path);
  Result<void> make_node_dirty(Node& node);
  Result<Node*> new_node(unsigned level);
  void free_node(Node& node);
  void point_to(Node& parent, std::size_t position, const Node& child_node);
  Result<void> insert(Path& path, std::size_t depth, std::size_t position, const Key& key, ByteView value);
  Result<void> split(Path& path, std::size_t depth, std::size_t position, const Key& key, ByteView value);
  Result<void> grow_root(Path& path);
  void remove_child(Node& parent, std::size_t position);
  Result<void> shrink(Path& path);
  Result<bool> merge_into_sibling(Node& parent, std::size_t position);
  Result<void> shrink_root();
  Result<void> seal(Node& node, NodePointer& pointer, crypto::Aes256Gcm::Session& session, std::uint32_t epoch,
                    std::uint64_t& counter, std::vector<SealedNode>& out);
  Result<void> walk_below(const NodePointer& pointer, unsigned level, const Key* lower_bound,
                          const std::function<void(Unit, const NodePage*, const Error*)>& visit,
                          std::unordered_set<Unit>& seen);
  void touch(Node& node);
  void unlink(Node& node);

  NodeStore& store_;
  const Keyring& keyring_;
  NodePointer root_;
  std::unordered_map<Unit, std::unique_ptr<Node>> nodes_;
  std::vector<Node*> in_checkpoint_;
  std::size_t dirty_count_ = 0;
  Node* newest_ = nullptr;
  Node* oldest_ = nullptr;
};

}  // namespace casemate::volume
