#include "keeper/server.h"

#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <span>
#include <thread>
#include <utility>

#include "protocol/shield.h"

namespace casemate::keeper {
namespace {

constexpr std::size_t kMostChannels = 16384;
constexpr std::size_t kStackSize = 512 * 1024;

// How long a thread looks for the next request before it sleeps: as long as programs take from one answer to the next
// request when they ask much. Sleeping and waking cost more than that.
constexpr std::chrono::microseconds kLooking{100};
constexpr int kMostConfidence = 8;
// A look takes a microsecond. After a longer one somebody else had the processor: it is wanted, and who uses it up
// while he looks gets it later when he has work to do.
constexpr std::chrono::microseconds kTakenAway{40};
constexpr int kRest = 200;

// Whether looking pays off on one channel: requests came soon after the last answers.
class Looking {
 public:
  // The next request, or nullopt when the channel is closed.
  std::optional<std::size_t> receive(int channel, std::span<std::byte> out) {
    const auto start = std::chrono::steady_clock::now();
    const bool is_worth_it = confidence_ > 0 && rest_ == 0;
    if (rest_ > 0) --rest_;
    const auto looked = is_worth_it ? look(channel, out, start) : std::nullopt;
    if (looked) return looked;
    const auto received = receive_message(channel, out);
    note(std::chrono::steady_clock::now() - start < 3 * kLooking / 2);  // it took a while to wake up
    return received;
  }

 private:
  // As many as leave the program a processor look at the same time.
  static std::atomic<int>& places() {
    static std::atomic<int> free{static_cast<int>(std::thread::hardware_concurrency()) - 1};
    return free;
  }

  std::optional<std::size_t> look(int channel, std::span<std::byte> out, std::chrono::steady_clock::time_point start) {
    std::optional<std::size_t> found;
    if (places().fetch_sub(1, std::memory_order_relaxed) > 0) {
      auto last = start, now = start;
      while (!found && now - start < kLooking && now - last < kTakenAway) {
        found = find_message(channel, out);
        if (!found) __builtin_ia32_pause();
        last = std::exchange(now, std::chrono::steady_clock::now());
      }
      if (found) note(true);
      if (now - last >= kTakenAway) rest_ = kRest;
    }
    places().fetch_add(1, std::memory_order_relaxed);
    return found;
  }

  void note(bool was_soon) { confidence_ = was_soon ? std::min(confidence_ + 1, kMostConfidence) : confidence_ / 2; }

  int confidence_ = 0;
  int rest_ = 0;  // so many requests are waited for without looking
};

struct Start {
  Server* server;
  int channel;
  void (Server::*serve)(int);
};

void* run_thread(void* argument) {
  const std::unique_ptr<Start> start(static_cast<Start*>(argument));
  (start->server->*start->serve)(start->channel);
  return nullptr;
}

// The channel in a hello message; not open when the message carries none or something else. `gone`: no members left.
UniqueFd receive_channel(int hello, bool* gone) {
  char byte = 0;
  iovec part = {&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 8)];
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  const ssize_t got = recvmsg(hello, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  *gone = got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
  UniqueFd channel;
  if (got < 0) return channel;
  for (cmsghdr* item = CMSG_FIRSTHDR(&message); item != nullptr; item = CMSG_NXTHDR(&message, item)) {
    if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(item) + i * sizeof(int), sizeof(fd));
      UniqueFd received(fd);
      if (!channel.is_open()) channel = std::move(received);
    }
  }
  int type = 0;
  socklen_t size = sizeof(type);
  const bool is_channel =
      channel.is_open() && getsockopt(channel.get(), SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
  return is_channel ? std::move(channel) : UniqueFd();
}

}  // namespace

Server::~Server() { close_all(); }

void Server::run() {
  for (;;) {
    pollfd wait = {hello_.get(), POLLIN, 0};
    if (poll(&wait, 1, -1) < 0) {
      if (errno == EINTR) continue;
      break;
    }
    if (!take_channel()) break;
  }
  close_all();
}

bool Server::take_channel() {
  bool gone = false;
  UniqueFd channel = receive_channel(hello_.get(), &gone);
  if (channel.is_open()) start_channel(std::move(channel));
  return !gone;
}

void Server::start_channel(UniqueFd channel) {
  const int fd = channel.get();
  {
    const std::lock_guard lock(mutex_);
    if (channels_.size() >= kMostChannels) return;
    channels_.insert(channel.release());
  }
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, kStackSize);
  auto start = std::make_unique<Start>(Start{this, fd, &Server::serve});
  pthread_t thread;
  const int code = pthread_create(&thread, &attributes, run_thread, start.get());
  pthread_attr_destroy(&attributes);
  if (code == 0) {
    (void)start.release();  // the thread's now
  } else {
    end_channel(fd);
  }
}

void Server::serve(int channel) {
  // Not initialised: of a channel's buffers only what its messages need becomes memory.
  const auto in_bytes = std::make_unique_for_overwrite<std::byte[]>(protocol::kMessageCapacity);
  const auto out_bytes = std::make_unique_for_overwrite<std::byte[]>(protocol::kMessageCapacity);
  const std::span in(in_bytes.get(), protocol::kMessageCapacity), out(out_bytes.get(), protocol::kMessageCapacity);
  ParsedRequest request;
  Looking looking;
  while (const auto size = looking.receive(channel, in)) {
    Answer answer;
    try {
      answer = parse_request(in.first(*size), &request) ? service_.answer(request) : Answer::failure(EINVAL);
    } catch (const std::bad_alloc&) {
      answer = Answer::failure(ENOMEM);
    }
    std::size_t reply_size = encode_answer(answer, out);
    if (reply_size == 0) {
      answer = Answer::failure(EMSGSIZE);
      reply_size = encode_answer(answer, out);
    }
    if (!send_answer(channel, out.first(reply_size), answer)) break;
  }
  end_channel(channel);
}

void Server::end_channel(int channel) {
  const std::lock_guard lock(mutex_);
  channels_.erase(channel);
  UniqueFd closing(channel);
  if (channels_.empty()) all_ended_.notify_all();
}

void Server::close_all() {
  std::unique_lock lock(mutex_);
  for (const int channel : channels_) shutdown(channel, SHUT_RDWR);
  all_ended_.wait(lock, [this] { return channels_.empty(); });
}

}  // namespace casemate::keeper
