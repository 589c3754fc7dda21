// The state of a mounted volume and the few kinds of change it knows. Live operations and recovery go through the same
// functions, so a replayed record has exactly the effect it had: items are put and erased, pages of files set and
// cleared; which units become free follows from that.
//
// Not thread-safe: the engine's mutex guards it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "volume/keyring.h"
#include "volume/page_group.h"
#include "volume/space.h"
#include "volume/tree.h"

namespace casemate::volume {

using UnitContents = std::array<std::byte, kUnitSize>;

// Pages of one file in consecutive units with consecutive counters.
struct PageRun {
  InodeNumber inode = 0;
  std::uint64_t first_page = 0;
  Unit unit = 0;
  SealId seal;
  std::vector<Tag> tags;
};

struct PageRange {
  InodeNumber inode = 0;
  std::uint64_t first_page = 0;
  std::uint64_t count = 0;
  std::uint64_t end() const { return first_page + count; }
};

// Effect of a change of pages on what the file takes: positive when it takes more.
struct PageBalance {
  std::int64_t allocated = 0;  // data or reserved
  std::int64_t reserved = 0;
};

class Metadata : private NodeStore {
 public:
  // `first_unit`: where the data area begins.
  Metadata(ByteStore& store, const Keyring& keyring, Unit first_unit, Access access);

  // --- items
  Result<std::optional<ByteView>> find(const Key& key) { return tree_.find(key); }
  Result<std::optional<Item>> next(const Key& first, const Key& last) { return tree_.next(first, last); }
  Result<void> scan(const Key& first, const Key& last, const std::function<Result<bool>(const Item&)>& visit) {
    return tree_.scan(first, last, visit);
  }
  Result<void> prepare(const Key& key) { return tree_.prepare(key); }
  Result<void> put(const Key& key, ByteView value);
  Result<void> erase(const Key& key);

  // --- pages. Freed units are appended to freed(), and stay held until somebody drops them.
  Result<PageSlot> page(InodeNumber inode, std::uint64_t page);
  Result<PageGroup> group(InodeNumber inode, std::uint64_t group);
  Result<PageBalance> set_pages(const PageRun& run);
  Result<PageBalance> clear_pages(const PageRange& range);
  Result<PageBalance> reserve_pages(const PageRange& range);
  std::vector<Run>& freed() { return freed_; }

  // --- contents of units that are not in their place yet (small synced writes; the journal has them)
  void set_inline(Unit unit, std::shared_ptr<const UnitContents> contents) { inline_[unit] = std::move(contents); }
  const UnitContents* inline_contents(Unit unit) const;
  std::map<Unit, std::shared_ptr<const UnitContents>>& inline_units() { return inline_; }

  // When no unit is left for a node, the capacity rises up to this (the store must follow); 0: it does not.
  void set_growth_limit(Unit limit) { growth_limit_ = limit; }

  // --- nodes that the durable superblock still reaches, freed since; the next checkpoint takes them
  std::vector<Run> take_stored_frees() { return std::exchange(stored_frees_, {}); }

  // Brings what changed in Space into the tree, for a checkpoint.
  Result<void> store_space();

  Space& space() { return space_; }
  const Space& space() const { return space_; }
  Tree& tree() { return tree_; }
  const Tree& tree() const { return tree_; }
  std::uint64_t next_inode = kRootInode;
  std::uint64_t inode_count = 0;
  std::uint64_t reserved_count = 0;  // pages that were promised a unit

 private:
  Result<Unit> take_unit() override;
  void give_unit(Unit unit, Was was) override;
  Result<void> read_unit(Unit unit, std::span<std::byte> out) const override;
  Result<void> store_group(InodeNumber inode, std::uint64_t group, const PageGroup& pages);
  void vacate(PageSlot& slot, PageBalance& balance);
  template <typename Edit>
  Result<PageBalance> edit_pages(const PageRange& range, const Edit& edit);

  ByteStore& store_;
  Access access_;
  Space space_;
  Tree tree_;
  Unit next_virtual_unit_ = kMaximumUnit;
  Unit growth_limit_ = 0;
  std::vector<Run> freed_, stored_frees_;
  std::map<Unit, std::shared_ptr<const UnitContents>> inline_;
};

}  // namespace casemate::volume
