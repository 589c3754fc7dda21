#include "runtime/intercept/patch/site_counter.h"

#include <linux/mman.h>
#include <sys/syscall.h>

#include <atomic>
#include <cstddef>

#include "runtime/engine/process/host_call.h"
#include "runtime/intercept/thread.h"
#include "runtime/memory/guest.h"

namespace casemate::runtime {
namespace {

struct Slot {
  std::atomic<std::uint64_t> site;
  std::atomic<std::uint32_t> count;
  std::atomic<std::uint32_t> fingerprint;  // of the bytes around the site, 0: not taken yet
};

inline constexpr std::size_t kSlotCount = 1024;
inline constexpr std::size_t kProbes = 8;
inline constexpr std::uint32_t kGivenUp = 0x80000000;
inline constexpr std::size_t kRegionCount = 32;
inline constexpr unsigned kRegionShift = 21;

constinit Slot* g_slots = nullptr;
// 2 MiB regions that hold examined sites; when there are more, every range may.
constinit std::atomic<std::uint64_t> g_regions[kRegionCount] = {};
constinit std::atomic<std::uint32_t> g_region_count{0};

// Consecutive slots for one site; neighbours in a library share pages of the table.
std::size_t first_slot(std::uint64_t site) { return (site * 0x9e3779b97f4a7c15u) >> 54; }

Slot* find_slot(std::uint64_t site) {
  if (g_slots == nullptr) return nullptr;
  for (std::size_t i = 0; i < kProbes; ++i) {
    Slot& slot = g_slots[(first_slot(site) + i) % kSlotCount];
    if (slot.site.load(std::memory_order_relaxed) == site) return &slot;
  }
  return nullptr;
}

// A free slot, else the one that was counted least.
Slot& claim_slot(std::uint64_t site) {
  Slot* best = nullptr;
  for (std::size_t i = 0; i < kProbes; ++i) {
    Slot& slot = g_slots[(first_slot(site) + i) % kSlotCount];
    const std::uint32_t count = slot.count.load(std::memory_order_relaxed);
    if (slot.site.load(std::memory_order_relaxed) == 0) {
      best = &slot;
      break;
    }
    if (best == nullptr || count < best->count.load(std::memory_order_relaxed)) best = &slot;
  }
  best->count.store(0, std::memory_order_relaxed);
  best->fingerprint.store(0, std::memory_order_relaxed);
  best->site.store(site, std::memory_order_relaxed);
  return *best;
}

std::uint32_t fingerprint(std::uint64_t site) {
  std::uint8_t bytes[32];
  const std::uint64_t in_page = site & 4095;
  const std::uint64_t start = in_page < 16 ? site : site - 16;
  // Too near to the end of what is mapped: nothing to compare.
  if (copy_from_guest(bytes, guest(start), sizeof(bytes)) != 0) return 1;
  std::uint32_t hash = 2166136261u;
  for (const std::uint8_t byte : bytes) hash = (hash ^ byte) * 16777619u;
  return hash | 1;
}

void note_region(std::uint64_t site) {
  const std::uint64_t region = (site >> kRegionShift) + 1;
  const std::uint32_t count = g_region_count.load(std::memory_order_relaxed);
  for (std::uint32_t i = 0; i < count && i < kRegionCount; ++i) {
    if (g_regions[i].load(std::memory_order_relaxed) == region) return;
  }
  const std::uint32_t index = g_region_count.fetch_add(1, std::memory_order_relaxed);
  if (index < kRegionCount) g_regions[index].store(region, std::memory_order_release);
}

}  // namespace

void site_counter_init() {
  const long mapped =
      host_call(SYS_mmap, 0, kSlotCount * sizeof(Slot), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (is_error(mapped)) return;
  protect_range(static_cast<std::uint64_t>(mapped), kSlotCount * sizeof(Slot));
  g_slots = reinterpret_cast<Slot*>(mapped);
}

TrapAdvice count_trap(std::uint64_t site) {
  if (g_slots == nullptr) return TrapAdvice::kLater;
  Slot* slot = find_slot(site);
  if (slot == nullptr) slot = &claim_slot(site);
  const std::uint32_t count = slot->count.load(std::memory_order_relaxed);
  if ((count & kGivenUp) != 0) return TrapAdvice::kLater;
  slot->count.store(count + 1, std::memory_order_relaxed);
  return count + 1 >= kTrapsBeforePatch ? TrapAdvice::kTry : TrapAdvice::kLater;
}

bool is_stable(std::uint64_t site) {
  Slot* slot = find_slot(site);
  if (slot == nullptr) return false;
  const std::uint32_t now = fingerprint(site);
  const std::uint32_t before = slot->fingerprint.exchange(now, std::memory_order_relaxed);
  if (before != 0 && before != now) slot->count.store(0, std::memory_order_relaxed);
  return before == now && slot->count.load(std::memory_order_relaxed) >= kTrapsBeforeAnonymousPatch;
}

void give_up_site(std::uint64_t site) {
  note_region(site);
  if (Slot* slot = find_slot(site)) slot->count.store(kGivenUp, std::memory_order_relaxed);
}

void forget_sites(std::uint64_t start, std::uint64_t size) {
  for (std::size_t i = 0; g_slots != nullptr && i < kSlotCount; ++i) {
    const std::uint64_t site = g_slots[i].site.load(std::memory_order_relaxed);
    if (site == 0 || site - start >= size) continue;
    g_slots[i].count.store(0, std::memory_order_relaxed);
    g_slots[i].fingerprint.store(0, std::memory_order_relaxed);
  }
}

bool may_hold_sites(std::uint64_t start, std::uint64_t size) {
  const std::uint32_t count = g_region_count.load(std::memory_order_acquire);
  if (count > kRegionCount) return true;
  const std::uint64_t first = (start >> kRegionShift) + 1, last = ((start + size - 1) >> kRegionShift) + 1;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint64_t region = g_regions[i].load(std::memory_order_acquire);
    if (region == 0 || (region >= first && region <= last)) return true;
  }
  return false;
}

}  // namespace casemate::runtime
