#include "runtime/table/trace_line.h"

#include <linux/errno.h>
#include <linux/poll.h>
#include <sys/syscall.h>

#include "runtime/engine/process/host_call.h"

namespace casemate::runtime {
namespace {

constexpr std::size_t kSlotCount = 16;
constexpr int kAttemptsBeforeRobbing = 64;

constinit TraceSlot g_slots[kSlotCount];

// SIGKILL may end one task of several that share memory (a vfork child) while it holds a slot.
bool is_dead(std::int32_t tid) { return tid != 0 && host_call(SYS_tkill, tid, 0) == -ESRCH; }

TraceSlot* try_claim(std::int32_t tid, bool (*is_claimable)(std::int32_t owner)) {
  for (TraceSlot& slot : g_slots) {
    std::int32_t owner = slot.owner.load(std::memory_order_relaxed);
    if (is_claimable(owner) && slot.owner.compare_exchange_strong(owner, tid, std::memory_order_acquire)) return &slot;
  }
  return nullptr;
}

TraceSlot& claim(std::int32_t tid) {
  for (int attempt = 0;; attempt++) {
    if (TraceSlot* slot = try_claim(tid, [](std::int32_t owner) { return owner == 0; })) return *slot;
    if (attempt % kAttemptsBeforeRobbing == kAttemptsBeforeRobbing - 1) {
      if (TraceSlot* slot = try_claim(tid, &is_dead)) return *slot;
    }
    host_call(SYS_sched_yield);
  }
}

// A pipe whose readers are gone would answer write() with SIGPIPE, which the program would see; so ask first. Waits
// while a full non-blocking descriptor takes nothing.
bool can_write(std::int32_t fd) {
  for (;;) {
    pollfd entry{fd, POLLOUT, 0};
    const long ready = host_call(SYS_poll, reinterpret_cast<long>(&entry), 1, -1);
    if (ready == -EINTR) continue;
    return ready == 1 && (entry.revents & POLLOUT) != 0 && (entry.revents & (POLLERR | POLLNVAL)) == 0;
  }
}

}  // namespace

TraceLine::TraceLine(std::int32_t tid) : slot_(claim(tid)), out_(slot_.text, kTraceLineSize) {}

void TraceLine::write_to(std::int32_t fd) {
  const char* rest = out_.data();
  std::size_t size = out_.size();
  while (size != 0 && can_write(fd)) {
    const long written = host_call(SYS_write, fd, reinterpret_cast<long>(rest), static_cast<long>(size));
    if (written == -EINTR || written == -EAGAIN) continue;
    if (written <= 0) return;
    rest += written;
    size -= static_cast<std::size_t>(written);
  }
}

void trace_lines_reset() {
  for (TraceSlot& slot : g_slots) slot.owner.store(0, std::memory_order_relaxed);
}

}  // namespace casemate::runtime
