// The arena of secret.h: chunks of a few pages, cut into slots of 64 bytes (a cache line; two keys never share one).
#include "crypto/secret.h"

#include <openssl/crypto.h>
#include <sys/mman.h>

#include <array>
#include <bitset>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

namespace casemate::crypto {
namespace {

constexpr std::size_t kSlotSize = 64;
constexpr std::size_t kChunkSize = 16384;
constexpr std::size_t kSlotCount = kChunkSize / kSlotSize;

constexpr std::size_t slots_for(std::size_t size) { return size == 0 ? 1 : (size + kSlotSize - 1) / kSlotSize; }

std::byte* map_locked(std::size_t size) {
  void* const pages = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) throw std::bad_alloc();
  // Best effort, see the header.
  (void)mlock(pages, size);
  (void)madvise(pages, size, MADV_DONTDUMP);
  return static_cast<std::byte*>(pages);
}

struct Chunk {
  std::byte* base = map_locked(kChunkSize);
  std::bitset<kSlotCount> used;
  std::size_t free_count = kSlotCount;  // full chunks are passed over at once: a large CAS has hundreds

  // First fit; kSlotCount when there is no such row of free slots.
  std::size_t find(std::size_t count) const {
    if (count > free_count) return kSlotCount;
    std::size_t run = 0;
    for (std::size_t slot = 0; slot < kSlotCount; ++slot) {
      run = used[slot] ? 0 : run + 1;
      if (run == count) return slot + 1 - count;
    }
    return kSlotCount;
  }
  void mark(std::size_t first, std::size_t count, bool value) {
    for (std::size_t slot = first; slot < first + count; ++slot) used[slot] = value;
    free_count = value ? free_count - count : free_count + count;
  }
};

// Chunks are never given back: secrets of static duration may be released after everything else.
struct Arena {
  std::mutex mutex;
  std::vector<std::unique_ptr<Chunk>> chunks;
};

Arena& arena() {
  static Arena* const instance = new Arena;
  return *instance;
}

}  // namespace

void wipe(std::span<std::byte> bytes) { OPENSSL_cleanse(bytes.data(), bytes.size()); }

bool equal_in_constant_time(std::span<const std::byte> left, std::span<const std::byte> right) {
  return left.size() == right.size() && CRYPTO_memcmp(left.data(), right.data(), left.size()) == 0;
}

namespace internal {

std::byte* allocate_secret(std::size_t size) {
  const std::size_t count = slots_for(size);
  if (count > kSlotCount) return map_locked(size);
  Arena& all = arena();
  const std::lock_guard lock(all.mutex);
  for (const auto& chunk : all.chunks) {
    const std::size_t first = chunk->find(count);
    if (first == kSlotCount) continue;
    chunk->mark(first, count, true);
    return chunk->base + first * kSlotSize;
  }
  all.chunks.push_back(std::make_unique<Chunk>());
  all.chunks.back()->mark(0, count, true);
  return all.chunks.back()->base;
}

void release_secret(std::byte* bytes, std::size_t size) noexcept {
  OPENSSL_cleanse(bytes, size);
  const std::size_t count = slots_for(size);
  if (count > kSlotCount) {
    munmap(bytes, size);
    return;
  }
  Arena& all = arena();
  const std::lock_guard lock(all.mutex);
  for (const auto& chunk : all.chunks) {
    if (bytes < chunk->base || bytes >= chunk->base + kChunkSize) continue;
    chunk->mark(static_cast<std::size_t>(bytes - chunk->base) / kSlotSize, count, false);
    return;
  }
}

}  // namespace internal
}  // namespace casemate::crypto
