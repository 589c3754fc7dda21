#include "volume/metadata.h"

#include <algorithm>
#include <cerrno>
#include <set>

#include "volume/check.h"
#include "volume/errors.h"

namespace casemate::volume {
namespace {

Key pages_key(InodeNumber inode, std::uint64_t group) { return {inode, ItemType::kPages, group}; }

}  // namespace

Metadata::Metadata(ByteStore& store, const Keyring& keyring, Unit first_unit, Access access)
    : store_(store), access_(access), space_(first_unit), tree_(*this, keyring) {}

// --- items

Result<void> Metadata::put(const Key& key, ByteView value) {
  if (value.size() > kMaximumValueSize) return damaged("metadata: an item is too large");
  const Tree::Outcome outcome = CASEMATE_TRY(tree_.put(key, value));
  if (key.type != ItemType::kInode) return {};
  if (outcome == Tree::Outcome::kInserted) ++inode_count;
  if (key.object >= next_inode) next_inode = key.object + 1;
  return {};
}

Result<void> Metadata::erase(const Key& key) {
  const Tree::Outcome outcome = CASEMATE_TRY(tree_.erase(key));
  if (key.type != ItemType::kInode) return {};
  if (outcome == Tree::Outcome::kErased) --inode_count;
  // Also in recovery, of an inode that came and went in one record: numbers are not used twice.
  if (key.object >= next_inode) next_inode = key.object + 1;
  return {};
}

// --- pages

Result<PageGroup> Metadata::group(InodeNumber inode, std::uint64_t group) {
  const std::optional<ByteView> value = CASEMATE_TRY(tree_.find(pages_key(inode, group)));
  if (!value) return PageGroup{};
  return PageGroup::decode(*value);
}

Result<PageSlot> Metadata::page(InodeNumber inode, std::uint64_t page) {
  return CASEMATE_TRY(group(inode, page / kGroupPages)).slots[page % kGroupPages];
}

Result<void> Metadata::store_group(InodeNumber inode, std::uint64_t group, const PageGroup& pages) {
  const Bytes value = pages.encode();
  if (!value.empty()) return put(pages_key(inode, group), value);
  return erase(pages_key(inode, group));
}

// Makes the slot a hole and takes back what it had.
void Metadata::vacate(PageSlot& slot, PageBalance& balance) {
  if (slot.kind == PageKind::kHole) return;
  --balance.allocated;
  if (slot.kind == PageKind::kReserved) {
    --balance.reserved;
  } else if (space_.is_allocatable(slot.unit)) {
    space_.release({slot.unit, 1});
    inline_.erase(slot.unit);
    if (!freed_.empty() && freed_.back().end() == slot.unit) {
      ++freed_.back().count;
    } else {
      freed_.push_back({slot.unit, 1});
    }
  }
  slot = PageSlot{};
}

template <typename Edit>
Result<PageBalance> Metadata::edit_pages(const PageRange& range, const Edit& edit) {
  PageBalance balance;
  for (std::uint64_t page = range.first_page; page < range.end();) {
    const std::uint64_t number = page / kGroupPages;
    PageGroup pages = CASEMATE_TRY(group(range.inode, number));
    for (; page < range.end() && page / kGroupPages == number; ++page) {
      edit(pages.slots[page % kGroupPages], page, balance);
    }
    VOLUME_CHECK(store_group(range.inode, number, pages));
  }
  reserved_count += static_cast<std::uint64_t>(balance.reserved);  // wraps to the right difference
  return balance;
}

Result<PageBalance> Metadata::set_pages(const PageRun& run) {
  if (run.unit + run.tags.size() > space_.capacity() || run.unit < space_.first()) {
    return damaged("metadata: pages lie outside of the store");
  }
  space_.confirm({run.unit, run.tags.size()});
  return edit_pages(
      {run.inode, run.first_page, run.tags.size()}, [&](PageSlot& slot, std::uint64_t page, PageBalance& balance) {
        const std::uint64_t index = page - run.first_page;
        vacate(slot, balance);
        slot = {PageKind::kData, run.unit + index, {run.seal.epoch, run.seal.counter + index}, run.tags[index]};
        ++balance.allocated;
      });
}

// Only groups that exist are visited: ranges may be as large as files.
Result<PageBalance> Metadata::clear_pages(const PageRange& range) {
  PageBalance total;
  std::uint64_t page = range.first_page;
  while (page < range.end()) {
    const auto item = CASEMATE_TRY(tree_.next(pages_key(range.inode, page / kGroupPages),
                                              pages_key(range.inode, (range.end() - 1) / kGroupPages)));
    if (!item) break;
    const std::uint64_t first = std::max(page, item->key.index * kGroupPages);
    const std::uint64_t end = std::min(range.end(), (item->key.index + 1) * kGroupPages);
    const PageBalance balance =
        CASEMATE_TRY(edit_pages({range.inode, first, end - first},
                                [&](PageSlot& slot, std::uint64_t, PageBalance& change) { vacate(slot, change); }));
    total.allocated += balance.allocated;
    total.reserved += balance.reserved;
    page = end;
  }
  return total;
}

Result<PageBalance> Metadata::reserve_pages(const PageRange& range) {
  return edit_pages(range, [](PageSlot& slot, std::uint64_t, PageBalance& balance) {
    if (slot.kind != PageKind::kHole) return;
    slot.kind = PageKind::kReserved;
    ++balance.allocated;
    ++balance.reserved;
  });
}

const UnitContents* Metadata::inline_contents(Unit unit) const {
  const auto found = inline_.find(unit);
  return found == inline_.end() ? nullptr : found->second.get();
}

// Storing the bitmaps changes nodes, which takes and frees units, which changes bitmaps: first all that will be changed
// is brought into the tree, until nothing is added; then the final bits are written over it.
Result<void> Metadata::store_space() {
  std::set<std::size_t> groups;
  for (bool grown = true; grown;) {
    grown = false;
    for (std::size_t group = 0; group < space_.group_count(); ++group) {
      if (!space_.is_dirty(group) || !groups.insert(group).second) continue;
      grown = true;
      VOLUME_CHECK(put({0, ItemType::kSpace, group}, space_.encode(group)));
    }
  }
  for (const std::size_t group : groups) {
    VOLUME_CHECK(tree_.overwrite({0, ItemType::kSpace, group}, space_.encode(group)));
    space_.mark_stored(group);
  }
  return {};
}

// --- nodes

Result<Unit> Metadata::take_unit() {
  if (access_ == Access::kReadOnly) return next_virtual_unit_++;
  std::optional<Run> run = space_.take_node();
  if (!run && space_.capacity() < growth_limit_) {
    space_.set_capacity(std::min(growth_limit_, space_.capacity() + 64));
    run = space_.take_node();
  }
  if (!run) return refused(ENOSPC, "the volume is full");
  space_.confirm(*run);
  return run->first;
}

void Metadata::give_unit(Unit unit, Was was) {
  if (!space_.is_allocatable(unit)) return;
  space_.release({unit, 1});
  if (was == Was::kNeverStored) {
    space_.drop({unit, 1});
  } else {
    stored_frees_.push_back({unit, 1});
  }
}

Result<void> Metadata::read_unit(Unit unit, std::span<std::byte> out) const {
  if (!space_.is_allocatable(unit))
    return damaged("metadata: unit " + std::to_string(unit) + " lies outside of the store");
  return store_.read(unit * kUnitSize, out);
}

}  // namespace casemate::volume
