#include "keeper/page_cache.h"

#include <algorithm>
#include <cerrno>

#include "crypto/random.h"
#include "keeper/memory_file.h"
#include "keeper/page_states.h"

namespace casemate::keeper {
namespace {

using protocol::kPageSize;

constexpr std::uint64_t kGrantPages = 4096;  // 16 MiB: the most that is written without a word to the keeper
constexpr std::uint64_t kEvictPages = 4096;

bool belongs_to(const CachedNode& node, const volume::Volume* only) {
  return only == nullptr || node.region().volume == only;
}

// What sync() has to bring into a volume.
bool is_kept_by_sync(const CachedNode& node) {
  return node.is_regular() && !node.region().is_volatile() && !node.is_orphan();
}

}  // namespace

NodeReference::~NodeReference() {
  if (cache_ != nullptr && node_ != nullptr) cache_->release(node_);
}

Result<std::unique_ptr<PageCache>> PageCache::create(const PageCacheOptions& options) {
  std::unique_ptr<PageCache> cache(new PageCache(options));
  cache->arena_ = CASEMATE_TRY(SharedArena::create(options.passed_prefixes));
  cache->by_slot_.resize(protocol::kSlotCapacity);
  const auto key = std::as_writable_bytes(std::span(cache->hash_key_));
  if (auto filled = crypto::random_bytes(key); !filled) return filled.error();
  return cache;
}

PageCache::~PageCache() = default;

// Referred to, so that none leaves the cache (and its page states) while somebody works through the list.
template <typename Wanted>
std::vector<NodeReference> PageCache::nodes_where(Wanted wanted) {
  const std::lock_guard lock(table_mutex_);
  std::vector<NodeReference> nodes;
  for (const auto& [key, node] : nodes_) {
    if (!wanted(*node)) continue;
    node->users += 1;
    nodes.emplace_back(this, node);
  }
  return nodes;
}

// --- finding and making nodes ---

NodeReference PageCache::refer(const NodePointer& node) {
  node->users += 1;
  node->last_used = ++clock_;
  return NodeReference(this, node);
}

void PageCache::release(const NodePointer& node) {
  const std::lock_guard lock(table_mutex_);
  node->users -= 1;
}

NodeReference PageCache::find(const NodeKey& key) {
  const std::lock_guard lock(table_mutex_);
  const auto found = nodes_.find(key);
  return found == nodes_.end() ? NodeReference() : refer(found->second);
}

NodeReference PageCache::find_slot(std::uint64_t slot) {
  if (slot >= by_slot_.size()) return {};
  const std::lock_guard lock(table_mutex_);
  const NodePointer& node = by_slot_[static_cast<std::size_t>(slot)];
  return node == nullptr ? NodeReference() : refer(node);
}

Result<NodeReference> PageCache::open(const Region& region, const volume::Attributes& attributes) {
  if (auto room = make_room_for_node(); !room) return room.error();
  const std::lock_guard lock(table_mutex_);
  const auto found = nodes_.find(key_of(region, attributes.inode));
  if (found != nodes_.end()) {
    set_open(found->second);
    return refer(found->second);
  }
  return refer(CASEMATE_TRY(add_node(region, attributes)));
}

Result<PageCache::NodePointer> PageCache::add_node(const Region& region, const volume::Attributes& attributes) {
  const auto slot = arena_->allocate_slot();
  if (!slot) return Error(ErrorCategory::kExhausted, "too many files are open", ENFILE);
  auto node = std::make_shared<CachedNode>(*this, region, attributes);
  if (auto made = node->set_up(*slot); !made) {
    for (const StateRange& range : node->take_ranges()) arena_->free_states(range);
    arena_->free_slot(*slot);
    return made.error();
  }
  nodes_.emplace(node->key(), node);
  by_slot_[*slot] = node;
  return node;
}

Result<void> PageCache::make_room_for_node() {
  const auto is_full = [&] {
    const std::lock_guard lock(table_mutex_);
    return nodes_.size() >= options_.maximum_nodes;
  };
  if (!is_full()) return {};
  const std::lock_guard lock(reclaim_mutex_);
  for (int round = 0; round < 2; ++round) {
    for (std::uint32_t i = 0; is_full() && i < options_.maximum_nodes; ++i) {
      if (!drop_oldest_idle()) break;
    }
    if (!is_full()) return {};
    probe(protocol::kSlotCapacity);
  }
  if (!is_full()) return {};
  return Error(ErrorCategory::kExhausted, "too many files are open", ENFILE);
}

std::optional<StateRange> PageCache::allocate_states(std::uint64_t wished, std::uint64_t minimum) {
  const std::lock_guard lock(table_mutex_);
  auto range = arena_->allocate_states(wished);
  return range ? range : arena_->allocate_states(minimum);
}

// --- the end of use ---
void PageCache::set_name(CachedNode& node, volume::InodeNumber directory, std::string_view name) {
  const std::lock_guard lock(table_mutex_);
  node.name_directory = directory;
  node.name = name;
}

bool PageCache::name_of(const CachedNode& node, volume::InodeNumber* directory, std::string* name) {
  const std::lock_guard lock(table_mutex_);
  *directory = node.name_directory;
  *name = node.name;
  return node.name_directory != 0;
}

void PageCache::keep_for_path_handle(CachedNode& node) {
  const std::lock_guard lock(table_mutex_);
  node.has_path_handles = true;
}

void PageCache::set_open(const NodePointer& node) {
  if (node->use != NodeUse::kIdle) return;
  idle_.erase(node->idle_position);
  node->use = NodeUse::kOpen;
}

void PageCache::set_idle(const NodePointer& node) {
  if (node->use != NodeUse::kOpen) return;
  node->set_may_be_written(false);
  idle_.push_back(node);
  node->idle_position = std::prev(idle_.end());
  node->use = NodeUse::kIdle;
}

bool PageCache::is_unused(const NodePointer& node) const {
  return node->users == 0 && !node->has_path_handles && is_only_user(node->memory_file());
}

void PageCache::take_out(const NodePointer& node) {
  if (node->use == NodeUse::kIdle) idle_.erase(node->idle_position);
  node->use = NodeUse::kGone;
  for (const StateRange& range : node->take_ranges()) arena_->free_states(range);
  arena_->free_slot(node->slot());
  by_slot_[node->slot()] = nullptr;
  add_resident(-static_cast<std::int64_t>(node->resident_pages()));
  nodes_.erase(node->key());
  generation_.fetch_add(1, std::memory_order_acq_rel);
}

// Nobody has it open: contents that a program wrote through a mapping are found now, and what is of no use goes.
bool PageCache::retire(const NodePointer& node) {
  {
    const std::lock_guard lock(table_mutex_);
    if (node->use != NodeUse::kOpen || !is_unused(node)) return false;
    node->users += 1;  // keeps others from taking it out
  }
  const Result<void> ended = node->end_use();
  bool release_inode = false;
  {
    const std::lock_guard lock(table_mutex_);
    node->users -= 1;
    if (!ended || node->use != NodeUse::kOpen || !is_unused(node)) return false;
    if (node->is_regular() && !node->is_orphan()) {
      set_idle(node);
      return true;
    }
    release_inode = node->is_orphan();
    take_out(node);
  }
  if (release_inode) (void)node->region().volume->release_orphan(node->inode());
  return true;
}

void PageCache::drop_orphan(const Region& region, volume::InodeNumber inode) {
  {
    const std::lock_guard lock(table_mutex_);
    const auto found = nodes_.find(key_of(region, inode));
    if (found != nodes_.end()) {
      const NodePointer node = found->second;
      node->set_orphan(true);
      if (!is_unused(node)) {
        set_open(node);  // so that probe() looks at it again
        return;
      }
      take_out(node);
    }
  }
  (void)region.volume->release_orphan(inode);
}

void PageCache::probe(std::size_t maximum) {
  std::vector<NodePointer> candidates;
  {
    const std::lock_guard lock(table_mutex_);
    const std::uint32_t end = arena_->slots_end();
    for (std::uint32_t looked = 0; looked < end && candidates.size() < maximum; ++looked) {
      probe_hand_ = (probe_hand_ + 1) % end;
      const NodePointer& node = by_slot_[probe_hand_];
      if (node != nullptr && node->use == NodeUse::kOpen && node->users == 0) candidates.push_back(node);
    }
  }
  for (const NodePointer& node : candidates) retire(node);
}

bool PageCache::drop_oldest_idle() {
  NodePointer node;
  {
    const std::lock_guard lock(table_mutex_);
    const auto free = std::ranges::find_if(idle_, [](const NodePointer& idle) { return idle->users == 0; });
    if (free == idle_.end()) return false;
    node = *free;
    node->users += 1;
  }
  const Result<void> written = node->write_back();
  const std::lock_guard lock(table_mutex_);
  node->users -= 1;
  if (node->use != NodeUse::kIdle || node->users != 0) return true;
  if (written && !node->is_marked_dirty()) {
    take_out(node);
    return true;
  }
  // It cannot be written now (the volume is full, or its disk fails): the newest of the list, to be tried last.
  idle_.splice(idle_.end(), idle_, node->idle_position);
  return false;
}

// --- memory ---

bool PageCache::is_over_bound() const {
  const std::int64_t pages = resident_pages_.load(std::memory_order_relaxed);
  return pages > 0 && static_cast<std::uint64_t>(pages) * kPageSize > options_.maximum_bytes;
}

void PageCache::measure() {
  for (const NodeReference& node : nodes_where([](const CachedNode& node) { return node.is_marked_dirty(); })) {
    node->measure();
  }
}

void PageCache::make_room(std::uint64_t needed) {
  const std::uint64_t bound = options_.maximum_bytes / kPageSize;
  const auto resident = [&] {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(resident_pages_.load(std::memory_order_relaxed), 0));
  };
  if (resident() + needed <= bound) return;
  const std::lock_guard lock(reclaim_mutex_);
  if (resident() + needed <= bound) return;
  const std::uint64_t wanted = needed + bound / 16;  // some more, so that this does not happen for every page
  shrink(bound - std::min(bound, wanted));
}

