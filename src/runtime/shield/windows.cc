#include "runtime/shield/windows.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "runtime/engine/process/host_call.h"
#include "runtime/intercept/line.h"
#include "runtime/intercept/lock.h"
#include "runtime/memory/guest.h"
#include "runtime/shield/arena.h"

namespace casemate::runtime {
namespace {

inline constexpr std::uint64_t kWindowSize = std::uint64_t{32} << 20;
inline constexpr std::uint32_t kWindowCount = 128;
inline constexpr std::uint64_t kAreaSize = kWindowSize * kWindowCount;  // of address space
inline constexpr std::uint64_t kLargestCopy = 64 * 1024;                // beyond, the call's own cost is small
// Reads that found no window until one is made, and until one of something else gives way.
inline constexpr std::uint32_t kReadsToMap = 32, kReadsToReplace = 4096;

// The parts of a window are read under `sequence` (odd: being changed).
struct Window {
  std::atomic<std::uint32_t> sequence, misses;
  std::atomic<std::uint64_t> inode, part;  // inode 0: nothing is mapped
};

// Up to where a file reached at a count of evictions (+ 1). It may have grown since, so this is a lower bound.
struct KnownSize {
  std::atomic<std::uint64_t> evictions, inode, size;
};

enum class AreaState : std::uint32_t { kUnknown, kThere, kRefused };

constinit Window g_windows[kWindowCount] = {};
constinit KnownSize g_sizes[protocol::kSlotCapacity] = {};
constinit Lock g_lock;
constinit std::atomic<AreaState> g_area_state{AreaState::kUnknown};
constinit std::uint64_t g_area = 0;
constinit std::atomic<std::uint32_t> g_used{0};  // windows that map something

std::uint32_t index_of(std::uint64_t inode, std::uint64_t part) {
  return static_cast<std::uint32_t>((inode * 0x9e3779b97f4a7c15) >> 40) + static_cast<std::uint32_t>(part);
}

std::uint64_t address_of(std::uint32_t index) { return g_area + index * kWindowSize; }

// Programs that limit their address space keep all of it.
bool has_unlimited_space() {
  struct {
    std::uint64_t soft, hard;
  } limit{};
  return host_call(SYS_prlimit64, 0, 9, 0, reinterpret_cast<long>(&limit)) == 0 &&  // RLIMIT_AS
         limit.soft == ~std::uint64_t{0};
}

long map_nothing(std::uint64_t address, std::uint64_t size, int how) {
  return host_call(SYS_mmap, static_cast<long>(address), static_cast<long>(size), PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | how, -1, 0);
}

// The caller holds the lock.
bool make_area() {
  if (g_area_state.load() != AreaState::kUnknown) return g_area_state.load() == AreaState::kThere;
  const long mapped = has_unlimited_space() ? map_nothing(0, kAreaSize, 0) : -1;
  if (is_error(mapped)) {
    g_area_state.store(AreaState::kRefused);
    return false;
  }
  g_area = static_cast<std::uint64_t>(mapped);
  protect_range(g_area, kAreaSize);
  g_area_state.store(AreaState::kThere);
  return true;
}

bool is_file(long fd, std::uint64_t inode) {
  struct stat status;
  return host_call(SYS_fstat, fd, reinterpret_cast<long>(&status)) == 0 && status.st_dev == arena().memfd_device &&
         status.st_ino == inode;
}

// Without access first: under mlockall(MCL_FUTURE) the kernel would fill every hole of the file otherwise.
bool map_file(std::uint64_t address, long fd, std::uint64_t offset) {
  const auto at = static_cast<long>(address), size = static_cast<long>(kWindowSize);
  if (is_error(host_call(SYS_mmap, at, size, PROT_NONE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, fd,
                         static_cast<long>(offset)))) {
    return false;
  }
  host_call(SYS_madvise, at, size, MADV_DONTDUMP);
  return host_call(SYS_mprotect, at, size, PROT_READ) == 0;
}

void begin_change(Window& window) { window.sequence.fetch_add(1, std::memory_order_acq_rel); }
void end_change(Window& window) { window.sequence.fetch_add(1, std::memory_order_acq_rel); }

// The caller holds the lock.
void clear(std::uint32_t index) {
  Window& window = g_windows[index];
  if (window.inode.load() == 0) return;
  begin_change(window);
  window.inode.store(0);
  map_nothing(address_of(index), kWindowSize, MAP_FIXED);
  end_change(window);
  g_used.fetch_sub(1);
}

void make_window(Thread& thread, std::int32_t fd, const DescriptorKind& kind, std::uint64_t inode, std::uint64_t part,
                 std::uint32_t index) {
  Line link;
  link.text("/proc/self/fd/").number(fd);
  const long file = host_call(SYS_openat, AT_FDCWD, reinterpret_cast<long>(link.c_str()), O_RDONLY | O_CLOEXEC);
  if (is_error(file)) return;
  if (is_file(file, inode)) {
    const LockGuard guard(g_lock);
    if (make_area()) {
      clear(index);
      Window& window = g_windows[index];
      begin_change(window);
      if (map_file(address_of(index), file, part * kWindowSize)) {
        window.part.store(part);
        window.inode.store(inode);
        g_used.fetch_add(1);
      } else {
        map_nothing(address_of(index), kWindowSize, MAP_FIXED);
      }
      end_change(window);
      window.misses.store(0);
    }
  }
  host_call(SYS_close, file);
  if (!kind_is_current(thread, fd, kind)) windows_closed(kind.slot);
}

void note_miss(Thread& thread, std::int32_t fd, const DescriptorKind& kind, std::uint64_t inode, std::uint64_t part,
               std::uint32_t index) {
  Window& window = g_windows[index];
  const std::uint32_t needed = window.inode.load(std::memory_order_relaxed) == 0 ? kReadsToMap : kReadsToReplace;
  if (window.misses.fetch_add(1, std::memory_order_relaxed) < needed) return;
  if (g_area_state.load(std::memory_order_relaxed) == AreaState::kRefused) return;
  make_window(thread, fd, kind, inode, part, index);
}

// Does the file reach to `end` for sure?
bool reaches(std::int32_t fd, std::uint32_t slot, std::uint64_t inode, std::uint64_t evictions, std::uint64_t end) {
  KnownSize& known = g_sizes[slot];
  if (known.evictions.load(std::memory_order_acquire) == evictions + 1 && known.inode.load() == inode) {
    const std::uint64_t size = known.size.load(std::memory_order_acquire);
    if (known.evictions.load(std::memory_order_relaxed) == evictions + 1 && end <= size) return true;
  }
  struct stat status;
  if (host_call(SYS_fstat, fd, reinterpret_cast<long>(&status)) != 0 || status.st_ino != inode) return false;
  if (evictions_of(slot) != evictions) return false;
  known.evictions.store(0, std::memory_order_release);
  known.inode.store(inode);
  known.size.store(static_cast<std::uint64_t>(status.st_size), std::memory_order_release);
  known.evictions.store(evictions + 1, std::memory_order_release);
  return end <= static_cast<std::uint64_t>(status.st_size);
}

}  // namespace

bool read_from_window(Thread& thread, std::int32_t fd, const DescriptorKind& kind, ByteRange range,
                      std::uint64_t destination) {
  const std::uint64_t part = range.offset / kWindowSize;
  if (range.size == 0 || range.size > kLargestCopy || (range.end() - 1) / kWindowSize != part) return false;
  if ((kind.flags & kKindReadable) == 0) return false;
  const std::uint64_t inode = slot_at(kind.slot).memfd_inode;
  const std::uint32_t index = index_of(inode, part) % kWindowCount;
  const Window& window = g_windows[index];
  const std::uint32_t sequence = window.sequence.load(std::memory_order_acquire);
  const bool is_there = (sequence & 1) == 0 && inode != 0 && window.inode.load(std::memory_order_acquire) == inode &&
                        window.part.load(std::memory_order_acquire) == part;
  if (!is_there) {
    note_miss(thread, fd, kind, inode, part, index);
    return false;
  }
  const std::uint64_t evictions = evictions_of(kind.slot);
  if (!reaches(fd, kind.slot, inode, evictions, range.end()) || !is_present(kind.slot, range)) return false;
  const auto* const source = reinterpret_cast<const void*>(address_of(index) + range.offset % kWindowSize);
  // A file that became shorter faults here, as bad addresses of the program do.
  if (copy_to_guest(guest(destination), source, range.size) != 0) return false;
  std::atomic_thread_fence(std::memory_order_acquire);
  return evictions_of(kind.slot) == evictions && window.sequence.load(std::memory_order_relaxed) == sequence;
}

void windows_closed(std::uint32_t slot) {
  if (g_used.load(std::memory_order_relaxed) == 0) return;
  const std::uint64_t inode = slot_at(slot).memfd_inode;
  const LockGuard guard(g_lock);
  for (std::uint32_t index = 0; index < kWindowCount; ++index) {
    if (g_windows[index].inode.load() == inode) clear(index);
  }
}

void windows_closed_all() {
  if (g_used.load(std::memory_order_relaxed) == 0) return;
  const LockGuard guard(g_lock);
  for (std::uint32_t index = 0; index < kWindowCount; ++index) clear(index);
}

void windows_after_fork() {
  g_lock.reset();
  std::uint32_t used = 0;
  for (std::uint32_t index = 0; index < kWindowCount; ++index) {
    Window& window = g_windows[index];
    if ((window.sequence.load() & 1) != 0) {
      window.inode.store(0);
      map_nothing(address_of(index), kWindowSize, MAP_FIXED);
      end_change(window);
    }
    if (window.inode.load() != 0) ++used;
  }
  g_used.store(used);
}

}  // namespace casemate::runtime
