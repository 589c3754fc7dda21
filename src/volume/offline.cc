// Work on whole volumes: sealing, growing, compacting.
#include <algorithm>
#include <cerrno>

#include "volume/engine.h"

namespace casemate::volume {

Result<std::array<std::byte, 32>> Engine::seal() {
  {
    const Lock lock(mutex_);
    VOLUME_CHECK(writable());
    closing_ = true;
  }
  VOLUME_CHECK(checkpoint_as(State::kSealed));
  Position newest;
  {
    const Lock lock(mutex_);
    closed_ = true;
    newest = durable_;
  }
  if (anchor_ != nullptr) {
    if (auto stored = anchor_->store(newest); !stored)
      return stored.error().with_context("cannot anchor the sealed volume");
  }
  return superblock_.root_tag;
}

Result<void> Engine::grow(std::uint64_t maximum_size) {
  {
    const Lock lock(mutex_);
    VOLUME_CHECK(writable());
    const std::uint64_t units = maximum_size / kUnitSize;
    if (units < superblock_.maximum_units) return refused(EINVAL, "grow does not make volumes smaller");
    if (units > kMaximumUnit) return refused(EINVAL, "volumes have at most 4 PiB");
    superblock_.maximum_units = units;
    superblock_changed_ = true;
  }
  return checkpoint();
}

// Rewrites the pages of one file that stand at or above `bound`. Gives the bytes that were looked at.
Result<std::uint64_t> Engine::move_data_below(InodeNumber inode, Unit bound) {
  const std::lock_guard serial(inode_lock(inode));
  Bytes page(kPageSize);
  std::uint64_t seen = 0;
  for (std::uint64_t group = 0;; ++group) {
    PageGroup found;
    {
      const Lock lock = lock_for_reading();
      const auto item = CASEMATE_TRY(
          metadata_.next({inode, ItemType::kPages, group}, {inode, ItemType::kPages, kMaximumFileSize / kPageSize}));
      if (!item) return seen;
      group = item->key.index;
      found = CASEMATE_TRY(PageGroup::decode(item->value));
    }
    for (std::size_t index = 0; index < kGroupPages; ++index) {
      const PageSlot& slot = found.slots[index];
      if (slot.kind != PageKind::kData) continue;
      seen += kPageSize;
      if (slot.unit < bound) continue;
      const std::uint64_t number = group * kGroupPages + index;
      VOLUME_CHECK(read_pages(inode, number, page));
      // Moving is no change that a program may see.
      const Timestamps times = CASEMATE_TRY(times_of(inode));
      VOLUME_CHECK(write_pages(inode, number, page, 0));
      VOLUME_CHECK(restore_times(inode, times));
    }
    VOLUME_CHECK(settle());
  }
}

Result<Engine::Timestamps> Engine::times_of(InodeNumber inode) {
  const Lock lock = lock_for_reading();
  const Inode file = CASEMATE_TRY(load_inode(inode));
  return Timestamps{file.attributes.modify_time, file.attributes.change_time};
}

Result<void> Engine::restore_times(InodeNumber inode, const Timestamps& times) {
  return change<void>({0, Purpose::kReleasing}, [&]() -> Result<void> {
    return without_value(update_inode(inode, [&](Inode& file) {
      file.attributes.modify_time = times.modify_time;
      file.attributes.change_time = times.change_time;
    }));
  });
}

Result<std::vector<InodeNumber>> Engine::all_files() {
  const Lock lock = lock_for_reading();
  std::vector<InodeNumber> files;
  VOLUME_CHECK(metadata_.scan({1, ItemType::kSpace, 0}, {~std::uint64_t{0}, ItemType::kPages, ~std::uint64_t{0}},
                              [&](const Item& item) -> Result<bool> {
                                if (item.key.type == ItemType::kPages &&
                                    (files.empty() || files.back() != item.key.object)) {
                                  files.push_back(item.key.object);
                                }
                                return true;
                              }));
  return files;
}

// Everything that stands above the bound is written again below it, by the ordinary way of writing, so that a crash at
// any moment is an ordinary crash. Then the store is cut behind the highest unit in use.
Result<std::uint64_t> Engine::compact(const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  VOLUME_CHECK(checkpoint());
  Unit bound = 0;
  std::uint64_t total = 0, done = 0;
  {
    const Lock lock(mutex_);
    VOLUME_CHECK(writable());
    Space& space = metadata_.space();
    bound = std::min(space.capacity(), space.first() + space.used_count() + 2 * node_reserve());
    total = space.used_count() * kUnitSize;
    space.rewind();
  }
  for (const InodeNumber file : CASEMATE_TRY(all_files())) {
    done += CASEMATE_TRY(move_data_below(file, bound));
    if (progress) progress(std::min(done, total), total);
  }
  VOLUME_CHECK(checkpoint());
  {
    const Lock lock(mutex_);
    metadata_.space().rewind();
    if (auto moved = metadata_.tree().move_nodes_from(bound); !moved) return fail(moved.error());
    superblock_changed_ = true;
  }
  VOLUME_CHECK(checkpoint());
  return cut_store();
}

Result<std::uint64_t> Engine::cut_store() {
  std::uint64_t given_back = 0;
  Unit end = 0;
  {
    const Lock lock(mutex_);
    Space& space = metadata_.space();
    // Room for the checkpoint below, and units that somebody is writing stay.
    end = std::min(space.capacity(), space.taken_end() + 2 * node_reserve());
    given_back = (space.capacity() - end) * kUnitSize;
    if (given_back == 0) return given_back;
    space.set_capacity(end);
    superblock_changed_ = true;
  }
  // The superblock must not promise units that are gone.
  VOLUME_CHECK(checkpoint());
  const Lock lock(mutex_);
  VOLUME_CHECK(usable());
  if (metadata_.space().capacity() != end) return std::uint64_t{0};  // somebody needed it meanwhile
  VOLUME_CHECK(store_.resize(end * kUnitSize));
  return given_back;
}

}  // namespace casemate::volume
