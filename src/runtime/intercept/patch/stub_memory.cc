#include "runtime/intercept/patch/stub_memory.h"

#include <linux/mman.h>
#include <sys/syscall.h>

#include <atomic>

#include "runtime/engine/process/host_call.h"
#include "runtime/intercept/thread.h"

namespace casemate::runtime {
namespace {

inline constexpr std::uint64_t kGranule = 8;
inline constexpr std::uint64_t kPage = 4096;
inline constexpr std::size_t kPagesPerChunk = kChunkSize / kPage;
inline constexpr std::uint64_t kLowestAddress = 64 * 1024;  // vm.mmap_min_addr
inline constexpr std::uint64_t kUserEnd = 0x7ffffffff000;
inline constexpr std::int64_t kReach = (std::int64_t{1} << 31) - static_cast<std::int64_t>(2 * kChunkSize);

struct Chunk {
  std::uint64_t base;
  std::uint32_t used_pages;  // bits
  std::uint32_t used_bytes;
  bool ready;  // the entry point is written
  std::uint64_t taken[kChunkSize / kGranule / 64];
};

// Chunks are only ever added; handlers see those below the count.
constinit Chunk* g_chunks = nullptr;
constinit std::atomic<std::size_t> g_chunk_count{0};

Chunk* chunk_table() {
  if (g_chunks != nullptr) return g_chunks;
  const long mapped = host_call(SYS_mmap, 0, kMaxChunks * sizeof(Chunk), PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (is_error(mapped)) return nullptr;
  protect_range(static_cast<std::uint64_t>(mapped), kMaxChunks * sizeof(Chunk));
  g_chunks = reinterpret_cast<Chunk*>(mapped);
  return g_chunks;
}

// The smallest displacement not below `from` that fits the pattern (bytes fixed by a mask).
std::int64_t next_displacement(std::int64_t from, DisplacementPattern pattern) {
  for (;;) {
    const auto word = static_cast<std::uint32_t>(from);
    const std::uint32_t difference = (word ^ pattern.value) & pattern.mask;
    if (difference == 0) return from;
    unsigned shift = 24;
    while ((difference >> shift & 0xff) == 0) shift -= 8;
    const std::uint32_t is = word >> shift & 0xff, wanted = pattern.value >> shift & 0xff;
    if (is < wanted) {
      // Raise this byte; what is below starts from its least value.
      from = ((from >> shift) + (wanted - is)) << shift;
      return from | static_cast<std::int64_t>(pattern.value & pattern.mask & ((1u << shift) - 1));
    }
    from = ((from >> (shift + 8)) + 1) << (shift + 8);  // carry into the byte above
  }
}

struct Granules {
  std::size_t first, last;
};
Granules granules_of(const Chunk& chunk, std::uint64_t address, std::size_t size) {
  return {(address - chunk.base) / kGranule, (address - chunk.base + size - 1) / kGranule};
}

// The last taken granule of the range plus one; 0: all free.
std::size_t last_taken(const Chunk& chunk, Granules range) {
  for (std::size_t i = range.last + 1; i-- > range.first;) {
    if ((chunk.taken[i / 64] >> (i % 64) & 1) != 0) return i + 1;
  }
  return 0;
}

bool pages_in_use(const Chunk& chunk, std::uint64_t address, std::size_t size) {
  const std::uint64_t first = (address - chunk.base) / kPage, last = (address - chunk.base + size - 1) / kPage;
  return (chunk.used_pages >> first & 1) != 0 && (chunk.used_pages >> last & 1) != 0;
}

enum class Pages { kUsed, kAny };

void mark(Chunk& chunk, std::uint64_t address, std::size_t size) {
  const Granules range = granules_of(chunk, address, size);
  for (std::size_t i = range.first; i <= range.last; ++i) chunk.taken[i / 64] |= 1ull << (i % 64);
  chunk.used_pages |= 1u << ((address - chunk.base) / kPage);
  chunk.used_pages |= 1u << ((address - chunk.base + size - 1) / kPage);
  chunk.used_bytes += static_cast<std::uint32_t>(size);
}

bool within_reach(std::uint64_t from, std::uint64_t to) {
  const auto distance = static_cast<std::int64_t>(to - from);
  return distance > -kReach && distance < kReach;
}

// A free address in the chunk; 0: none.
std::uint64_t search(const Chunk& chunk, const PlacementRequest& request, Pages pages) {
  const std::uint64_t origin = request.jump + kJumpSize;
  if (!within_reach(origin, chunk.base)) return 0;
  const std::uint64_t limit = chunk.base + kChunkSize - request.size;
  std::uint64_t address = chunk.base + kGranule;
  for (;;) {
    const auto displacement = next_displacement(static_cast<std::int64_t>(address - origin), request.pattern);
    address = origin + static_cast<std::uint64_t>(displacement);
    if (address > limit) return 0;
    const std::size_t taken = last_taken(chunk, granules_of(chunk, address, request.size));
    if (taken != 0) {
      address = chunk.base + taken * kGranule;
    } else if (pages == Pages::kUsed && !pages_in_use(chunk, address, request.size)) {
      address = (address | (kPage - 1)) + 1;
    } else {
      return address;
    }
  }
}

bool map_chunk(std::uint64_t base) {
  const long mapped = host_call(SYS_mmap, static_cast<long>(base), kChunkSize, PROT_READ | PROT_EXEC,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (is_error(mapped)) return false;
  if (static_cast<std::uint64_t>(mapped) == base) return true;
  host_call(SYS_munmap, mapped, kChunkSize);
  return false;
}

Chunk* add_chunk(std::uint64_t base) {
  const std::size_t count = g_chunk_count.load(std::memory_order_relaxed);
  Chunk& chunk = g_chunks[count];
  chunk = Chunk{};
  chunk.base = base;
  chunk.taken[0] = 1;  // the entry point
  chunk.used_pages = 1;
  protect_range(base, kChunkSize);
  g_chunk_count.store(count + 1, std::memory_order_release);
  return &chunk;
}

// Maps a chunk that has a place for the request between the displacements; null: no.
Chunk* try_chunk(const PlacementRequest& request, std::int64_t displacement, std::int64_t highest) {
  const std::uint64_t origin = request.jump + kJumpSize;
  const std::int64_t fitting = next_displacement(displacement, request.pattern);
  if (fitting <= -kReach || fitting > highest) return nullptr;
  const std::uint64_t base = (origin + static_cast<std::uint64_t>(fitting)) & ~(kChunkSize - 1);
  if (base < kLowestAddress || base > kUserEnd - kChunkSize) return nullptr;
  Chunk empty{};
  empty.base = base;
  empty.taken[0] = 1;
  if (search(empty, request, Pages::kAny) == 0 || !map_chunk(base)) return nullptr;
  return add_chunk(base);
}

// Outward from the code: first below it, densely and then in larger steps; then far above, where no break grows.
Chunk* new_chunk(const PlacementRequest& request) {
  if (g_chunk_count.load(std::memory_order_relaxed) == kMaxChunks) return nullptr;
  constexpr std::int64_t kMiB = 1 << 20;
  const std::int64_t below =
      -static_cast<std::int64_t>(request.jump - request.near) - static_cast<std::int64_t>(2 * kChunkSize);
  for (std::int64_t distance = below, step = kChunkSize; distance > -kReach; distance -= step) {
    if (Chunk* chunk = try_chunk(request, distance, below)) return chunk;
    if (below - distance > 2 * kMiB) step = kMiB;
    if (below - distance > 64 * kMiB) step = 16 * kMiB;
  }
  for (std::int64_t distance = 1024 * kMiB; distance < kReach; distance += 16 * kMiB) {
    if (Chunk* chunk = try_chunk(request, distance, kReach)) return chunk;
  }
  return nullptr;
}

StubPlacement reserve(Chunk& chunk, std::uint64_t address, const PlacementRequest& request) {
  mark(chunk, address, request.size);
  return {address, chunk.base, chunk.ready};
}

}  // namespace

StubPlacement place_stub(const PlacementRequest& request) {
  if (chunk_table() == nullptr) return {};
  const std::size_t count = g_chunk_count.load(std::memory_order_relaxed);
  for (const Pages pages : {Pages::kUsed, Pages::kAny}) {
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint64_t address = search(g_chunks[i], request, pages);
      if (address != 0) return reserve(g_chunks[i], address, request);
    }
  }
  Chunk* chunk = new_chunk(request);
  if (chunk == nullptr) return {};
  return reserve(*chunk, search(*chunk, request, Pages::kAny), request);
}

void mark_chunk_ready(std::uint64_t base) {
  for (std::size_t i = 0; i < g_chunk_count.load(std::memory_order_relaxed); ++i) {
    if (g_chunks[i].base == base) g_chunks[i].ready = true;
  }
}

void release_stub(std::uint64_t address, std::size_t size) {
  for (std::size_t i = 0; i < g_chunk_count.load(std::memory_order_relaxed); ++i) {
    Chunk& chunk = g_chunks[i];
    if (address - chunk.base >= kChunkSize) continue;
    const Granules range = granules_of(chunk, address, size);
    for (std::size_t j = range.first; j <= range.last; ++j) chunk.taken[j / 64] &= ~(1ull << (j % 64));
  }
}

bool in_stub_memory(std::uint64_t address) {
  const std::size_t count = g_chunk_count.load(std::memory_order_acquire);
  for (std::size_t i = 0; i < count; ++i) {
    if (address - g_chunks[i].base < kChunkSize) return true;
  }
  return false;
}

StubMemoryUse stub_memory_use() {
  StubMemoryUse use{};
  use.chunks = g_chunk_count.load(std::memory_order_acquire);
  for (std::size_t i = 0; i < use.chunks; ++i) {
    use.bytes += g_chunks[i].used_bytes;
    for (unsigned page = 0; page < kPagesPerChunk; ++page) use.pages += g_chunks[i].used_pages >> page & 1;
  }
  return use;
}

}  // namespace casemate::runtime
