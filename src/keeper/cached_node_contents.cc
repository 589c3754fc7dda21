// How contents of a CachedNode move between the memfd and the volume: populate and write-back.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "keeper/attributes.h"
#include "keeper/cached_node.h"
#include "keeper/manifest.h"
#include "keeper/page_cache.h"
#include "keeper/page_states.h"
#include "keeper/transfer_buffer.h"

namespace casemate::keeper {
namespace {

using protocol::FileSlot;
using protocol::kPageSize;
using protocol::PopulatePurpose;

constexpr std::uint64_t kRunPages = TransferBuffer::kSize / kPageSize;
constexpr std::uint64_t kSmallestReadAhead = 16;  // pages
constexpr std::uint64_t kWholeFilePages = 32;     // files up to this size are loaded at once

constexpr std::uint64_t kChunkPages = kManifestChunk / kPageSize;

bool is_mapping(PopulatePurpose purpose) {
  return purpose == PopulatePurpose::kMap || purpose == PopulatePurpose::kMapWritable;
}

Result<void> write_memory(int fd, std::uint64_t offset, std::span<const std::byte> data) {
  while (!data.empty()) {
    const ssize_t written = pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return Error::from_errno("no memory for the contents of a file", written < 0 ? errno : ENOMEM);
    offset += static_cast<std::uint64_t>(written);
    data = data.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

bool is_zero(std::span<const std::byte> bytes) {
  return bytes[0] == std::byte{0} && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

// Writes all but the pages of zeros, which the memory's hole at their place stands for: a sparse file that is read
// takes no more memory, and shows no more blocks, than it has data.
Result<void> write_contents(int fd, std::uint64_t offset, std::span<const std::byte> data) {
  for (std::size_t at = 0; at < data.size();) {
    const auto page_at = [&](std::size_t place) {
      return data.subspan(place, std::min(kPageSize, data.size() - place));
    };
    std::size_t end = at;
    while (end < data.size() && !is_zero(page_at(end))) end += page_at(end).size();
    if (auto written = write_memory(fd, offset + at, data.subspan(at, end - at)); !written) return written.error();
    at = end;
    while (at < data.size() && is_zero(page_at(at))) at += page_at(at).size();
  }
  return {};
}

Result<std::size_t> read_memory(int fd, std::uint64_t offset, std::span<std::byte> out) {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = pread(fd, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno("cannot read the contents of a file from memory", errno);
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

// The first page of `run` that the memfd lacks, or its end. One question per page: SEEK_HOLE would walk everything up
// to the next hole, which in a large cached file is all of it, at every fsync.
std::uint64_t end_of_present(int file, PageRange run) {
  for (std::uint64_t page = run.first; page < run.end(); ++page) {
    const auto offset = static_cast<off_t>(page * kPageSize);
    if (lseek(file, offset, SEEK_DATA) != offset) return page;
  }
  return run.end();
}

}  // namespace

// --- populate ---

Result<void> CachedNode::populate(PageRange range, PopulatePurpose purpose) {
  if (!is_regular()) return Error(ErrorCategory::kUsage, "only regular files have pages", EINVAL);
  const std::uint64_t last_page = volume::kMaximumFileSize / kPageSize;
  if (range.first > last_page) return {};
  range.count = std::min(range.count, last_page - range.first + 1);
  const std::lock_guard lock(mutex_);
  if (purpose == PopulatePurpose::kKeep || is_mapping(purpose)) pin();
  const Times times = purpose == PopulatePurpose::kWrite ? Times::kWrittenNext : Times::kRestored;
  if (auto loaded = load(widen(range, purpose), times); !loaded) return loaded.error();
  if (purpose == PopulatePurpose::kMapWritable && !region_.is_read_only()) remember_mapped(range);
  return {};
}

std::uint64_t CachedNode::absent_pages(PageRange range) {
  if (!is_regular()) return 0;
  const std::uint64_t backed = cache_.arena().slot(slot_).backed_pages.load(std::memory_order_relaxed);
  if (range.first >= backed) return 0;
  const std::uint64_t whole = backed - range.first;
  const std::uint64_t resident = resident_pages();
  // A file that is mostly there already needs little, wherever the holes are.
  return std::min({range.count, whole, backed - std::min(backed, resident)});
}

// Reads ahead where reads follow each other; random reads stay small.
PageRange CachedNode::widen(PageRange range, PopulatePurpose purpose) {
  const std::uint64_t backed = cache_.arena().slot(slot_).backed_pages.load(std::memory_order_relaxed);
  if (backed <= kWholeFilePages) return {0, backed};
  if (region_.kind == RegionKind::kAuthenticated) {
    // Verified by the chunk: a part of one costs as much as all of it.
    const std::uint64_t first = range.first / kChunkPages * kChunkPages;
    const std::uint64_t end = (range.end() + kChunkPages - 1) / kChunkPages * kChunkPages;
    return {first, end - first};
  }
  if (purpose != PopulatePurpose::kRead) return range;
  const bool sequential = range.first == next_sequential_page_;
  read_ahead_ = sequential ? std::clamp(2 * read_ahead_, kSmallestReadAhead, kRunPages) : 0;
  range.count = std::max(range.count, read_ahead_);
  next_sequential_page_ = range.end();
  return range;
}

Result<void> CachedNode::load(PageRange range, Times times) {
  const std::uint64_t backed = cache_.arena().slot(slot_).backed_pages.load(std::memory_order_relaxed);
  const std::uint64_t end = std::min({range.end(), backed, range_.count});
  if (!mapped_.empty() || !wished_.empty()) keep_mapped({range.first, end - std::min(end, range.first)});
  std::optional<struct stat> before;
  bool has_changed = false;
  Result<void> result;
  for (std::uint64_t page = range.first; page < end && result;) {
    page = find_missing(states_, page, end);
    if (page == end) break;
    if (!has_changed && times == Times::kRestored) before = memory_status();
    has_changed = true;
    const std::uint64_t stop = claim_missing_run(states_, page, std::min(end, page + kRunPages));
    result = load_run({page, stop - page});
    set_run(states_, page, stop, result ? protocol::kPageClean : protocol::kPageEvicted);
    page = stop;
  }
  if (before) restore_modify_time(*before);
  if (has_changed) account();
  return result;
}

// The pages are busy: nobody else writes them in the memfd.
Result<void> CachedNode::load_run(PageRange run) {
  if (run.count == 0) return {};
  TransferBuffer buffer;
  const std::span<std::byte> bytes = buffer.span().first(static_cast<std::size_t>(run.count * kPageSize));
  const std::uint64_t offset = run.first * kPageSize;
  const std::size_t got = CASEMATE_TRY(region_.volume->read(inode_, offset, bytes));
  std::memset(bytes.data() + got, 0, bytes.size() - got);
  const std::uint64_t size = memory_size().size;
  if (offset >= size) return {};
  return write_contents(file_.get(), offset,
                        bytes.first(static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), size - offset))));
}

// Loading and evicting change the memfd's time, which is the file's. If a member wrote in between, its marks tell.
void CachedNode::restore_modify_time(const struct stat& before) {
  const timespec times[2] = {{0, UTIME_OMIT}, before.st_mtim};
  futimens(file_.get(), times);
}

// --- write-back ---

Result<void> CachedNode::write_back(PageRange compared) {
  if (!is_regular() || region_.is_read_only()) return {};
  const std::lock_guard lock(mutex_);
  return write_back_locked(compared);
}

Result<void> CachedNode::write_back_locked(PageRange compared) {
  if (region_.is_read_only()) return {};
  const bool marked = cache_.arena().activity(slot_).dirty.exchange(0, std::memory_order_acq_rel) != 0;
  if (!wished_.empty()) find_mapped_changes(compared);
  if (!marked && mapped_.empty()) return {};
  const struct stat memory = memory_status();
  const auto size = static_cast<std::uint64_t>(memory.st_size);
  auto wrote = write_dirty_pages(std::min(pages_of(size), range_.count), size);
  Result<void> result;
  if (!wrote) result = wrote.error();
  if (wrote) result = write_attributes(memory, wrote.value());
  if (!result) cache_.arena().activity(slot_).dirty.store(1, std::memory_order_release);
  account();
  return result;
}

Result<void> CachedNode::write_back_data() {
  if (!is_regular() || region_.is_read_only()) return {};
  const std::lock_guard lock(mutex_);
  if (!wished_.empty() || has_given_time_) return write_back_locked();
  if (cache_.arena().activity(slot_).dirty.exchange(0, std::memory_order_acq_rel) == 0) return {};
  // Not clean: the times are to follow.
  cache_.arena().activity(slot_).dirty.store(1, std::memory_order_release);
  are_times_behind_ = true;
  const std::uint64_t size = memory_size().size;
  auto wrote = write_dirty_pages(std::min(pages_of(size), range_.count), size);
  account();
  if (!wrote) return wrote.error();
  if (size == volume_size_) return {};
  volume::AttributeChange change;
  change.size = size;
  volume_size_ = CASEMATE_TRY(region_.volume->set_attributes(inode_, change)).size;
  return {};
}

Result<bool> CachedNode::write_dirty_pages(std::uint64_t end_page, std::uint64_t size) {
  bool wrote = false;
  for (std::uint64_t page = 0; page < end_page;) {
    page = find_state(states_, page, end_page, protocol::kPageDirty);
    if (page == end_page) break;
    const std::uint64_t stop =
        change_run(states_, page, std::min(end_page, page + kRunPages), protocol::kPageDirty, protocol::kPageClean);
    if (stop == page) {
      page += 1;
      continue;
    }
    auto done = write_run({page, stop - page}, size);
    const std::uint64_t written_end = done ? done.value() : page;
    if (written_end < stop) {
      set_run(states_, written_end, stop, protocol::kPageDirty);
      cache_.arena().activity(slot_).dirty.store(1, std::memory_order_release);
    }
    if (!done) return done.error();
    wrote = wrote || written_end > page;
    page = stop;
  }
  return wrote;
}

// Returns up to which page it got. A page that the volume has but the memfd lacks was claimed by a member that is about
// to overwrite all of it: the zeros that stand for it now must not reach the volume.
Result<std::uint64_t> CachedNode::write_run(PageRange run, std::uint64_t size) {
  FileSlot& slot = cache_.arena().slot(slot_);
  const std::uint64_t backed = slot.backed_pages.load(std::memory_order_relaxed);
  std::uint64_t stop = run.end();
  if (run.first < backed) {
    const std::uint64_t limit = std::min(stop, backed);
    const std::uint64_t present = end_of_present(file_.get(), {run.first, limit - run.first});
    if (present < limit) stop = present;
  }
  if (stop == run.first) return stop;
  const std::uint64_t offset = run.first * kPageSize, end = std::min(stop * kPageSize, size);
  TransferBuffer buffer;
  const auto bytes = buffer.span().first(static_cast<std::size_t>((stop - run.first) * kPageSize));
  const std::size_t got =
      CASEMATE_TRY(read_memory(file_.get(), offset, bytes.first(static_cast<std::size_t>(end - offset))));
  if (auto written = region_.volume->write(inode_, offset, bytes.first(got)); !written) return written.error();
  if (stop > backed) {
    slot.backed_pages.store(stop, std::memory_order_release);
    cache_.space_used(stop - std::max(backed, run.first));
  }
  volume_size_ = std::max(volume_size_, offset + got);
  if (!mapped_.empty()) {
    std::memset(bytes.data() + got, 0, bytes.size() - got);
    update_hashes({run.first, stop - run.first}, bytes);
  }
  return stop;
}

Result<void> CachedNode::write_attributes(const struct stat& memory, bool wrote) {
  volume::AttributeChange change;
  const auto size = static_cast<std::uint64_t>(memory.st_size);
  if (size != volume_size_) change.size = size;
  const bool time_changed = !is_same(memory.st_mtim, written_time_);
  if (!wrote && !change.size && !time_changed && !are_times_behind_) return {};
  timespec time = memory.st_mtim;
  if (wrote && !time_changed && !has_given_time_) {
    // Written through a mapping, which changes no time by itself.
    time = to_timespec(SystemClock().now());
    const timespec times[2] = {{0, UTIME_OMIT}, time};
    futimens(file_.get(), times);
  }
  if (time_changed) has_given_time_ = false;
  change.modify_time = to_timestamp(time);
  // The file changed then, not now: that it is written back is nobody's business.
  const protocol::ShieldTime known = cache_.arena().slot(slot_).attributes.change_time;
  change.change_time =
      is_later(to_shield(time), known) ? to_timestamp(time) : volume::Timestamp{known.seconds, known.nanoseconds};
  const volume::Attributes attributes = CASEMATE_TRY(region_.volume->set_attributes(inode_, change));
  volume_size_ = attributes.size;
  written_time_ = time;
  are_times_behind_ = false;
  publish(attributes);
  return {};
}

// --- mappings that programs write through ---

// Pages that the file has got since somebody mapped them: the volume has nothing there yet.
void CachedNode::follow_growth() {
  const std::uint64_t size_pages = std::min(pages_of(memory_size().size), range_.count);
  if (wished_.empty() || size_pages <= followed_pages_) return;
  static constexpr std::array<std::byte, kPageSize> kZeros{};
  const ContentHash zeros = hash_content(cache_.hash_key(), kZeros);
  for (const auto& [wished_first, wished_end] : wished_) {
    std::uint64_t page = std::max(wished_first, followed_pages_);
    const std::uint64_t end = std::min(wished_end, size_pages);
    if (page >= end) continue;
    // Behind the last mapped page, unless that was mapped since.
    auto last = mapped_.upper_bound(page);
    if (last != mapped_.begin() && std::prev(last)->second.end >= page) {
      --last;
      page = std::max(page, last->second.end);
    } else {
      last = mapped_.emplace(page, MappedRange{page, {}}).first;
    }
    const auto next = std::next(last);
    const std::uint64_t stop = next == mapped_.end() ? end : std::min(end, next->first);
    if (stop <= page) continue;
    last->second.hashes.resize(last->second.hashes.size() + static_cast<std::size_t>(stop - page), zeros);
    last->second.end = stop;
  }
  followed_pages_ = size_pages;
  is_mapped_.store(true, std::memory_order_relaxed);
}

// Absent pages that programs may write through mappings are holes of the volume, or newer than it: never to be loaded
// over. (What the volume has was loaded before it was mapped; what was dropped since is `evicted`.)
void CachedNode::keep_mapped(PageRange range) {
  follow_growth();
  for (const auto& [first, mapped] : mapped_) {
    const std::uint64_t end = std::min(mapped.end, range.end());
    for (std::uint64_t page = std::max(first, range.first); page < end; ++page) {
      change_state(states_[page], protocol::kPageAbsent, protocol::kPageClean);
    }
  }
}

void CachedNode::remember_mapped(PageRange range) {
  follow_growth();
  auto wish = wished_.lower_bound(range.first);
  if (wish != wished_.begin() && std::prev(wish)->second >= range.first) --wish;
  std::uint64_t wish_first = range.first, wish_end = range.end();
  while (wish != wished_.end() && wish->first <= wish_end) {
    wish_first = std::min(wish_first, wish->first);
    wish_end = std::max(wish_end, wish->second);
    wish = wished_.erase(wish);
  }
  wished_.emplace(wish_first, wish_end);
  const std::uint64_t size_pages = pages_of(memory_size().size);
  followed_pages_ = std::max(followed_pages_, std::min(size_pages, range_.count));
  range.count = std::min(range.count, size_pages - std::min(size_pages, range.first));
  is_mapped_.store(true, std::memory_order_relaxed);
  if (range.count == 0) return;
  // Merged with what it overlaps, so that each page has one hash.
  PageRange merged = range;
  auto first = mapped_.lower_bound(range.first);
  if (first != mapped_.begin() && std::prev(first)->second.end > range.first) --first;
  auto last = first;
  for (; last != mapped_.end() && last->first < range.end(); ++last) {
    const std::uint64_t begin = std::min(merged.first, last->first), end = std::max(merged.end(), last->second.end);
    merged = {begin, end - begin};
  }
  MappedRange fresh = {merged.end(), std::vector<ContentHash>(static_cast<std::size_t>(merged.count))};
  std::vector<bool> known(static_cast<std::size_t>(merged.count));
  for (auto old = first; old != last; ++old) {
    const auto at = static_cast<std::size_t>(old->first - merged.first);
    std::ranges::copy(old->second.hashes, fresh.hashes.begin() + static_cast<std::ptrdiff_t>(at));
    std::fill_n(known.begin() + static_cast<std::ptrdiff_t>(at), old->second.hashes.size(), true);
  }
  mapped_.erase(first, last);
  TransferBuffer buffer;
  const auto page_bytes = buffer.span().first(kPageSize);
  for (std::size_t i = 0; i < fresh.hashes.size(); ++i) {
    if (known[i]) continue;
    const auto got = read_memory(file_.get(), (merged.first + i) * kPageSize, page_bytes);
    const std::size_t size = got ? got.value() : 0;
    std::memset(page_bytes.data() + size, 0, kPageSize - size);
    fresh.hashes[i] = hash_content(cache_.hash_key(), page_bytes);
  }
  mapped_.emplace(merged.first, std::move(fresh));
  is_mapped_.store(true, std::memory_order_relaxed);
}

// Marks what differs from the last look. New contents are marked before they are hashed, so a change is never lost.
void CachedNode::find_mapped_changes(PageRange compared) {
  follow_growth();
  TransferBuffer buffer;
  const auto bytes = buffer.span();
  for (auto& [first, range] : mapped_) {
    const std::uint64_t end = std::min({range.end, range_.count, compared.end()});
    for (std::uint64_t page = std::max(first, compared.first); page < end;) {
      const std::uint64_t count = std::min(kRunPages, end - page);
      const auto got =
          read_memory(file_.get(), page * kPageSize, bytes.first(static_cast<std::size_t>(count * kPageSize)));
      const std::size_t size = got ? got.value() : 0;
      if (size == 0) break;
      std::memset(bytes.data() + size, 0, static_cast<std::size_t>(count * kPageSize) - size);
      for (std::uint64_t i = 0; i < std::min(count, pages_of(size)); ++i) {
        const auto contents = bytes.subspan(static_cast<std::size_t>(i * kPageSize), kPageSize);
        ContentHash& known = range.hashes[static_cast<std::size_t>(page - first + i)];
        const ContentHash now = hash_content(cache_.hash_key(), contents);
        if (now == known) continue;
        known = now;
        StateByte& state = states_[page + i];
        if (!change_state(state, protocol::kPageClean, protocol::kPageDirty)) {
          change_state(state, protocol::kPageAbsent, protocol::kPageDirty);  // behind the backed pages
        }
        cache_.arena().activity(slot_).dirty.store(1, std::memory_order_release);
      }
      page += count;
    }
  }
}

// What was just written is what later looks compare with.
void CachedNode::update_hashes(PageRange range, std::span<const std::byte> contents) {
  for (auto& [first, mapped] : mapped_) {
    const std::uint64_t begin = std::max(first, range.first), end = std::min(mapped.end, range.end());
    for (std::uint64_t page = begin; page < end; ++page) {
      const auto bytes = contents.subspan(static_cast<std::size_t>((page - range.first) * kPageSize), kPageSize);
      mapped.hashes[static_cast<std::size_t>(page - first)] = hash_content(cache_.hash_key(), bytes);
    }
  }
}

}  // namespace casemate::keeper
