// Thread blocks and the registry of them, and the list of ranges that belong to the runtime.
#include "runtime/intercept/thread.h"

#include <linux/mman.h>
#include <sys/syscall.h>

#include "runtime/intercept/process.h"

namespace casemate::runtime {
namespace {

struct Range {
  std::uint64_t begin, end;
};
inline constexpr std::size_t kRangeCapacity = 1024;
inline constexpr std::size_t kChunkBlocks = 64;

constinit Lock g_threads_lock, g_ranges_lock;
constinit Thread* g_registry = nullptr;  // all blocks ever made, free or live
constinit std::atomic<std::uint32_t> g_thread_count{1};
constinit Range g_ranges[kRangeCapacity] = {};
constinit std::atomic<std::size_t> g_range_count{0};
constinit std::uint64_t g_chunk_next = 0, g_chunk_end = 0;

// A new chunk of address space for blocks, aligned to the block size.
bool reserve_chunk() {
  const std::uint64_t size = kChunkBlocks * kThreadBlockSize + kThreadBlockSize;
  const long mapped =
      host_call(SYS_mmap, 0, static_cast<long>(size), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (is_error(mapped)) return false;
  const auto begin = static_cast<std::uint64_t>(mapped);
  const std::uint64_t aligned = (begin + kThreadBlockSize - 1) & ~(std::uint64_t{kThreadBlockSize} - 1);
  if (aligned > begin) host_call(SYS_munmap, mapped, static_cast<long>(aligned - begin));
  const std::uint64_t end = aligned + kChunkBlocks * kThreadBlockSize;
  if (begin + size > end) host_call(SYS_munmap, static_cast<long>(end), static_cast<long>(begin + size - end));
  protect_range(aligned, end - aligned);
  g_chunk_next = aligned;
  g_chunk_end = end;
  return true;
}

Thread* make_block() {
  if (g_chunk_next == g_chunk_end && !reserve_chunk()) return nullptr;
  const std::uint64_t block = g_chunk_next;
  if (is_error(host_call(SYS_mprotect, static_cast<long>(block + kGuardSize),
                         static_cast<long>(kThreadBlockSize - kGuardSize), PROT_READ | PROT_WRITE))) {
    return nullptr;
  }
  g_chunk_next += kThreadBlockSize;
  auto* thread = reinterpret_cast<Thread*>(block + kThreadRecordOffset);
  thread->next = g_registry;
  g_registry = thread;
  return thread;
}

}  // namespace

Thread* thread_allocate() {
  const LockGuard guard(g_threads_lock);
  Thread* thread = g_registry;
  while (thread != nullptr && __atomic_load_n(&thread->state, __ATOMIC_ACQUIRE) != kThreadFree) {
    thread = thread->next;
  }
  if (thread == nullptr) thread = make_block();
  if (thread == nullptr) return nullptr;
  Thread* const next = thread->next;
  RequestMemory* const request_memory = thread->request_memory;
  *thread = Thread{};
  thread->next = next;
  thread->request_memory = request_memory;
  thread->gs_cookie = g_process.gs_cookie;
  thread->regs_end = reinterpret_cast<std::uint64_t>(&thread->regs) + sizeof(Regs);
  thread->altstack_flags = 2;  // SS_DISABLE
  __atomic_store_n(&thread->state, kThreadLive, __ATOMIC_RELEASE);
  return thread;
}

void thread_release(Thread* thread) { __atomic_store_n(&thread->state, kThreadFree, __ATOMIC_RELEASE); }

void threads_after_fork(Thread* self) {
  g_threads_lock.reset();
  g_ranges_lock.reset();
  g_thread_count = 1;
  for (Thread* thread = g_registry; thread != nullptr; thread = thread->next) {
    if (thread != self) thread->state = kThreadFree;
  }
}

std::uint32_t process_thread_count() { return g_thread_count.load(std::memory_order_acquire); }
void process_thread_count_add(int delta) { g_thread_count.fetch_add(static_cast<std::uint32_t>(delta)); }

void protect_range(std::uint64_t start, std::uint64_t size) {
  const LockGuard guard(g_ranges_lock);
  const std::size_t index = g_range_count.load(std::memory_order_relaxed);
  if (index > 0 && g_ranges[index - 1].end == start) {
    g_ranges[index - 1].end = start + size;
    return;
  }
  if (index == kRangeCapacity) return;
  g_ranges[index] = {start, start + size};
  g_range_count.store(index + 1, std::memory_order_release);
}

bool touches_runtime(std::uint64_t start, std::uint64_t size) {
  const std::uint64_t end = start + size;
  if (end < start) return false;  // the kernel refuses it
  const std::size_t count = g_range_count.load(std::memory_order_acquire);
  for (std::size_t i = 0; i < count; ++i) {
    if (start < g_ranges[i].end && g_ranges[i].begin < end) return true;
  }
  return false;
}

}  // namespace casemate::runtime
