#include "keeper/cached_node.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "keeper/attributes.h"
#include "keeper/memory_file.h"
#include "keeper/page_cache.h"
#include "keeper/page_states.h"

namespace casemate::keeper {

using protocol::FileSlot;
using protocol::kPageSize;

CachedNode::CachedNode(PageCache& cache, const Region& region, const volume::Attributes& attributes)
    : cache_(cache),
      region_(region),
      inode_(attributes.inode),
      mode_type_(attributes.mode & S_IFMT),
      volume_size_(attributes.size) {
  set_orphan(attributes.link_count == 0);
}

CachedNode::~CachedNode() = default;

Result<void> CachedNode::set_up(std::uint32_t slot) {
  slot_ = slot;
  const volume::Attributes attributes = CASEMATE_TRY(region_.volume->attributes(inode_));
  file_ = CASEMATE_TRY(create_page_memory());
  if (is_regular()) {
    volume_size_ = attributes.size;
    const auto range = cache_.arena().allocate_states(pages_of(attributes.size));
    if (!range) return Error(ErrorCategory::kExhausted, "too many or too large files are open", ENOMEM);
    range_ = *range;
    states_ = cache_.arena().states(range_);
    if (attributes.size != 0 && ftruncate(file_.get(), static_cast<off_t>(attributes.size)) != 0) {
      return Error::from_errno("cannot size memory for a file", errno);
    }
    written_time_ = to_timespec(attributes.modify_time);
    const timespec times[2] = {to_timespec(attributes.access_time), written_time_};
    futimens(file_.get(), times);
  }
  const struct stat memory = memory_status();
  cache_.arena().update(slot_, [&](FileSlot& entry) {
    entry.kind = to_node_kind(attributes.mode);
    entry.region = region_.index;
    entry.flags = region_.is_read_only() ? protocol::kSlotReadOnly : 0;
    entry.memfd_inode = memory.st_ino;
    entry.node = inode_;
    entry.states_offset = range_.offset;
    entry.states_count = range_.count;
    entry.backed_pages.store(pages_of(is_regular() ? attributes.size : 0), std::memory_order_relaxed);
    entry.loaded_modify_time = to_shield(written_time_);
    entry.attributes = to_shield(attributes, region_.device());
  });
  cache_.arena().insert_in_index(memory.st_ino, slot_);
  return {};
}

struct stat CachedNode::memory_status() const {
  struct stat status = {};
  fstat(file_.get(), &status);
  return status;
}

CachedNode::MemorySize CachedNode::memory_size() const {
  struct statx status = {};
  if (statx(file_.get(), "", AT_EMPTY_PATH, STATX_SIZE | STATX_BLOCKS, &status) == 0) {
    return {status.stx_size, status.stx_blocks * 512};
  }
  const struct stat memory = memory_status();
  return {static_cast<std::uint64_t>(memory.st_size), static_cast<std::uint64_t>(memory.st_blocks) * 512};
}

void CachedNode::account() {
  const std::uint64_t pages = memory_size().allocated / kPageSize;
  const std::uint64_t before = resident_pages_.exchange(pages, std::memory_order_relaxed);
  cache_.add_resident(static_cast<std::int64_t>(pages) - static_cast<std::int64_t>(before));
}

void CachedNode::publish(const volume::Attributes& attributes) {
  set_orphan(attributes.link_count == 0);
  const std::lock_guard lock(publish_mutex_);
  cache_.arena().update(slot_, [&](FileSlot& entry) { entry.attributes = to_shield(attributes, region_.device()); });
}

protocol::ShieldAttributes CachedNode::status() const {
  const struct stat memory = memory_status();
  const std::lock_guard lock(publish_mutex_);
  protocol::ShieldAttributes attributes = cache_.arena().slot(slot_).attributes;
  if (!is_regular()) return attributes;
  attributes.size = static_cast<std::uint64_t>(memory.st_size);
  attributes.block_count =
      std::max<std::uint64_t>(attributes.block_count, static_cast<std::uint64_t>(memory.st_blocks));
  attributes.modify_time = to_shield(memory.st_mtim);
  if (is_later(attributes.modify_time, attributes.change_time)) attributes.change_time = attributes.modify_time;
  return attributes;
}

void CachedNode::set_modify_time(const volume::Timestamp& time) {
  const std::lock_guard lock(mutex_);
  const timespec times[2] = {{0, UTIME_OMIT}, to_timespec(time)};
  futimens(file_.get(), times);
  written_time_ = times[1];
  has_given_time_ = true;
}

bool CachedNode::is_marked_dirty() const {
  return is_regular() && cache_.arena().activity(slot_).dirty.load(std::memory_order_relaxed) != 0;
}

void CachedNode::pin() {
  if (pinned_) return;
  pinned_ = true;
  const std::lock_guard lock(publish_mutex_);
  cache_.arena().update(slot_, [](FileSlot& entry) { entry.flags |= protocol::kSlotPinned; });
}

Result<void> CachedNode::end_use() {
  const std::lock_guard lock(mutex_);
  if (!is_regular()) return {};
  account();
  if (!pinned_ && wished_.empty()) return {};
  Result<void> written = region_.is_volatile() || is_orphan() ? Result<void>() : write_back_locked();
  if (region_.is_volatile()) find_mapped_changes();
  mapped_.clear();
  wished_.clear();
  followed_pages_ = 0;
  is_mapped_.store(false, std::memory_order_relaxed);
  pinned_ = false;
  const std::lock_guard publish_lock(publish_mutex_);
  cache_.arena().update(slot_, [](FileSlot& entry) { entry.flags &= ~protocol::kSlotPinned; });
  return written;
}

std::uint64_t CachedNode::evict(std::uint64_t count) {
  const std::lock_guard lock(mutex_);
  if (!is_regular() || pinned_) return 0;
  FileSlot& slot = cache_.arena().slot(slot_);
  const std::uint64_t end = std::min<std::uint64_t>(range_.count, slot.backed_pages.load(std::memory_order_relaxed));
  const struct stat before = memory_status();
  std::uint64_t evicted = 0;
  for (std::uint64_t looked = 0; looked <= end && evicted < count;) {
    const std::uint64_t first = find_state(states_, std::min(evict_hand_, end), end, protocol::kPageClean);
    looked += first - std::min(evict_hand_, end) + 1;
    if (first == end) {
      evict_hand_ = 0;
      if (looked > end) break;
      continue;
    }
    const std::uint64_t limit = std::min(end, first + (count - evicted));
    const std::uint64_t stop = change_run(states_, first, limit, protocol::kPageClean, protocol::kPageBusy);
    slot.eviction_count.fetch_add(1, std::memory_order_acq_rel);
    fallocate(file_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(first * kPageSize),
              static_cast<off_t>((stop - first) * kPageSize));
    set_run(states_, first, stop, protocol::kPageEvicted);
    evicted += stop - first;
    looked += stop - first;
    evict_hand_ = std::max(stop, first + 1);
  }
  if (evicted > 0) restore_modify_time(before);
  account();
  return evicted;
}

Result<void> CachedNode::grow_states(std::uint64_t count) {
  const std::lock_guard lock(mutex_);
  if (!is_regular()) return Error(ErrorCategory::kUsage, "not a regular file", EINVAL);
  return grow_states_locked(count);
}

// Members that still look at the old states find them busy, ask for the page, and look at the slot again.
Result<void> CachedNode::grow_states_locked(std::uint64_t count) {
  if (count <= range_.count) return {};
  const auto larger = cache_.allocate_states(std::max(count, 4 * range_.count), count);
  if (!larger) return Error(ErrorCategory::kExhausted, "the file is larger than its states have room for", EFBIG);
  StateByte* const fresh = cache_.arena().states(*larger);
  for (std::uint64_t page = 0; page < range_.count; ++page) {
    const std::uint8_t state = states_[page].exchange(protocol::kPageBusy, std::memory_order_acq_rel);
    fresh[page].store(state, std::memory_order_relaxed);
  }
  old_ranges_.push_back(range_);
  range_ = *larger;
  states_ = fresh;
  const std::lock_guard lock(publish_mutex_);
  cache_.arena().update(slot_, [&](FileSlot& entry) {
    entry.states_offset = range_.offset;
    entry.states_count = range_.count;
  });
  return {};
}

std::vector<StateRange> CachedNode::take_ranges() {
  std::vector<StateRange> ranges = std::move(old_ranges_);
  if (range_.count != 0) ranges.push_back(range_);
  range_ = {};
  states_ = nullptr;
  return ranges;
}

}  // namespace casemate::keeper
