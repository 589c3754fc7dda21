// mmap and its family: the kernel's, except that the runtime's own ranges cannot be touched, and executable mappings
// are noted for the patcher. And brk, which is virtual: the kernel's break belongs to the runtime's image.
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#include "runtime/intercept/dispatch.h"
#include "runtime/intercept/patch/patcher.h"
#include "runtime/intercept/process.h"
#include "runtime/memory/code_map.h"
#include "runtime/memory/guest.h"
#include "runtime/shield/mappings.h"

namespace casemate::runtime {
namespace {

inline constexpr std::uint64_t kPage = 4096;
inline constexpr long kEnomem = -12, kEinval = -22;

std::uint64_t round_up(std::uint64_t value) { return (value + kPage - 1) & ~(kPage - 1); }

// Pass a range call unless it reaches into the runtime; code in the range may be about to change.
long pass_range(Thread& thread, Regs& regs, long refusal) {
  if (touches_runtime(regs.rdi, round_up(regs.rsi))) return refusal;
  return pass_through(thread, regs);
}

void forget_code(std::uint64_t start, std::uint64_t size) {
  code_map_remove(start, size);
  patcher_code_unmapped(start, size);
}

void note_mapping(std::uint64_t start, std::uint64_t size, const Regs& regs) {
  const bool shared = (regs.r10 & MAP_TYPE) != MAP_PRIVATE;
  if ((regs.rdx & PROT_EXEC) == 0 && !shared) return;
  const bool anonymous = (regs.r10 & MAP_ANONYMOUS) != 0;
  code_map_add(start, size, static_cast<std::uint32_t>(regs.rdx), shared ? CodeSharing::kShared : CodeSharing::kPrivate,
               anonymous ? CodeBacking::kAnonymous : CodeBacking::kFile);
}

}  // namespace

long sys_mmap(Thread& thread, Regs& regs) {
  const std::uint64_t size = round_up(regs.rsi);
  if ((regs.r10 & MAP_FIXED) != 0 && touches_runtime(regs.rdi, size)) return kEnomem;
  PreparedMapping prepared{};
  if (g_process.shield_active) {
    if (const long error = prepare_mapping(thread, regs, prepared); error != 0) return error;
  }
  // As with munmap: nobody may patch what is being replaced.
  if ((regs.r10 & MAP_FIXED) != 0) forget_code(regs.rdi, size);
  const long result = pass_through(thread, regs);
  if (is_error(result) || result == kRestartCall) return result;
  if (g_process.shield_active) {
    if ((regs.r10 & MAP_FIXED) != 0) mappings_removed(regs.rdi, size);
    finish_mapping(thread, prepared, static_cast<std::uint64_t>(result), size);
  }
  if ((regs.rdx & PROT_EXEC) != 0 || (regs.r10 & MAP_SHARED) != 0) {
    note_mapping(static_cast<std::uint64_t>(result), size, regs);
  }
  return result;
}

long sys_munmap(Thread& thread, Regs& regs) {
  const std::uint64_t size = round_up(regs.rsi);
  if (touches_runtime(regs.rdi, size)) return kEinval;
  // Before the kernel's unmapping, so that nobody patches what another thread maps there meanwhile.
  forget_code(regs.rdi, size);
  if (g_process.shield_active) mappings_removed(regs.rdi, size);
  return pass_through(thread, regs);
}

// Data, by far the most, passes; code changes in one step with what the patcher thinks of it.
long sys_mprotect(Thread& thread, Regs& regs) {
  const std::uint64_t size = round_up(regs.rsi);
  if (touches_runtime(regs.rdi, size)) return kEnomem;
  if (g_process.shield_active && (regs.rdx & PROT_WRITE) != 0) {
    if (const long error = mappings_become_writable(thread, regs.rdi, size); error != 0) return error;
  }
  if ((regs.rdx & PROT_EXEC) == 0 && !code_map_overlaps(regs.rdi, size)) return pass_through(thread, regs);
  return patcher_change_protection(regs.rdi, regs.rsi, static_cast<std::uint32_t>(regs.rdx));
}

long sys_pkey_mprotect(Thread& thread, Regs& regs) {
  if (static_cast<std::int32_t>(regs.r10) != -1) return kEinval;
  return sys_mprotect(thread, regs);
}

long sys_mremap(Thread& thread, Regs& regs) {
  const std::uint64_t old_size = round_up(regs.rsi), new_size = round_up(regs.rdx);
  if (touches_runtime(regs.rdi, old_size)) return -14;
  if ((regs.r10 & MREMAP_FIXED) != 0 && touches_runtime(regs.r8, new_size)) return kEinval;
  if (g_process.shield_active) {
    if (const long error = prepare_growth(thread, regs.rdi, old_size, new_size); error != 0) return error;
  }
  // Patched code holds relative jumps: the program's own bytes travel.
  if (code_map_find(regs.rdi).found) patcher_code_changed(regs.rdi, old_size);
  const long result = pass_through(thread, regs);
  if (!is_error(result) && result != kRestartCall) {
    if (g_process.shield_active) mappings_moved(regs.rdi, old_size, static_cast<std::uint64_t>(result), new_size);
    code_map_move(regs.rdi, old_size, static_cast<std::uint64_t>(result), new_size);
    if (static_cast<std::uint64_t>(result) != regs.rdi) patcher_code_unmapped(regs.rdi, old_size);
  }
  return result;
}

long sys_madvise(Thread& thread, Regs& regs) { return pass_range(thread, regs, kEnomem); }
long sys_mseal(Thread& thread, Regs& regs) { return pass_range(thread, regs, kEnomem); }
long sys_remap_file_pages(Thread& thread, Regs& regs) { return pass_range(thread, regs, kEinval); }
long sys_process_madvise(Thread& thread, Regs& regs) { return pass_through(thread, regs); }

long sys_shmat(Thread& thread, Regs& regs) {
  constexpr std::uint64_t kShmRemap = 040000;
  if ((regs.rdx & kShmRemap) != 0 && touches_runtime(regs.rsi, kPage)) return kEinval;
  const long result = pass_through(thread, regs);
  if (!is_error(result) && result != kRestartCall) {
    struct shmid_ds status;
    const bool known =
        host_call(SYS_shmctl, static_cast<long>(regs.rdi), IPC_STAT, reinterpret_cast<long>(&status)) == 0;
    code_map_add(static_cast<std::uint64_t>(result), known ? status.shm_segsz : kPage, PROT_READ, CodeSharing::kShared,
                 CodeBacking::kFile);
  }
  return result;
}

long sys_shmdt(Thread& thread, Regs& regs) {
  if (touches_runtime(regs.rdi, 1)) return kEinval;
  return pass_through(thread, regs);
}

namespace {
std::uint64_t data_limit() {
  struct {
    std::uint64_t soft, hard;
  } limit{~std::uint64_t{0}, ~std::uint64_t{0}};
  host_call(SYS_prlimit64, 0, 2, 0, reinterpret_cast<long>(&limit));  // RLIMIT_DATA
  return limit.soft;
}
}  // namespace

long sys_brk(Thread&, Regs& regs) {
  const LockGuard guard(g_process.brk_lock);
  const std::uint64_t wanted = regs.rdi;
  const std::uint64_t current = g_process.brk_end;
  if (wanted < g_process.brk_start || wanted > 0x7ffffffff000) return static_cast<long>(current);
  const std::uint64_t old_end = round_up(current), new_end = round_up(wanted);
  if (new_end > old_end && wanted - g_process.brk_start > data_limit()) return static_cast<long>(current);
  if (new_end > old_end) {
    const long mapped = host_call(SYS_mmap, static_cast<long>(old_end), static_cast<long>(new_end - old_end),
                                  PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (is_error(mapped)) return static_cast<long>(current);
    if (static_cast<std::uint64_t>(mapped) != old_end) {
      host_call(SYS_munmap, mapped, static_cast<long>(new_end - old_end));
      return static_cast<long>(current);
    }
  } else if (new_end < old_end) {
    host_call(SYS_munmap, static_cast<long>(new_end), static_cast<long>(old_end - new_end));
  }
  g_process.brk_end = wanted;
  return static_cast<long>(wanted);
}

}  // namespace casemate::runtime
