// Contents of the regular files of a MemoryVolume: whole pages in a map, absent ones are zeros.
#include <algorithm>
#include <cstring>

#include "keeper/memory_volume.h"
#include "keeper/memory_volume_node.h"

namespace casemate::keeper {
namespace {

using volume::InodeNumber;
using volume::kPageSize;

std::uint64_t pages_for(std::uint64_t size) { return (size + kPageSize - 1) / kPageSize; }

// Calls piece(page, offset in it, offset in the range, size) for every page that a range touches.
template <typename Piece>
void for_each_piece(std::uint64_t offset, std::uint64_t size, Piece piece) {
  for (std::uint64_t done = 0; done < size;) {
    const std::uint64_t at = offset + done, within = at % kPageSize;
    const std::uint64_t part = std::min(kPageSize - within, size - done);
    piece(at / kPageSize, static_cast<std::size_t>(within), static_cast<std::size_t>(done),
          static_cast<std::size_t>(part));
    done += part;
  }
}

}  // namespace

Result<MemoryVolume::Node*> MemoryVolume::find_regular(InodeNumber inode) {
  Node* const node = find(inode);
  if (node == nullptr) return memory_error(ENOENT, "no such inode");
  if (node->is_directory()) return memory_error(EISDIR, "is a directory");
  if (!S_ISREG(node->attributes.mode)) return memory_error(EINVAL, "no regular file");
  return node;
}

void MemoryVolume::set_size(InodeNumber inode, std::uint64_t size) {
  const std::lock_guard lock(mutex_);
  if (Node* const node = find(inode)) {
    node->attributes.size = size;
    node->attributes.allocated_size = pages_for(size) * kPageSize;
  }
}

void MemoryVolume::drop_pages(Node& node, std::uint64_t first_page, std::uint64_t end_page) {
  const auto first = node.pages.lower_bound(first_page), end = node.pages.lower_bound(end_page);
  const auto count = static_cast<std::uint64_t>(std::distance(first, end));
  node.pages.erase(first, end);
  used_pages_ -= count;
  node.attributes.allocated_size = node.pages.size() * kPageSize;
}

void MemoryVolume::cut(Node& node, std::uint64_t size) {
  if (size < node.attributes.size) {
    drop_pages(node, pages_for(size), pages_for(volume::kMaximumFileSize) + 1);
    const auto last = node.pages.find(size / kPageSize);
    const std::size_t kept = size % kPageSize;
    if (kept != 0 && last != node.pages.end())
      std::fill(last->second->bytes.begin() + static_cast<std::ptrdiff_t>(kept), last->second->bytes.end(),
                std::byte{0});
  }
  node.attributes.size = size;
}

Result<std::size_t> MemoryVolume::read(InodeNumber inode, std::uint64_t offset, std::span<std::byte> out) {
  const std::lock_guard lock(mutex_);
  Node* const node = CASEMATE_TRY(find_regular(inode));
  if (offset >= node->attributes.size) return std::size_t{0};
  const std::uint64_t size = std::min<std::uint64_t>(out.size(), node->attributes.size - offset);
  for_each_piece(offset, size, [&](std::uint64_t page, std::size_t within, std::size_t done, std::size_t part) {
    const auto found = node->pages.find(page);
    if (found == node->pages.end()) {
      std::memset(out.data() + done, 0, part);
    } else {
      std::memcpy(out.data() + done, found->second->bytes.data() + within, part);
    }
  });
  return static_cast<std::size_t>(size);
}

Result<void> MemoryVolume::write(InodeNumber inode, std::uint64_t offset, std::span<const std::byte> data) {
  const std::lock_guard lock(mutex_);
  Node* const node = CASEMATE_TRY(find_regular(inode));
  if (data.empty()) return {};
  if (offset > volume::kMaximumFileSize || data.size() > volume::kMaximumFileSize - offset) {
    return memory_error(EFBIG, "too large");
  }
  std::uint64_t missing = 0;
  for (std::uint64_t page = offset / kPageSize; page < pages_for(offset + data.size()); ++page) {
    if (!node->pages.contains(page)) missing += 1;
  }
  if (missing > capacity_pages_ - std::min(used_pages_, capacity_pages_)) {
    return memory_error(ENOSPC, "the ephemeral region is full");
  }
  for_each_piece(offset, data.size(), [&](std::uint64_t page, std::size_t within, std::size_t done, std::size_t part) {
    auto& slot = node->pages[page];
    if (slot == nullptr) slot = std::make_unique<Page>();
    std::memcpy(slot->bytes.data() + within, data.data() + done, part);
  });
  used_pages_ += missing;
  node->attributes.size = std::max(node->attributes.size, offset + data.size());
  node->attributes.allocated_size = node->pages.size() * kPageSize;
  touch(*node);
  return {};
}

Result<void> MemoryVolume::punch_hole(InodeNumber inode, std::uint64_t offset, std::uint64_t size) {
  const std::lock_guard lock(mutex_);
  Node* const node = CASEMATE_TRY(find_regular(inode));
  size = std::min(size, volume::kMaximumFileSize - std::min(offset, volume::kMaximumFileSize));
  const std::uint64_t end = offset + size;
  const std::uint64_t first_whole = pages_for(offset), end_whole = end / kPageSize;
  if (first_whole < end_whole) drop_pages(*node, first_whole, end_whole);
  const auto zero = [&](std::uint64_t from, std::uint64_t to) {
    const auto found = node->pages.find(from / kPageSize);
    if (from < to && found != node->pages.end())
      std::memset(found->second->bytes.data() + from % kPageSize, 0, static_cast<std::size_t>(to - from));
  };
  const std::uint64_t head_end = std::min(end, first_whole * kPageSize);
  zero(offset, head_end);
  if (end_whole * kPageSize >= head_end) zero(std::max(offset, end_whole * kPageSize), end);
  touch(*node);
  return {};
}

Result<void> MemoryVolume::allocate(InodeNumber inode, std::uint64_t offset, std::uint64_t size,
                                    volume::AllocateMode mode) {
  const std::lock_guard lock(mutex_);
  Node* const node = CASEMATE_TRY(find_regular(inode));
  if (offset > volume::kMaximumFileSize || size > volume::kMaximumFileSize - offset) {
    return memory_error(EFBIG, "too large");
  }
  if (pages_for(size) > capacity_pages_ - std::min(used_pages_, capacity_pages_)) {
    return memory_error(ENOSPC, "the ephemeral region is full");
  }
  if (mode == volume::AllocateMode::kExtend) node->attributes.size = std::max(node->attributes.size, offset + size);
  touch(*node);
  return {};
}

Result<void> MemoryVolume::collapse_range(InodeNumber inode, std::uint64_t offset, std::uint64_t size) {
  const std::lock_guard lock(mutex_);
  Node* const node = CASEMATE_TRY(find_regular(inode));
  if (offset % kPageSize != 0 || size % kPageSize != 0 || size == 0 || offset + size >= node->attributes.size) {
    return memory_error(EINVAL, "not a range inside the file");
  }
  const std::uint64_t first = offset / kPageSize, count = size / kPageSize;
  drop_pages(*node, first, first + count);
  std::map<std::uint64_t, std::unique_ptr<Page>> moved;
  for (auto& [page, contents] : node->pages) moved[page < first ? page : page - count] = std::move(contents);
  node->pages = std::move(moved);
  node->attributes.size -= size;
  touch(*node);
  return {};
}

Result<void> MemoryVolume::insert_range(InodeNumber inode, std::uint64_t offset, std::uint64_t size) {
  const std::lock_guard lock(mutex_);
  Node* const node = CASEMATE_TRY(find_regular(inode));
  if (offset % kPageSize != 0 || size % kPageSize != 0 || size == 0 || offset >= node->attributes.size) {
    return memory_error(EINVAL, "not a place inside the file");
  }
  if (size > volume::kMaximumFileSize - node->attributes.size) return memory_error(EFBIG, "too large");
  const std::uint64_t first = offset / kPageSize, count = size / kPageSize;
  std::map<std::uint64_t, std::unique_ptr<Page>> moved;
  for (auto& [page, contents] : node->pages) moved[page < first ? page : page + count] = std::move(contents);
  node->pages = std::move(moved);
  node->attributes.size += size;
  touch(*node);
  return {};
}

Result<std::uint64_t> MemoryVolume::seek(InodeNumber inode, std::uint64_t offset, volume::SeekTarget target) {
  const std::lock_guard lock(mutex_);
  Node* const node = CASEMATE_TRY(find_regular(inode));
  const std::uint64_t size = node->attributes.size;
  if (offset >= size) return memory_error(ENXIO, "behind the end");
  if (target == volume::SeekTarget::kData) {
    const auto next = node->pages.lower_bound(offset / kPageSize);
    if (next == node->pages.end() || next->first * kPageSize >= size) return memory_error(ENXIO, "no data behind");
    return std::max(offset, next->first * kPageSize);
  }
  std::uint64_t page = offset / kPageSize;
  while (node->pages.contains(page)) page += 1;
  return std::min(std::max(offset, page * kPageSize), size);
}

Result<volume::Statistics> MemoryVolume::statistics() {
  const std::lock_guard lock(mutex_);
  return volume::Statistics{capacity_pages_ * kPageSize,
                            (capacity_pages_ - std::min(used_pages_, capacity_pages_)) * kPageSize, nodes_.size()};
}

Result<volume::VerifyReport> MemoryVolume::verify(const std::function<void(std::uint64_t, std::uint64_t)>&) {
  const std::lock_guard lock(mutex_);
  volume::VerifyReport report;
  report.inode_count = nodes_.size();
  report.data_bytes = used_pages_ * kPageSize;
  return report;
}

Result<std::array<std::byte, 32>> MemoryVolume::seal() {
  return memory_error(EOPNOTSUPP, "a volume in memory cannot be sealed");
}

Result<void> MemoryVolume::grow(std::uint64_t maximum_size) {
  const std::lock_guard lock(mutex_);
  capacity_pages_ = std::max(capacity_pages_, maximum_size / kPageSize);
  return {};
}

Result<std::uint64_t> MemoryVolume::compact(const std::function<void(std::uint64_t, std::uint64_t)>&) {
  return std::uint64_t{0};
}

}  // namespace casemate::keeper
