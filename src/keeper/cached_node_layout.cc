// Size and layout of a CachedNode: truncate(2) and the modes of fallocate(2), on the volume and the memfd alike.
#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "keeper/attributes.h"
#include "keeper/cached_node.h"
#include "keeper/page_cache.h"
#include "keeper/page_states.h"

namespace casemate::keeper {
namespace {

using protocol::FileSlot;
using protocol::kPageSize;

Error invalid(const char* what, int code) { return Error(ErrorCategory::kUsage, what, code); }

}  // namespace

Result<void> CachedNode::truncate(std::uint64_t size) {
  if (!is_regular()) return invalid("only regular files have a size", EINVAL);
  if (size > volume::kMaximumFileSize) return invalid("larger than any file", EFBIG);
  const std::lock_guard lock(mutex_);
  return truncate_locked(size);
}

Result<void> CachedNode::truncate_locked(std::uint64_t size) {
  const auto old_size = static_cast<std::uint64_t>(memory_status().st_size);
  if (size > old_size) return extend(size);
  if (size != volume_size_) {
    volume::AttributeChange change;
    change.size = size;
    publish(CASEMATE_TRY(region_.volume->set_attributes(inode_, change)));
    volume_size_ = size;
  }
  FileSlot& slot = cache_.arena().slot(slot_);
  const std::uint64_t kept = pages_of(size);
  if (slot.backed_pages.load(std::memory_order_relaxed) > kept) {
    slot.backed_pages.store(kept, std::memory_order_release);
  }
  if (ftruncate(file_.get(), static_cast<off_t>(size)) != 0) return Error::from_errno("cannot shorten a file", errno);
  slot.eviction_count.fetch_add(1, std::memory_order_acq_rel);  // members trust a size until this changes
  set_run(states_, std::min(kept, range_.count), std::min(pages_of(old_size), range_.count), protocol::kPageAbsent);
  mapped_.erase(mapped_.lower_bound(kept), mapped_.end());
  followed_pages_ = std::min(followed_pages_, kept);
  if (!mapped_.empty()) {
    auto& [first, range] = *mapped_.rbegin();
    range.end = std::min(range.end, kept);
    range.hashes.resize(static_cast<std::size_t>(range.end - first));
  }
  cache_.arena().activity(slot_).dirty.store(1, std::memory_order_release);
  account();
  return {};
}

// The new part is a hole: behind the backed pages, so zeros by nature.
Result<void> CachedNode::extend(std::uint64_t size) {
  if (auto grown = grow_states_locked(pages_of(size)); !grown) return grown.error();
  if (size != volume_size_) {
    volume::AttributeChange change;
    change.size = size;
    publish(CASEMATE_TRY(region_.volume->set_attributes(inode_, change)));
    volume_size_ = size;
  }
  if (ftruncate(file_.get(), static_cast<off_t>(size)) != 0) return Error::from_errno("cannot enlarge a file", errno);
  cache_.arena().activity(slot_).dirty.store(1, std::memory_order_release);
  return {};
}

Result<void> CachedNode::allocate(int mode, std::uint64_t offset, std::uint64_t size) {
  if (!is_regular()) return invalid("only regular files have space", ENODEV);
  if (size == 0) return invalid("nothing to allocate", EINVAL);
  if (offset > volume::kMaximumFileSize || size > volume::kMaximumFileSize - offset) {
    return invalid("larger than any file", EFBIG);
  }
  const std::lock_guard lock(mutex_);
  const auto old_size = static_cast<std::uint64_t>(memory_status().st_size);
  const bool keeps_size = (mode & FALLOC_FL_KEEP_SIZE) != 0;
  switch (mode & ~FALLOC_FL_KEEP_SIZE) {
    case 0: {
      const auto how = keeps_size ? volume::AllocateMode::kKeepSize : volume::AllocateMode::kExtend;
      if (auto done = region_.volume->allocate(inode_, offset, size, how); !done) return done.error();
      if (!keeps_size) volume_size_ = std::max(volume_size_, offset + size);
      if (!keeps_size && offset + size > old_size) return extend(offset + size);
      publish(CASEMATE_TRY(region_.volume->attributes(inode_)));
      return {};
    }
    case FALLOC_FL_PUNCH_HOLE:
      if (!keeps_size) return invalid("punching keeps the size", EOPNOTSUPP);
      return punch(offset, size);
    case FALLOC_FL_ZERO_RANGE:
      if (auto done = punch(offset, size); !done) return done.error();
      if (!keeps_size && offset + size > old_size) return extend(offset + size);
      return {};
    case FALLOC_FL_COLLAPSE_RANGE:
    case FALLOC_FL_INSERT_RANGE:
      if (keeps_size) return invalid("moving contents changes the size", EOPNOTSUPP);
      return shift(mode, offset, size);
    default:
      return invalid("unknown fallocate mode", EOPNOTSUPP);
  }
}

// Contents of both become zero; states need no change. A whole page that is absent stays so and is loaded as zeros.
Result<void> CachedNode::punch(std::uint64_t offset, std::uint64_t size) {
  if (auto done = region_.volume->punch_hole(inode_, offset, size); !done) return done.error();
  // Dirty pages that are punched whole would be taken for pages about to be overwritten: now they equal the volume.
  const std::uint64_t first = std::min(pages_of(offset), range_.count);
  const std::uint64_t end = std::min((offset + size) / kPageSize, range_.count);
  if (fallocate(file_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                static_cast<off_t>(size)) != 0) {
    return Error::from_errno("cannot punch a hole in memory", errno);
  }
  for (std::uint64_t page = first; page < end; ++page) {
    change_state(states_[page], protocol::kPageDirty, protocol::kPageClean);
  }
  publish(CASEMATE_TRY(region_.volume->attributes(inode_)));
  cache_.arena().activity(slot_).dirty.store(1, std::memory_order_release);
  account();
  return {};
}

Result<void> CachedNode::shift(int mode, std::uint64_t offset, std::uint64_t size) {
  const bool collapse = (mode & FALLOC_FL_COLLAPSE_RANGE) != 0;
  const auto old_size = static_cast<std::uint64_t>(memory_status().st_size);
  if (!collapse && pages_of(old_size + size) > range_.count) {
    if (auto grown = grow_states_locked(pages_of(old_size + size)); !grown) return grown.error();
  }
  cache_.arena().activity(slot_).dirty.store(1, std::memory_order_release);
  if (auto written = write_back_locked(); !written) return written.error();
  auto done = collapse ? region_.volume->collapse_range(inode_, offset, size)
                       : region_.volume->insert_range(inode_, offset, size);
  if (!done) return done.error();
  const volume::Attributes attributes = CASEMATE_TRY(region_.volume->attributes(inode_));
  volume_size_ = attributes.size;
  forget_pages(offset / kPageSize, pages_of(attributes.size));
  if (ftruncate(file_.get(), static_cast<off_t>(attributes.size)) != 0) {
    return Error::from_errno("cannot resize a file", errno);
  }
  cache_.arena().slot(slot_).eviction_count.fetch_add(1, std::memory_order_acq_rel);
  publish(attributes);
  if (!pinned_) return {};
  return load({offset / kPageSize, pages_of(attributes.size)});  // somebody may have it mapped
}

// --- holes ---

// Where the volume has the next data or hole. Behind its end there is no data and only hole.
Result<std::uint64_t> CachedNode::seek_in_volume(std::uint64_t offset, volume::SeekTarget target) {
  const bool data = target == volume::SeekTarget::kData;
  if (offset >= volume_size_) return data ? volume::kMaximumFileSize : offset;
  const auto found = region_.volume->seek(inode_, offset, target);
  if (found || found.error().system_code() != ENXIO) return found;
  return data ? volume::kMaximumFileSize : offset;
}

Result<std::uint64_t> CachedNode::seek(std::uint64_t offset, protocol::SeekFor wanted) {
  const std::lock_guard lock(mutex_);
  if (!wished_.empty()) find_mapped_changes();
  const auto size = static_cast<std::uint64_t>(memory_status().st_size);
  const std::uint64_t end_page = std::min(pages_of(size), range_.count);
  if (offset >= size) return invalid("behind the end of the file", ENXIO);
  if (wanted == protocol::SeekFor::kData) {
    const std::uint64_t stored = CASEMATE_TRY(seek_in_volume(offset, volume::SeekTarget::kData));
    const std::uint64_t dirty = find_state(states_, offset / kPageSize, end_page, protocol::kPageDirty) * kPageSize;
    const std::uint64_t found = std::min(stored, std::max(offset, dirty));
    return found < size ? Result<std::uint64_t>(found) : invalid("no data behind", ENXIO);
  }
  while (offset < size) {
    const std::uint64_t page = offset / kPageSize;
    const bool dirty = page < end_page && states_[page].load(std::memory_order_acquire) == protocol::kPageDirty;
    const std::uint64_t next =
        dirty ? (page + 1) * kPageSize : CASEMATE_TRY(seek_in_volume(offset, volume::SeekTarget::kHole));
    if (next == offset) break;
    offset = next;
  }
  return std::min(offset, size);
}

// Everything from `first` on must be loaded again; the volume has the pages before `backed` now.
void CachedNode::forget_pages(std::uint64_t first, std::uint64_t backed) {
  FileSlot& slot = cache_.arena().slot(slot_);
  const std::uint64_t end = range_.count, loaded_end = std::min(backed, end);
  set_run(states_, std::min(first, end), end, protocol::kPageBusy);
  slot.eviction_count.fetch_add(1, std::memory_order_acq_rel);
  const auto start = static_cast<off_t>(first * kPageSize);
  fallocate(file_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, start,
            static_cast<off_t>(volume::kMaximumFileSize) - start);
  slot.backed_pages.store(backed, std::memory_order_release);
  set_run(states_, std::min(first, end), loaded_end, protocol::kPageEvicted);
  set_run(states_, std::max(std::min(first, end), loaded_end), end, protocol::kPageAbsent);
}

}  // namespace casemate::keeper
