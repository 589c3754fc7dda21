// All cached nodes: who has which open, how much memory they take, and what goes when it is short.
//
// A program's descriptors are the kernel's; nobody tells the keeper when the last one closes, not even after SIGKILL.
// So it asks the kernel (is_only_user) when it matters: on a timer, when a file was deleted, and when slots,
// descriptors or memory are short.
//
// Order of locks: names lock (Namespace) - CachedNode's mutex - table mutex - CachedNode's publish mutex. The reclaim
// mutex is taken with none of them held but the names lock.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "keeper/cached_node.h"
#include "keeper/content_hash.h"
#include "keeper/region.h"
#include "keeper/shared_arena.h"

namespace casemate::keeper {

// A node that a request works with: it stays in the cache meanwhile.
class NodeReference {
 public:
  NodeReference() = default;
  NodeReference(PageCache* cache, std::shared_ptr<CachedNode> node) : cache_(cache), node_(std::move(node)) {}
  NodeReference(NodeReference&& other) noexcept
      : cache_(std::exchange(other.cache_, nullptr)), node_(std::move(other.node_)) {}
  NodeReference& operator=(NodeReference&& other) noexcept {
    std::swap(cache_, other.cache_);
    std::swap(node_, other.node_);
    return *this;
  }
  NodeReference(const NodeReference&) = delete;
  NodeReference& operator=(const NodeReference&) = delete;
  ~NodeReference();

  explicit operator bool() const { return node_ != nullptr; }
  CachedNode* operator->() const { return node_.get(); }
  CachedNode& operator*() const { return *node_; }

 private:
  PageCache* cache_ = nullptr;
  std::shared_ptr<CachedNode> node_;
};

struct PageCacheOptions {
  std::uint64_t maximum_bytes = 0;
  std::uint32_t maximum_nodes = 0;  // each takes a descriptor of this process
  std::vector<std::string> passed_prefixes;
};

// What is in the cache, for tests and statistics.
struct PageCacheCounts {
  std::uint32_t nodes = 0, idle_nodes = 0;
  std::uint64_t resident_pages = 0;
};

// Threads: any.
class PageCache {
 public:
  // Regions that are given to it must outlive it.
  static Result<std::unique_ptr<PageCache>> create(const PageCacheOptions& options);
  ~PageCache();

  // Finds or makes the node; it counts as open from now on. Errors: ENFILE when everything is in use, ENOENT.
  Result<NodeReference> open(const Region& region, const volume::Attributes& attributes);
  // Empty when the node is not cached.
  NodeReference find(const NodeKey& key);
  // From a member's slot number, so possibly nonsense: empty then.
  NodeReference find_slot(std::uint64_t slot);

  // Under which name a node was opened last. name_of: false when it never was by a name.
  void set_name(CachedNode& node, volume::InodeNumber directory, std::string_view name);
  bool name_of(const CachedNode& node, volume::InodeNumber* directory, std::string* name);
  // An O_PATH descriptor was given out, the end of which the kernel does not tell: the node stays.
  void keep_for_path_handle(CachedNode& node);

  // The node lost its last name: released now if nobody has it open, otherwise after the last close.
  void drop_orphan(const Region& region, volume::InodeNumber inode);

  // Brings the contents of every file (of one volume, or of all for null) into the volumes. The first error is
  // returned, after all were tried.
  Result<void> write_back_all(const volume::Volume* only);
  // Only what members have marked: nothing is compared for changes made through mappings alone.
  Result<void> write_back_marked();
  // Counts the pages that members wrote since. Nothing else notices them before they are written back.
  void measure();
  // Asks for at most `maximum` nodes whether anybody still has them open.
  void probe(std::size_t maximum);
  // Brings the cache below its bound, first by what nobody has open, then by clean pages, then by writing back.
  // `needed`: pages about to come.
  void make_room(std::uint64_t needed);
  // Grants pages into the members' space counter. ENOSPC when the volume behind `node` has no more.
  Result<std::uint64_t> reserve(CachedNode& node, std::uint64_t pages);
  // At the end: writes back and takes everything out; orphans are left to the next mount.
  Result<void> close();

  PageCacheCounts counts();
  bool is_over_bound() const;
  // Counts nodes that left the cache: who looked attributes up before must look again if it changed.
  std::uint64_t generation() const { return generation_.load(std::memory_order_acquire); }

  // --- for CachedNode
  SharedArena& arena() { return *arena_; }
  const ContentHashKey& hash_key() const { return hash_key_; }
  void add_resident(std::int64_t pages) { resident_pages_.fetch_add(pages, std::memory_order_relaxed); }
  // New pages were written to a volume: they are no reservation any more.
  void space_used(std::uint64_t pages);
  // At least `minimum` states, `wished` if there is room.
  std::optional<StateRange> allocate_states(std::uint64_t wished, std::uint64_t minimum);

 private:
  friend class NodeReference;
  using NodePointer = std::shared_ptr<CachedNode>;

  explicit PageCache(const PageCacheOptions& options) : options_(options) {}
  NodeReference refer(const NodePointer& node);
  void release(const NodePointer& node);
  Result<NodePointer> add_node(const Region& region, const volume::Attributes& attributes);
  Result<void> make_room_for_node();
  std::uint64_t available_pages(volume::Volume& volume);
  void settle_space(volume::Volume& volume);
  bool retire(const NodePointer& node);
  bool drop_oldest_idle();
  bool is_unused(const NodePointer& node) const;
  void set_idle(const NodePointer& node);
  void set_open(const NodePointer& node);
  void take_out(const NodePointer& node);
  void shrink(std::uint64_t target_pages);
  template <typename Wanted>
  std::vector<NodeReference> nodes_where(Wanted wanted);
  template <typename Wanted>
  Result<void> write_back_where(Wanted wanted);

  PageCacheOptions options_;
  std::unique_ptr<SharedArena> arena_;
  ContentHashKey hash_key_{};
  std::atomic<std::int64_t> resident_pages_{0};
  std::atomic<std::uint64_t> generation_{0};
  std::atomic<std::int64_t> reserved_pages_{0};  // granted and not yet in a volume

  std::mutex reclaim_mutex_;
  std::mutex table_mutex_;  // guards what follows, the arena's slots, and the nodes' bookkeeping
  std::unordered_map<NodeKey, NodePointer, NodeKeyHash> nodes_;
  std::vector<NodePointer> by_slot_;
  std::uint64_t clock_ = 0;
  std::uint32_t probe_hand_ = 0;
  std::list<NodePointer> idle_;  // oldest first
};

}  // namespace casemate::keeper
