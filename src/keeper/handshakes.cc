#include "keeper/handshakes.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "netshield/record/cipher_kernels.h"
#include "netshield/tcp_socket.h"
#include "netshield/traffic_secrets.h"

namespace casemate::keeper {
namespace {

using Clock = std::chrono::steady_clock;
using crypto::Bytes;
using crypto::ByteView;
using crypto::TlsHandshake;
using netshield::kTcpSocket;

constexpr std::size_t kHeaderSize = netshield::kHeaderSize;

Error broken(const char* what, long result) {
  return Error::from_errno(std::string("TLS handshake: ") + what, static_cast<int>(-result));
}

// How far one handshake has come.
enum class Phase { kShaking, kSendingLast };

class Job {
 public:
  Job(HandshakeRequest request, TlsHandshake handshake)
      : request_(std::move(request)), handshake_(std::move(handshake)), deadline_(Clock::now() + request_.time_limit) {}

  int descriptor() const { return request_.socket.get(); }
  Clock::time_point deadline() const { return deadline_; }
  // What the socket must be able to do before step() makes sense.
  std::uint32_t awaited_events() const { return unsent_.empty() ? EPOLLIN : EPOLLOUT; }

  // As far as it goes without waiting. True: complete.
  Result<bool> step() {
    for (;;) {
      if (!CASEMATE_TRY(send_unsent())) return false;
      if (phase_ == Phase::kSendingLast) return true;
      if (begins_) {
        begins_ = false;
        if (auto advanced = advance({}); !advanced) return advanced.error();
        continue;
      }
      const std::optional<Bytes> record = CASEMATE_TRY(next_record());
      if (!record) return false;
      if (auto advanced = advance(*record); !advanced) return advanced.error();
    }
  }

  void succeed() {
    crypto::TlsOutcome outcome = handshake_.take_outcome();
    if (!outcome.leftover.empty()) {  // whole records were taken, one by one
      fail(Error(ErrorCategory::kSystem, "TLS handshake: bytes are left over", EPROTO));
      return;
    }
    netshield::TrafficSecrets secrets = netshield::traffic_secrets_of(outcome, request_.side);
    const long opened =
        netshield::open_stream({*request_.stream, netshield::kKernelCipher, kTcpSocket, descriptor()}, secrets);
    netshield::wipe_bytes(&secrets, sizeof(secrets));
    if (opened != 0) {
      fail(broken("cannot set the low-water mark", opened));
      return;
    }
    HandshakeReport report{std::move(outcome.peer), std::move(outcome.protocol), std::move(outcome.server_name),
                           outcome.is_resumed, std::move(request_.socket)};
    request_.done(std::move(report));
  }

  void fail(const Error& error) {
    crypto::append(unsent_, handshake_.take_output());  // the alert
    if (!unsent_.empty()) static_cast<void>(send_now());
    shutdown(descriptor(), SHUT_RDWR);
    request_.socket.reset();
    request_.done(error);
  }

 private:
  // True: nothing is left to send.
  Result<bool> send_unsent() {
    while (!unsent_.empty()) {
      const long sent = send_now();
      if (sent == -EAGAIN) return false;
      if (sent < 0) return broken("cannot send", sent);
      unsent_.erase(unsent_.begin(), unsent_.begin() + sent);
    }
    return true;
  }
  long send_now() const {
    return kTcpSocket.send(descriptor(), reinterpret_cast<const std::uint8_t*>(unsent_.data()), unsent_.size());
  }

  Result<void> advance(ByteView input) {
    const auto progress = handshake_.advance(input);
    if (!progress.has_value()) return progress.error();
    crypto::append(unsent_, handshake_.take_output());
    if (progress.value() == TlsHandshake::Progress::kComplete) phase_ = Phase::kSendingLast;
    return {};
  }

  // The next whole record, never a byte more: what is behind the last one must stay in the kernel. Nothing: wait.
  Result<std::optional<Bytes>> next_record() {
    for (;;) {
      const std::size_t needed = needed_size();
      if (record_.size() == needed) return std::optional<Bytes>(std::exchange(record_, {}));
      const std::size_t before = record_.size();
      record_.resize(needed);
      const ssize_t got = recv(descriptor(), record_.data() + before, needed - before, MSG_DONTWAIT);
      const int code = errno;
      record_.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
      if (got == 0) return Error(ErrorCategory::kFormat, "TLS handshake: the peer ends the connection");
      if (got < 0 && (code == EAGAIN || code == EINTR)) return std::optional<Bytes>();
      if (got < 0) return broken("cannot receive", -code);
    }
  }
  // Of the record under way. What is none, or too large, is for the handshake to judge by its first bytes.
  std::size_t needed_size() const {
    if (record_.empty()) return kHeaderSize;
    const auto type = std::to_integer<std::uint8_t>(record_[0]);
    if (type < 20 || type > 23) return record_.size();
    if (record_.size() < kHeaderSize) return kHeaderSize;
    const std::size_t body_size =
        std::to_integer<std::size_t>(record_[3]) << 8 | std::to_integer<std::size_t>(record_[4]);
    return body_size > netshield::kLargestRecord ? record_.size() : kHeaderSize + body_size;
  }

  HandshakeRequest request_;
  TlsHandshake handshake_;
  Clock::time_point deadline_;
  Phase phase_ = Phase::kShaking;
  bool begins_ = request_.side == crypto::TlsSide::kClient;
  Bytes unsent_, record_;
};

}  // namespace

class Handshakes::Loop {
 public:
  explicit Loop(std::size_t most) : most_(most) {}
  ~Loop() {
    {
      const std::lock_guard lock(mutex_);
      is_stopping_ = true;
    }
    wake();
    if (thread_.joinable()) thread_.join();
  }

