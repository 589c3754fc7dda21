// Changes of whole ranges of a file: size, holes, promised space, moved contents, search for data.
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "volume/engine.h"

namespace casemate::volume {
namespace {

constexpr std::uint64_t kMaximumPages = kMaximumFileSize / kPageSize;

std::uint64_t page_of(std::uint64_t offset) { return offset / kPageSize; }
std::uint64_t page_end(std::uint64_t end) { return (end + kPageSize - 1) / kPageSize; }

}  // namespace

// Zeros inside of one page, if it has data. Requires: the inode's lock.
Result<void> Engine::zero_within(InodeNumber inode, std::uint64_t offset, std::uint64_t end) {
  if (offset >= end) return {};
  std::uint64_t size = 0;
  {
    const Lock lock = lock_for_reading();
    VOLUME_CHECK(writable());
    size = CASEMATE_TRY(load_file(inode)).attributes.size;
    if (offset >= size) return {};  // zeros already
    if (CASEMATE_TRY(metadata_.page(inode, page_of(offset))).kind != PageKind::kData) return {};
  }
  Bytes page(kPageSize);
  VOLUME_CHECK(read_pages(inode, page_of(offset), page));
  const auto begin = page.begin() + static_cast<std::ptrdiff_t>(offset % kPageSize);
  std::fill(begin, begin + static_cast<std::ptrdiff_t>(end - offset), std::byte{0});
  return write_pages(inode, page_of(offset), page, std::min(size, end));
}

Result<Attributes> Engine::resize_file(InodeNumber inode, const AttributeChange& wanted) {
  const std::uint64_t size = *wanted.size;
  if (size > kMaximumFileSize) return refused(EFBIG, "the file would be larger than a volume allows");
  const std::lock_guard serial(inode_lock(inode));
  // The page in which the file ends must have zeros behind the end.
  if (size % kPageSize != 0) VOLUME_CHECK(zero_within(inode, size, page_end(size) * kPageSize));
  return change<Attributes>({0, Purpose::kReleasing}, [&]() -> Result<Attributes> {
    Inode file = CASEMATE_TRY(load_file(inode));
    PageBalance balance;
    if (size < file.attributes.size) {
      balance = CASEMATE_TRY(clear_pages({inode, page_end(size), kMaximumPages - page_end(size)}));
    }
    file.attributes.allocated_size += static_cast<std::uint64_t>(balance.allocated) * kPageSize;
    apply_change(file, wanted);
    VOLUME_CHECK(store_inode(file));
    return file.attributes;
  });
}

Result<void> Engine::clear_range(InodeNumber inode, const PageRange& range) {
  return change<void>({0, Purpose::kReleasing}, [&]() -> Result<void> {
    Inode file = CASEMATE_TRY(load_file(inode));
    if (range.count > 0) {
      const PageBalance balance = CASEMATE_TRY(clear_pages(range));
      file.attributes.allocated_size += static_cast<std::uint64_t>(balance.allocated) * kPageSize;
    }
    file.attributes.modify_time = file.attributes.change_time = clock_.now();
    return store_inode(file);
  });
}

Result<void> Engine::punch_hole(InodeNumber inode, std::uint64_t offset, std::uint64_t size) {
  if (size == 0) return refused(EINVAL, "an empty range");
  if (offset > kMaximumFileSize || size > kMaximumFileSize - offset) return refused(EFBIG, "beyond the largest file");
  const std::lock_guard serial(inode_lock(inode));
  const std::uint64_t end = offset + size, first = page_end(offset), last = page_of(end);
  if (first > last) {
    VOLUME_CHECK(zero_within(inode, offset, end));
  } else {
    VOLUME_CHECK(zero_within(inode, offset, first * kPageSize));
    VOLUME_CHECK(zero_within(inode, last * kPageSize, end));
  }
  return settled(clear_range(inode, {inode, first, first < last ? last - first : 0}));
}

Result<void> Engine::allocate(InodeNumber inode, std::uint64_t offset, std::uint64_t size, AllocateMode mode) {
  if (size == 0) return refused(EINVAL, "an empty range");
  if (offset > kMaximumFileSize || size > kMaximumFileSize - offset) return refused(EFBIG, "beyond the largest file");
  const std::lock_guard serial(inode_lock(inode));
  const PageRange range{inode, page_of(offset), page_end(offset + size) - page_of(offset)};
  Need need;
  {
    const Lock lock = lock_for_reading();
    VOLUME_CHECK(writable());
    (void)CASEMATE_TRY(load_file(inode));
    if (range.count > superblock_.maximum_units) return refused(ENOSPC, "the volume is not that large");
    for (std::uint64_t page = range.first_page; page < range.end(); page = (page / kGroupPages + 1) * kGroupPages) {
      const PageGroup group = CASEMATE_TRY(metadata_.group(inode, page / kGroupPages));
      for (std::uint64_t at = page; at < std::min(range.end(), (page / kGroupPages + 1) * kGroupPages); ++at) {
        need.units += group.slots[at % kGroupPages].kind == PageKind::kHole ? 1 : 0;
      }
    }
    // One item for every 32 pages, nodes half full.
    need.units += need.units / kGroupPages / 50 + 1;
  }
  return settled(change<void>(need, [&]() -> Result<void> {
    Inode file = CASEMATE_TRY(load_file(inode));
    const PageBalance balance = CASEMATE_TRY(reserve_pages(range));
    file.attributes.allocated_size += static_cast<std::uint64_t>(balance.allocated) * kPageSize;
    if (mode == AllocateMode::kExtend) file.attributes.size = std::max(file.attributes.size, offset + size);
    file.attributes.change_time = clock_.now();
    return store_inode(file);
  }));
}

Result<std::uint64_t> Engine::seek(InodeNumber inode, std::uint64_t offset, SeekTarget target) {
  const Lock lock = lock_for_reading();
  VOLUME_CHECK(usable());
  const std::uint64_t size = CASEMATE_TRY(load_file(inode)).attributes.size;
  if (offset >= size) return refused(ENXIO, "behind the end of the file");
  const bool wants_data = target == SeekTarget::kData;
  std::uint64_t page = page_of(offset);
  const auto found = [&](std::uint64_t at) { return std::max(offset, at * kPageSize); };
  while (page * kPageSize < size) {
    const auto item = CASEMATE_TRY(metadata_.next({inode, ItemType::kPages, page / kGroupPages},
                                                  {inode, ItemType::kPages, kMaximumPages / kGroupPages}));
    const std::uint64_t next = item ? item->key.index * kGroupPages : kMaximumPages;
    if (next > page) {
      if (!wants_data) return found(page);
      page = next;
      continue;
    }
    const PageGroup group = CASEMATE_TRY(PageGroup::decode(item->value));
    for (const std::uint64_t end = next + kGroupPages; page < end && page * kPageSize < size; ++page) {
      if ((group.slots[page % kGroupPages].kind == PageKind::kData) == wants_data) return found(page);
    }
  }
  if (wants_data) return refused(ENXIO, "no data behind this offset");
  return size;
}

// Copies pages to another place of the same file, holes as holes, in the order that does not overwrite what is still
// needed. Requires: the inode's lock.
Result<void> Engine::move_pages(InodeNumber inode, std::uint64_t from, std::uint64_t to, std::uint64_t count) {
  Bytes contents(kPageSize);
  for (std::uint64_t step = 0; step < count; ++step) {
    const std::uint64_t index = to < from ? step : count - 1 - step;
    PageKind kind = PageKind::kHole;
    {
      const Lock lock = lock_for_reading();
      kind = CASEMATE_TRY(metadata_.page(inode, from + index)).kind;
    }
    if (kind == PageKind::kData) {
      VOLUME_CHECK(read_pages(inode, from + index, contents));
      VOLUME_CHECK(write_pages(inode, to + index, contents, 0));
    } else {
      VOLUME_CHECK(clear_range(inode, {inode, to + index, 1}));
    }
    VOLUME_CHECK(settle());
  }
  return {};
}

Result<void> Engine::collapse_range(InodeNumber inode, std::uint64_t offset, std::uint64_t size) {
  if (offset % kPageSize != 0 || size % kPageSize != 0 || size == 0) return refused(EINVAL, "not whole pages");
  std::uint64_t old_size = 0;
  {
    const std::lock_guard serial(inode_lock(inode));
    {
      const Lock lock = lock_for_reading();
      VOLUME_CHECK(writable());
      old_size = CASEMATE_TRY(load_file(inode)).attributes.size;
    }
    if (offset >= old_size || size >= old_size - offset) return refused(EINVAL, "the range reaches the end of file");
    const std::uint64_t from = page_of(offset + size);
    VOLUME_CHECK(move_pages(inode, from, page_of(offset), page_end(old_size) - from));
  }
  AttributeChange cut;
  cut.size = old_size - size;
  const Result<Attributes> done = set_attributes(inode, cut);
  return done ? Result<void>() : Result<void>(done.error());
}

Result<void> Engine::insert_range(InodeNumber inode, std::uint64_t offset, std::uint64_t size) {
  if (offset % kPageSize != 0 || size % kPageSize != 0 || size == 0) return refused(EINVAL, "not whole pages");
  std::uint64_t old_size = 0;
  {
    const Lock lock = lock_for_reading();
    VOLUME_CHECK(writable());
    old_size = CASEMATE_TRY(load_file(inode)).attributes.size;
  }
  if (offset >= old_size) return refused(EINVAL, "the range begins behind the end of file");
  if (size > kMaximumFileSize - old_size) return refused(EFBIG, "the file would be larger than a volume allows");
  AttributeChange longer;
  longer.size = old_size + size;
  if (const auto done = set_attributes(inode, longer); !done) return done.error();
  const std::lock_guard serial(inode_lock(inode));
  VOLUME_CHECK(move_pages(inode, page_of(offset), page_of(offset + size), page_end(old_size) - page_of(offset)));
  return settled(clear_range(inode, {inode, page_of(offset), page_of(size)}));
}

}  // namespace casemate::volume
