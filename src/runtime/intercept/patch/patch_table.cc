#include "runtime/intercept/patch/patch_table.h"

#include <linux/mman.h>
#include <sys/syscall.h>

#include "runtime/engine/process/host_call.h"
#include "runtime/intercept/thread.h"
#include "runtime/memory/guest.h"

namespace casemate::runtime {
namespace {

// Address space for all; only pages with records become resident.
constinit Patch* g_patches = nullptr;
constinit std::atomic<std::size_t> g_count{0};
constinit std::atomic<std::uint64_t> g_changes{0};

}  // namespace

bool patch_table_init() {
  if (g_patches != nullptr) return true;
  const std::size_t size = kPatchCapacity * sizeof(Patch);
  const long mapped = host_call(SYS_mmap, 0, static_cast<long>(size), PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (is_error(mapped)) return false;
  protect_range(static_cast<std::uint64_t>(mapped), size);
  g_patches = reinterpret_cast<Patch*>(mapped);
  return true;
}

std::size_t patch_count() { return g_count.load(std::memory_order_acquire); }
Patch& patch_at(std::size_t index) { return g_patches[index]; }

Patch* next_patch() {
  const std::size_t count = g_count.load(std::memory_order_relaxed);
  return g_patches == nullptr || count == kPatchCapacity ? nullptr : &g_patches[count];
}

void publish_patch() { g_count.store(g_count.load(std::memory_order_relaxed) + 1, std::memory_order_release); }

void set_state(Patch& patch, PatchState state) {
  patch.state.store(state, std::memory_order_seq_cst);
  g_changes.fetch_add(1, std::memory_order_seq_cst);
}
std::uint64_t change_count() { return g_changes.load(std::memory_order_seq_cst); }

void jump_bytes(const Patch& patch, std::uint8_t (&bytes)[kJumpSize]) {
  const auto displacement = static_cast<std::uint32_t>(patch.stub - (patch.jump + kJumpSize));
  bytes[0] = 0xe9;
  for (unsigned i = 0; i < 4; ++i) bytes[1 + i] = static_cast<std::uint8_t>(displacement >> (8 * i));
}

bool jump_is_in_place(const Patch& patch) {
  std::uint8_t expected[kJumpSize], now[kJumpSize];
  jump_bytes(patch, expected);
  return copy_from_guest(now, guest(patch.jump), kJumpSize) == 0 && __builtin_memcmp(now, expected, kJumpSize) == 0;
}

BoundaryMatch find_by_boundary(std::uint64_t address) {
  const std::size_t count = patch_count();
  BoundaryMatch best{nullptr, BoundaryKind::kGone};
  for (std::size_t i = 0; i < count; ++i) {
    const Patch& patch = g_patches[i];
    const std::uint64_t offset = address - patch.jump;
    if (offset >= kJumpSize || (patch.boundary_mask >> offset & 1) == 0) continue;
    const bool writing = patch.state.load(std::memory_order_seq_cst) == PatchState::kWriting;
    if (writing) return {&patch, BoundaryKind::kWriting};
    const BoundaryKind kind = jump_is_in_place(patch) ? BoundaryKind::kInPlace : BoundaryKind::kGone;
    if (best.patch == nullptr || kind < best.kind) best = {&patch, kind};
  }
  return best;
}

const Patch* find_by_stub(std::uint64_t address) {
  const std::size_t count = patch_count();
  for (std::size_t i = 0; i < count; ++i) {
    if (address - g_patches[i].stub < g_patches[i].stub_size) return &g_patches[i];
  }
  return nullptr;
}

long copy_original_code(void* destination, std::uint64_t address, std::size_t size) {
  const long result = copy_from_guest(destination, guest(address), size);
  if (result != 0) return result;
  auto* bytes = static_cast<std::uint8_t*>(destination);
  const std::size_t count = patch_count();
  for (std::size_t i = 0; i < count; ++i) {
    const Patch& patch = g_patches[i];
    if (patch.jump + kJumpSize <= address || patch.jump >= address + size) continue;
    if (!jump_is_in_place(patch)) continue;
    for (std::size_t j = 0; j < kJumpSize; ++j) {
      const std::uint64_t offset = patch.jump + j - address;
      if (offset < size) bytes[offset] = patch.original[j];
    }
  }
  return 0;
}

bool overlaps_patch(std::uint64_t start, std::uint64_t end) {
  const std::size_t count = patch_count();
  for (std::size_t i = 0; i < count; ++i) {
    const Patch& patch = g_patches[i];
    if (start >= patch.jump + patch.covered_size || patch.jump >= end) continue;
    if (patch.state.load(std::memory_order_relaxed) != PatchState::kRetired || jump_is_in_place(patch)) return true;
  }
  return false;
}

std::uint64_t stub_of_offset(const Patch& patch, std::uint64_t offset) {
  for (unsigned i = 0; i < patch.point_count; ++i) {
    if (patch.points[i].original == offset && offset < kMaxCovered) return patch.stub + patch.points[i].stub;
  }
  return 0;
}

}  // namespace casemate::runtime