  Result<void> open() {
    epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
    wake_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    epoll_event event = {EPOLLIN, {}};
    event.data.fd = wake_.get();
    if (!epoll_.is_open() || !wake_.is_open() || epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) != 0) {
      return Error::from_errno("cannot prepare for TLS handshakes", errno);
    }
    thread_ = std::thread([this] { run(); });
    return {};
  }

  void add(HandshakeRequest request) {
    if (has_room()) {
      {
        const std::lock_guard lock(mutex_);
        added_.push_back(std::move(request));
      }
      wake();
      return;
    }
    shutdown(request.socket.get(), SHUT_RDWR);
    request.socket.reset();
    request.done(Error(ErrorCategory::kExhausted, "TLS handshake: too many are under way", EAGAIN));
  }

 private:
  bool has_room() {
    const std::lock_guard lock(mutex_);
    if (count_ >= most_) return false;
    ++count_;
    return true;
  }

  void wake() const {
    const std::uint64_t one = 1;
    static_cast<void>(!write(wake_.get(), &one, sizeof(one)));
  }

  void run() {
    std::array<epoll_event, 64> events{};
    while (take_added()) {
      const int count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), milliseconds_left());
      for (int i = 0; i < count; ++i) {
        const int fd = events[static_cast<std::size_t>(i)].data.fd;
        if (fd == wake_.get()) {
          std::uint64_t ignored = 0;
          static_cast<void>(!read(wake_.get(), &ignored, sizeof(ignored)));
        } else {
          go_on(fd);
        }
      }
      end_late_ones();
    }
    while (!jobs_.empty())
      end(jobs_.begin()->first, Error(ErrorCategory::kSystem, "TLS handshake: stopped", ECANCELED));
  }

  // False: the loop is to end.
  bool take_added() {
    std::vector<HandshakeRequest> added;
    {
      const std::lock_guard lock(mutex_);
      added.swap(added_);
    }
    for (HandshakeRequest& request : added) begin(std::move(request));
    const std::lock_guard lock(mutex_);
    return !is_stopping_ || !added_.empty();
  }

  void begin(HandshakeRequest request) {
    auto handshake = TlsHandshake::start(request.endpoint, request.server_name);
    const int fd = request.socket.get();
    epoll_event event = {EPOLLIN | EPOLLOUT, {}};
    event.data.fd = fd;
    if (!handshake.has_value() || epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
      const Error error = handshake.has_value() ? broken("epoll", -errno) : handshake.error();
      shutdown(fd, SHUT_RDWR);
      request.socket.reset();
      count_down();
      request.done(error);
      return;
    }
    jobs_.emplace(fd, std::make_unique<Job>(std::move(request), std::move(handshake).value()));
    go_on(fd);
  }

  void go_on(int fd) {
    const auto found = jobs_.find(fd);
    if (found == jobs_.end()) return;
    const Result<bool> is_complete = found->second->step();
    if (!is_complete.has_value()) {
      end(fd, is_complete.error());
    } else if (is_complete.value()) {
      end(fd, std::nullopt);
    } else {
      epoll_event event = {found->second->awaited_events(), {}};
      event.data.fd = fd;
      if (epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) != 0) end(fd, broken("epoll", -errno));
    }
  }

  void end(int fd, const std::optional<Error>& error) {
    const std::unique_ptr<Job> job = std::move(jobs_.extract(fd).mapped());
    // The descriptor may have copies elsewhere, so closing ours would not remove it.
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
    count_down();
    if (error.has_value()) {
      job->fail(*error);
    } else {
      job->succeed();
    }
  }

  void count_down() {
    const std::lock_guard lock(mutex_);
    --count_;
  }

  int milliseconds_left() const {
    if (jobs_.empty()) return -1;
    Clock::time_point first = Clock::time_point::max();
    for (const auto& [fd, job] : jobs_) first = std::min(first, job->deadline());
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(first - Clock::now()).count();
    return static_cast<int>(std::clamp<long>(left, 0, 60'000));
  }

  void end_late_ones() {
    std::vector<int> late;
    const Clock::time_point now = Clock::now();
    for (const auto& [fd, job] : jobs_) {
      if (job->deadline() <= now) late.push_back(fd);
    }
    for (const int fd : late) end(fd, Error(ErrorCategory::kFormat, "TLS handshake: the peer is too slow", ETIMEDOUT));
  }

  const std::size_t most_;
  UniqueFd epoll_, wake_;
  std::map<int, std::unique_ptr<Job>> jobs_;  // the thread's own
  std::mutex mutex_;                          // guards what follows
  std::vector<HandshakeRequest> added_;
  std::size_t count_ = 0;
  bool is_stopping_ = false;
  std::thread thread_;
};

Handshakes::Handshakes(std::unique_ptr<Loop> loop) : loop_(std::move(loop)) {}
Handshakes::~Handshakes() = default;

Result<std::unique_ptr<Handshakes>> Handshakes::create(std::size_t most_at_once) {
  if (!netshield::kernels_are_supported()) {
    return Error(ErrorCategory::kSystem, "the network shield needs a processor with AES instructions", ENOTSUP);
  }
  auto loop = std::make_unique<Loop>(most_at_once);
  if (auto opened = loop->open(); !opened) return opened.error();
  return std::unique_ptr<Handshakes>(new Handshakes(std::move(loop)));
}

void Handshakes::start(HandshakeRequest request) { loop_->add(std::move(request)); }

}  // namespace casemate::keeper