void PageCache::shrink(std::uint64_t target_pages) {
  const auto is_enough = [&] {
    return resident_pages_.load(std::memory_order_relaxed) <= static_cast<std::int64_t>(target_pages);
  };
  probe(protocol::kSlotCapacity);
  while (!is_enough() && drop_oldest_idle()) {
  }
  std::vector<NodeReference> nodes = nodes_where([](const CachedNode& node) { return node.is_regular(); });
  std::ranges::sort(nodes, {}, [](const NodeReference& node) { return node->last_used; });
  for (const NodeReference& node : nodes) {
    while (!is_enough() && node->evict(kEvictPages) > 0) {
    }
  }
  for (const NodeReference& node : nodes) {
    if (is_enough()) return;
    if (!node->write_back()) continue;
    while (!is_enough() && node->evict(kEvictPages) > 0) {
    }
  }
}

PageCacheCounts PageCache::counts() {
  const std::lock_guard lock(table_mutex_);
  return {static_cast<std::uint32_t>(nodes_.size()), static_cast<std::uint32_t>(idle_.size()),
          static_cast<std::uint64_t>(std::max<std::int64_t>(resident_pages_.load(std::memory_order_relaxed), 0))};
}

// --- durability and space ---

template <typename Wanted>
Result<void> PageCache::write_back_where(Wanted wanted) {
  Result<void> first;
  for (const NodeReference& node : nodes_where(wanted)) {
    auto written = node->write_back();
    if (!written && first) first = written.error();
  }
  return first;
}

