#include "cas/service/event_workers.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

namespace casemate::cas {
namespace {

// Stacks of the usual 8 MiB would be mapped and unmapped for every thread; the C library keeps small ones.
constexpr std::size_t kStackSize = 512 * 1024;
constexpr int kIdleMilliseconds = 5'000;
constexpr std::size_t kKeptIdle = 2;
constexpr std::uint64_t kStopId = ~std::uint64_t{0};

bool control(int epoll, int operation, int fd, std::uint64_t id, std::uint32_t events) {
  epoll_event event = {};
  event.events = events;
  event.data.u64 = id;
  return epoll_ctl(epoll, operation, fd, &event) == 0;
}

}  // namespace

Result<void> EventWorkers::start() {
  epoll_ = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
  stop_ = UniqueFd(eventfd(0, EFD_CLOEXEC));
  if (!epoll_.is_open() || !stop_.is_open() || !control(epoll_.get(), EPOLL_CTL_ADD, stop_.get(), kStopId, EPOLLIN)) {
    return Error::from_errno("cannot wait for events", errno);
  }
  const std::lock_guard lock(mutex_);
  if (!start_thread()) return Error::from_errno("cannot start a thread", errno);
  return {};
}

void EventWorkers::stop() {
  if (!stop_.is_open()) return;
  const std::uint64_t one = 1;
  static_cast<void>(!::write(stop_.get(), &one, sizeof(one)));
  std::unique_lock lock(mutex_);
  ended_.wait(lock, [this] { return threads_ == 0; });
}

bool EventWorkers::add(int fd, std::uint64_t id, std::uint32_t events) const {
  const bool repeats = (events & EPOLLET) != 0;
  return control(epoll_.get(), EPOLL_CTL_ADD, fd, id, repeats ? events : events | EPOLLONESHOT);
}

bool EventWorkers::arm(int fd, std::uint64_t id, std::uint32_t events) const {
  return control(epoll_.get(), EPOLL_CTL_MOD, fd, id, events | EPOLLONESHOT);
}

void EventWorkers::remove(int fd) const { control(epoll_.get(), EPOLL_CTL_DEL, fd, 0, 0); }

// With the lock held. The new thread counts as idle at once, so that one event starts one thread.
bool EventWorkers::start_thread() {
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return false;
  pthread_attr_setstacksize(&attributes, kStackSize);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread{};
  const auto run = [](void* workers) -> void* {
    static_cast<EventWorkers*>(workers)->work();
    return nullptr;
  };
  const int failure = pthread_create(&thread, &attributes, run, this);
  pthread_attr_destroy(&attributes);
  if (failure != 0) {
    errno = failure;
    return false;
  }
  ++threads_;
  ++idle_;
  return true;
}

void EventWorkers::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    lock.unlock();
    epoll_event event = {};
    const int count = epoll_wait(epoll_.get(), &event, 1, kIdleMilliseconds);
    lock.lock();
    if (count == 1 && event.data.u64 == kStopId) break;
    if (count == 0 && idle_ > kKeptIdle) break;
    if (count != 1) continue;
    --idle_;
    // Somebody must be there for the next event. When there is none, it waits until one of us is free.
    if (idle_ == 0 && threads_ < most_) static_cast<void>(start_thread());
    lock.unlock();
    handler_(event.data.u64, event.events);
    lock.lock();
    ++idle_;
  }
  --idle_;
  --threads_;
  ended_.notify_all();  // with the lock held: afterwards this object may be gone
}

}  // namespace casemate::cas
