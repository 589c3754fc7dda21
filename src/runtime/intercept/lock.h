// A futex lock for short sections of core code. Sections never block in the kernel and are never left by a signal
// (program signals are only recorded while in the runtime), so contention is brief. Never taken in a signal handler.
// A holder that dies inside (SIGKILL of one vfork child that shares memory) is noticed by its tid and robbed.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>

#include <atomic>
#include <cstdint>

#include "runtime/engine/process/host_call.h"

namespace casemate::runtime {

class Lock {
 public:
  void acquire() {
    const auto self = static_cast<std::uint32_t>(host_call(SYS_gettid));
    acquire_as(self);
  }
  void release() {
    if (word_.exchange(0, std::memory_order_release) & kWaiters) {
      host_call(SYS_futex, reinterpret_cast<long>(&word_), FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1);
    }
  }
  // In the child of fork, where the holder may be a thread that no longer exists.
  void reset() { word_.store(0, std::memory_order_relaxed); }

 private:
  static constexpr std::uint32_t kWaiters = 0x80000000;

  void acquire_as(std::uint32_t self) {
    for (;;) {
      std::uint32_t seen = 0;
      if (word_.compare_exchange_strong(seen, self, std::memory_order_acquire)) return;
      const std::uint32_t owner = seen & ~kWaiters;
      if (!(seen & kWaiters) && !word_.compare_exchange_strong(seen, seen | kWaiters)) continue;
      struct {
        long seconds, nanoseconds;
      } limit{1, 0};
      const long waited = host_call(SYS_futex, reinterpret_cast<long>(&word_), FUTEX_WAIT | FUTEX_PRIVATE_FLAG,
                                    static_cast<long>(owner | kWaiters), reinterpret_cast<long>(&limit));
      if (waited == -110 && host_call(SYS_tkill, owner, 0) == -3) {  // ETIMEDOUT, ESRCH
        std::uint32_t dead = owner | kWaiters;
        if (word_.compare_exchange_strong(dead, self | kWaiters, std::memory_order_acquire)) return;
      }
      // Whoever woke must assume that others still wait.
      std::uint32_t free = 0;
      if (word_.compare_exchange_strong(free, self | kWaiters, std::memory_order_acquire)) return;
    }
  }

  std::atomic<std::uint32_t> word_{0};
};

class [[nodiscard]] LockGuard {
 public:
  explicit LockGuard(Lock& lock) : lock_(lock) { lock_.acquire(); }
  ~LockGuard() { lock_.release(); }
  LockGuard(const LockGuard&) = delete;
  LockGuard& operator=(const LockGuard&) = delete;

 private:
  Lock& lock_;
};

}  // namespace casemate::runtime
