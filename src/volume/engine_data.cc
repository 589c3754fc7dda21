// Reading and writing pages. Sealing, opening and store I/O run outside of the engine's mutex: a write takes units
// under it, seals and stores without it, and enters the pages under it; a read looks the pages up and opens them
// without it. A page that was replaced meanwhile does not open any more: the reader looks it up again.
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "volume/engine.h"

namespace casemate::volume {
namespace {

constexpr std::size_t kBatchPages = 256;  // sealed and entered at once
constexpr std::size_t kInlinePages = 4;   // of one write that may wait in the record
constexpr int kLookups = 4;

std::uint64_t page_of(std::uint64_t offset) { return offset / kPageSize; }

}  // namespace

Result<Inode> Engine::load_file(InodeNumber number) {
  Inode inode = CASEMATE_TRY(load_inode(number));
  if (S_ISDIR(inode.attributes.mode)) return refused(EISDIR, "it is a directory");
  if (!S_ISREG(inode.attributes.mode)) return refused(EINVAL, "not a regular file");
  return inode;
}

// --- reading

Result<std::vector<PageSlot>> Engine::page_slots(InodeNumber inode, std::uint64_t first_page, std::size_t count) {
  std::vector<PageSlot> slots;
  slots.reserve(count);
  while (slots.size() < count) {
    const std::uint64_t page = first_page + slots.size();
    const PageGroup group = CASEMATE_TRY(metadata_.group(inode, page / kGroupPages));
    const std::size_t first = page % kGroupPages, taken = std::min(kGroupPages - first, count - slots.size());
    const auto begin = group.slots.begin() + static_cast<std::ptrdiff_t>(first);
    slots.insert(slots.end(), begin, begin + static_cast<std::ptrdiff_t>(taken));
  }
  return slots;
}

// What stands in units, in as few reads as there are rows of units; `waiting` pages are not in their place yet.
Result<void> Engine::read_slots(const std::vector<PageSlot>& slots, const WaitingPages& waiting,
                                std::span<std::byte> out) const {
  const auto is_stored = [&](std::size_t index) {
    return slots[index].kind == PageKind::kData && waiting[index] == nullptr;
  };
  for (std::size_t first = 0, end = 0; first < slots.size(); first = end) {
    end = first + 1;
    const std::span<std::byte> page = out.subspan(first * kPageSize, kPageSize);
    if (waiting[first] != nullptr) {
      std::memcpy(page.data(), waiting[first]->data(), kPageSize);
    } else if (!is_stored(first)) {
      std::fill(page.begin(), page.end(), std::byte{0});
    } else {
      while (end < slots.size() && is_stored(end) && slots[end].unit == slots[first].unit + (end - first)) ++end;
      VOLUME_CHECK(
          store_.read(slots[first].unit * kUnitSize, out.subspan(first * kPageSize, (end - first) * kPageSize)));
    }
  }
  return {};
}

Result<void> Engine::read_pages(InodeNumber inode, std::uint64_t first_page, std::span<std::byte> out) {
  const std::size_t count = out.size() / kPageSize;
  std::vector<PageSlot> previous;
  for (int lookup = 0;; ++lookup) {
    Lock lock = lock_for_reading();
    VOLUME_CHECK(usable());
    std::vector<PageSlot> slots = CASEMATE_TRY(page_slots(inode, first_page, count));
    WaitingPages waiting(count);
    for (std::size_t index = 0; index < count; ++index) {
      const auto& inline_units = metadata_.inline_units();
      const auto found = inline_units.find(slots[index].unit);
      if (slots[index].kind == PageKind::kData && found != inline_units.end()) waiting[index] = found->second;
    }
    // When pages are replaced faster than we open them, the last try keeps everybody else out.
    if (lookup + 1 < kLookups) lock.unlock();
    Result<void> done = read_slots(slots, waiting, out);
    if (done) done = open_slots(inode, first_page, slots, out);
    if (done || !is_damage(done.error()) || slots == previous || lookup + 1 == kLookups) return done;
    previous = std::move(slots);
  }
}

Result<void> Engine::open_slots(InodeNumber inode, std::uint64_t first_page, const std::vector<PageSlot>& slots,
                                std::span<std::byte> out) const {
  std::optional<crypto::Aes256Gcm::Session> session;
  std::uint32_t epoch = 0;
  for (std::size_t index = 0; index < slots.size(); ++index) {
    const PageSlot& slot = slots[index];
    if (slot.kind != PageKind::kData) continue;
    if (!session || epoch != slot.seal.epoch) {
      session.reset();
      session.emplace(CASEMATE_TRY(keyring_.cipher(slot.seal.epoch))->session());
      epoch = slot.seal.epoch;
    }
    const PageIdentity identity{inode, first_page + index};
    const std::span<std::byte> page = out.subspan(index * kPageSize, kPageSize);
    if (!session->open(nonce_for(Domain::kData, slot.seal.counter), associated_data(identity), page, slot.tag, page)) {
      return damaged_page(identity);
    }
  }
  return {};
}

Result<std::size_t> Engine::read(InodeNumber inode, std::uint64_t offset, std::span<std::byte> out) {
  {
    const Lock lock = lock_for_reading();
    VOLUME_CHECK(usable());
    const std::uint64_t size = CASEMATE_TRY(load_file(inode)).attributes.size;
    if (offset >= size) return std::size_t{0};
    out = out.first(static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), size - offset)));
  }
  Bytes partial;
  for (std::size_t done = 0; done < out.size();) {
    const std::uint64_t place = offset + done;
    const std::size_t skip = place % kPageSize, wanted = out.size() - done;
    if (skip == 0 && wanted >= kPageSize) {
      const std::size_t size = std::min(wanted / kPageSize, kBatchPages) * kPageSize;
      VOLUME_CHECK(read_pages(inode, page_of(place), out.subspan(done, size)));
      done += size;
      continue;
    }
    partial.resize(kPageSize);
    VOLUME_CHECK(read_pages(inode, page_of(place), partial));
    const std::size_t size = std::min(wanted, kPageSize - skip);
    std::memcpy(&out[done], &partial[skip], size);
    done += size;
  }
  return out.size();
}