Result<void> PageCache::write_back_all(const volume::Volume* only) {
  return write_back_where(
      [&](const CachedNode& node) { return belongs_to(node, only) && is_kept_by_sync(node) && node.may_be_newer(); });
}

Result<void> PageCache::write_back_marked() {
  return write_back_where([](const CachedNode& node) { return is_kept_by_sync(node) && node.is_marked_dirty(); });
}

void PageCache::space_used(std::uint64_t pages) {
  reserved_pages_.fetch_sub(static_cast<std::int64_t>(pages), std::memory_order_relaxed);
}

std::uint64_t PageCache::available_pages(volume::Volume& volume) {
  const auto statistics = volume.statistics();
  if (!statistics) return 0;
  const auto free = static_cast<std::int64_t>(statistics.value().free_bytes / kPageSize);
  const std::int64_t reserved = std::max<std::int64_t>(reserved_pages_.load(std::memory_order_relaxed), 0);
  return static_cast<std::uint64_t>(std::max<std::int64_t>(free - reserved, 0));
}

// Reservations are exact only when nothing waits to be written: files may have been deleted meanwhile, and space that
// the volume gave up is free once that is durable. So everything of this volume goes there now, files without names
// too.
void PageCache::settle_space(volume::Volume& volume) {
  const auto wanted = [&](const CachedNode& node) { return node.is_regular() && belongs_to(node, &volume); };
  for (const NodeReference& node : nodes_where(wanted)) (void)node->write_back();
  (void)volume.sync();
  (void)volume.checkpoint();
  reserved_pages_.store(std::max<std::int64_t>(arena_->space().load(std::memory_order_relaxed), 0));
}

Result<std::uint64_t> PageCache::reserve(CachedNode& node, std::uint64_t pages) {
  volume::Volume& volume = *node.region().volume;
  pages = std::max<std::uint64_t>(pages, 1);
  std::uint64_t available = available_pages(volume);
  if (available < 2 * pages) {
    settle_space(volume);
    available = available_pages(volume);
  }
  if (available < pages) return Error(ErrorCategory::kExhausted, "the volume is full", ENOSPC);
  const std::uint64_t granted = std::max(pages, std::min(kGrantPages, available / 4));
  measure();
  make_room(granted);
  reserved_pages_.fetch_add(static_cast<std::int64_t>(granted), std::memory_order_relaxed);
  arena_->space().fetch_add(static_cast<std::int64_t>(granted), std::memory_order_relaxed);
  return granted;
}

Result<void> PageCache::close() {
  Result<void> result;
  const auto all = [](const CachedNode&) { return true; };
  for (const NodeReference& node : nodes_where(all)) {
    if (!is_kept_by_sync(*node)) continue;
    auto written = node->write_back();
    if (!written && result) result = written.error();
  }
  const std::lock_guard lock(table_mutex_);
  while (!nodes_.empty()) {
    const NodePointer node = nodes_.begin()->second;  // not by reference: it leaves the map
    take_out(node);
  }
  return result;
}

}  // namespace casemate::keeper
