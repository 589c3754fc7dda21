// The page-state protocol of protocol/shield.h: what a member does around the kernel's own reads and writes of a cached
// file.
#pragma once

#include <cstdint>

#include "protocol/shield.h"
#include "runtime/intercept/thread.h"

namespace casemate::runtime {

struct ByteRange {
  std::uint64_t offset, size;
  std::uint64_t end() const { return offset + size < offset ? ~std::uint64_t{0} : offset + size; }
  std::uint64_t first_page() const { return offset / protocol::kPageSize; }
  std::uint64_t end_page() const { return end() / protocol::kPageSize + (end() % protocol::kPageSize != 0 ? 1 : 0); }
};

inline constexpr ByteRange kWholeFile = {0, std::uint64_t{1} << 62};

// Counts evictions of the slot: what was read or written between two equal counts was there all the time.
std::uint64_t evictions_of(std::uint32_t slot);

// Was every page of the file that the volume holds in the cache at this count of evictions? Then reads at any position
// need no look at states while the count stays: what is written later comes from the cache itself. False: not known.
bool is_complete(std::uint32_t slot, std::uint64_t evictions);
// Finds that out, now and then.
void consider_complete(std::uint32_t slot, std::uint64_t evictions);

// Is every page of the range in the cache, as itself and not as a hole?
bool is_present(std::uint32_t slot, ByteRange range);

// Has every page of the range that the volume holds brought into the cache. 0 or a negative errno.
long populate_absent(Thread& thread, std::uint32_t slot, ByteRange range, protocol::PopulatePurpose purpose);
// Asks the keeper even when all pages are there, because the purpose pins them.
long populate_pinned(Thread& thread, std::uint32_t slot, ByteRange range, protocol::PopulatePurpose purpose);

// Before a write: partly written pages are there, every page is marked, space is reserved. 0 or a negative errno.
long mark_before_write(Thread& thread, std::uint32_t slot, ByteRange range);
// After it, for what was really written. kLost: a page was not there meanwhile, so the write must be repeated.
enum class Kept : std::uint8_t { kAll, kLost };
Kept mark_after_write(Thread& thread, std::uint32_t slot, ByteRange range);

}  // namespace casemate::runtime