// --- writing

Result<Engine::PlacedPages> Engine::place_pages(InodeNumber inode, std::uint64_t first_page, std::size_t count) {
  Need need{count, Purpose::kReleasing};
  {
    const Lock lock = lock_for_reading();
    VOLUME_CHECK(writable());
    (void)CASEMATE_TRY(load_file(inode));
    for (const PageSlot& slot : CASEMATE_TRY(page_slots(inode, first_page, count))) {
      if (slot.kind == PageKind::kHole) need.purpose = Purpose::kGrowing;
      if (slot.kind == PageKind::kReserved) ++need.promised;
    }
  }
  return change<PlacedPages>(need, [&]() -> Result<PlacedPages> {
    PlacedPages placed;
    while (count > 0) {
      const std::optional<Run> run = metadata_.space().take_data(count);
      if (!run) {
        cancel_locked(placed);
        return full();
      }
      placed.runs.push_back(*run);
      count -= run->count;
      placed.count += run->count;
    }
    placed.counter = data_counter_;
    data_counter_ += placed.count;
    const std::size_t limit = journal_.staging_limit() / 2 / kUnitSize;
    placed.is_inline = placed.count <= kInlinePages && staged_.inline_count() + placed.count <= limit;
    return placed;
  });
}

void Engine::cancel_locked(const PlacedPages& placed) {
  for (const Run& run : placed.runs) metadata_.space().drop(run);
}

void Engine::cancel_pages(const PlacedPages& placed) {
  const Lock lock(mutex_);
  cancel_locked(placed);
}

Result<std::vector<Tag>> Engine::seal_pages(InodeNumber inode, std::uint64_t first_page, const PlacedPages& placed,
                                            std::span<const std::byte> pages, std::span<std::byte> sealed) const {
  const crypto::Aes256Gcm* const cipher = CASEMATE_TRY(keyring_.cipher(superblock_.epoch));
  crypto::Aes256Gcm::Session session = cipher->session();
  std::vector<Tag> tags(placed.count);
  for (std::size_t index = 0; index < placed.count; ++index) {
    tags[index] =
        session.seal(nonce_for(Domain::kData, placed.counter + index), associated_data({inode, first_page + index}),
                     pages.subspan(index * kPageSize, kPageSize), sealed.subspan(index * kPageSize, kPageSize));
  }
  return tags;
}

Result<void> Engine::store_pages(const PlacedPages& placed, std::span<const std::byte> sealed) const {
  std::size_t done = 0;
  for (const Run& run : placed.runs) {
    const std::size_t size = run.count * kUnitSize;
    VOLUME_CHECK(store_.write(run.first * kUnitSize, sealed.subspan(done, size)));
    done += size;
  }
  loose_writes_.fetch_add(1);
  return {};
}

Result<void> Engine::apply_pages(InodeNumber inode, std::uint64_t first_page, const PlacedPages& placed,
                                 const std::vector<Tag>& tags, std::span<const std::byte> sealed,
                                 std::uint64_t end_of_data) {
  const Lock lock = lock_for_reading();
  VOLUME_CHECK(writable());
  Inode file = CASEMATE_TRY(load_file(inode));
  // Nothing below can fail for a read: the groups that change are read here.
  (void)CASEMATE_TRY(page_slots(inode, first_page, placed.count));
  PageRun pages{inode, first_page, 0, {superblock_.epoch, placed.counter}, {}};
  std::size_t done = 0;
  for (const Run& run : placed.runs) {
    pages.first_page = first_page + done;
    pages.unit = run.first;
    pages.seal.counter = placed.counter + done;
    const auto tag = tags.begin() + static_cast<std::ptrdiff_t>(done);
    pages.tags.assign(tag, tag + static_cast<std::ptrdiff_t>(run.count));
    const PageBalance balance = CASEMATE_TRY(set_pages(pages));
    file.attributes.allocated_size += static_cast<std::uint64_t>(balance.allocated) * kPageSize;
    for (std::size_t index = 0; placed.is_inline && index < run.count; ++index) {
      auto contents = std::make_shared<UnitContents>();
      std::memcpy(contents->data(), &sealed[(done + index) * kPageSize], kPageSize);
      metadata_.set_inline(run.first + index, contents);
      staged_.add_inline(run.first + index, std::move(contents));
    }
    done += run.count;
  }
  file.attributes.size = std::max(file.attributes.size, end_of_data);
  file.attributes.modify_time = file.attributes.change_time = clock_.now();
  return store_inode(file);
}

Result<void> Engine::write_pages(InodeNumber inode, std::uint64_t first_page, std::span<const std::byte> pages,
                                 std::uint64_t end_of_data) {
  const PlacedPages placed = CASEMATE_TRY(place_pages(inode, first_page, pages.size() / kPageSize));
  // Kept per thread: fresh pages from the kernel cost as much as the sealing.
  thread_local Bytes buffer;
  if (buffer.size() < pages.size()) buffer.resize(pages.size());
  const std::span<std::byte> sealed = std::span(buffer).first(pages.size());
  const Result<std::vector<Tag>> tags = seal_pages(inode, first_page, placed, pages, sealed);
  Result<void> done = tags ? Result<void>() : Result<void>(tags.error());
  if (done && !placed.is_inline) done = store_pages(placed, sealed);
  if (done) done = apply_pages(inode, first_page, placed, tags.value(), sealed, end_of_data);
  if (!done) cancel_pages(placed);
  return done;
}

// The pages that `data` touches: its own bytes, and at the edges what stands there already. Behind the end of file
// there are zeros only, so nothing need be read there.
Result<void> Engine::fill_edges(InodeNumber inode, std::uint64_t offset, std::span<const std::byte> data,
                                std::uint64_t size, std::span<std::byte> pages) {
  const std::uint64_t first = page_of(offset), last = page_of(offset + data.size() - 1), end = offset + data.size();
  const bool covers_head = offset % kPageSize == 0 && (end >= (first + 1) * kPageSize || end >= size);
  if (!covers_head && first * kPageSize < size) VOLUME_CHECK(read_pages(inode, first, pages.first(kPageSize)));
  const bool covers_tail = end % kPageSize == 0 || end >= size;
  if (last != first && !covers_tail) VOLUME_CHECK(read_pages(inode, last, pages.last(kPageSize)));
  std::memcpy(&pages[offset % kPageSize], data.data(), data.size());
  return {};
}

// Requires: the inode's lock. Up to kBatchPages are one change, so a crash finds all of them or none.
Result<void> Engine::write_locked(InodeNumber inode, std::uint64_t offset, std::span<const std::byte> data) {
  std::uint64_t size = 0;
  {
    const Lock lock = lock_for_reading();
    VOLUME_CHECK(writable());
    size = CASEMATE_TRY(load_file(inode)).attributes.size;
  }
  Bytes assembled;
  while (!data.empty()) {
    const std::size_t skip = offset % kPageSize;
    const std::size_t part = std::min(data.size(), kBatchPages * kPageSize - skip);
    std::span<const std::byte> pages = data.first(part);
    if (skip != 0 || part % kPageSize != 0) {
      assembled.assign((skip + part + kPageSize - 1) / kPageSize * kPageSize, std::byte{0});
      VOLUME_CHECK(fill_edges(inode, offset, data.first(part), size, assembled));
      pages = assembled;
    }
    VOLUME_CHECK(write_pages(inode, page_of(offset), pages, offset + part));
    data = data.subspan(part);
    offset += part;
    size = std::max(size, offset);
    if (!data.empty()) VOLUME_CHECK(settle());
  }
  return {};
}

Result<void> Engine::write(InodeNumber inode, std::uint64_t offset, std::span<const std::byte> data) {
  if (offset > kMaximumFileSize || data.size() > kMaximumFileSize - offset) {
    return refused(EFBIG, "the file would be larger than a volume allows");
  }
  const std::lock_guard serial(inode_lock(inode));
  return settled(write_locked(inode, offset, data));
}

}  // namespace casemate::volume
