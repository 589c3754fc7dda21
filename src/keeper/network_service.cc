#include "keeper/network_service.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "keeper/handshakes.h"
#include "keeper/network_arena.h"
#include "netshield/tcp_socket.h"

namespace casemate::keeper {
namespace {

using netshield::Message;
using netshield::MessageKind;
using netshield::SlotState;
using Clock = std::chrono::steady_clock;

// How long a closed connection's last bytes may take; a dead program's kernel buffers would go on without end.
constexpr std::chrono::seconds kGoodbyeLimit{30};
constexpr std::size_t kMostLinesAtOnce = 50;
constexpr std::chrono::seconds kLinesPeriod{10};

struct Received {
  Message message;
  UniqueFd socket;
  pid_t sender;
};

// Nothing: no message. `gone`: no members are left.
std::optional<Received> receive(int socket, bool& gone) {
  Received received{};
  iovec part = {&received.message, sizeof(received.message)};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 4) + CMSG_SPACE(sizeof(ucred))];
  msghdr header = {};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  const ssize_t got = recvmsg(socket, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  gone = got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
  if (got < 0) return std::nullopt;
  for (cmsghdr* item = CMSG_FIRSTHDR(&header); item != nullptr; item = CMSG_NXTHDR(&header, item)) {
    if (item->cmsg_level != SOL_SOCKET) continue;
    if (item->cmsg_type == SCM_CREDENTIALS) {
      ucred sender;
      std::memcpy(&sender, CMSG_DATA(item), sizeof(sender));
      received.sender = sender.pid;
    }
    for (std::size_t at = CMSG_LEN(0); item->cmsg_type == SCM_RIGHTS && at + sizeof(int) <= item->cmsg_len;
         at += sizeof(int)) {
      int fd = -1;
      std::memcpy(&fd, reinterpret_cast<const char*>(item) + at, sizeof(fd));
      received.socket.reset(fd);
    }
  }
  if (got != static_cast<ssize_t>(sizeof(Message))) return std::nullopt;
  return received;
}

std::string peer_of(int socket) {
  sockaddr_storage address = {};
  socklen_t size = sizeof(address);
  if (getpeername(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) return "";
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(address);
    inet_ntop(AF_INET, &in.sin_addr, text, sizeof(text));
    return std::string(text) + ":" + std::to_string(ntohs(in.sin_port));
  }
  const auto& in = reinterpret_cast<const sockaddr_in6&>(address);
  inet_ntop(AF_INET6, &in.sin6_addr, text, sizeof(text));
  return "[" + std::string(text) + "]:" + std::to_string(ntohs(in.sin6_port));
}

// Under which name a client looks for its server: that of the rule's destination.
std::string server_name_of(const policy::NetworkRule& rule) {
  const std::size_t colon = rule.endpoint.rfind(':');
  if (!rule.endpoint.starts_with("TCP:") || colon <= 4) return "";
  const std::string host = rule.endpoint.substr(4, colon - 4);
  return host == "*" ? "" : host;
}

struct Process {
  UniqueFd descriptor;
  std::uint32_t member, generation;
};

// Each process takes a descriptor, each handshake another one.
void raise_descriptor_limit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  static_cast<void>(setrlimit(RLIMIT_NOFILE, &limit));
}

// What goes out without the program.
struct Farewell {
  UniqueFd socket;
  crypto::Bytes bytes;  // behind the last close
  std::uint32_t slot = 0, generation = 0;
  bool is_last = false;
  Clock::time_point deadline;
};

}  // namespace

class NetworkService::Loop {
 public:
  Loop(const NetworkSettings& settings, UniqueFd socket, Warn warn)
      : rules_(settings.rules), socket_(std::move(socket)), warn_(std::move(warn)) {}
  ~Loop() {
    const std::uint64_t one = 1;
    if (wake_.is_open()) static_cast<void>(!write(wake_.get(), &one, sizeof(one)));
    if (thread_.joinable()) thread_.join();
    handshakes_.reset();  // before the arena that its connections lie in
  }

  Result<void> open(const NetworkSettings& settings, UniqueFd arena) {
    raise_descriptor_limit();
    for (const auto& wanted : settings.endpoints) {
      endpoints_.emplace_back();
      if (!wanted.has_value()) continue;
      auto made = crypto::TlsEndpoint::make(*wanted);
      if (!made.has_value()) {
        return made.error().with_context("rule `" + rules_.network.rules[endpoints_.size() - 1].name + "`");
      }
      endpoints_.back() = std::move(made).value();
    }
    handshakes_ = CASEMATE_TRY(Handshakes::create());
    arena_ = CASEMATE_TRY(NetworkArena::create(std::move(arena), settings.rules));
    const int on = 1;
    epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
    wake_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (setsockopt(socket_.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) != 0 || !watch(socket_.get(), EPOLLIN) ||
        !watch(wake_.get(), EPOLLIN)) {
      return Error::from_errno("cannot prepare the network shield", errno);
    }
    thread_ = std::thread([this] { run(); });
    return {};
  }

  void wait() {
    if (thread_.joinable()) thread_.join();
  }

 private:
  bool watch(int fd, std::uint32_t events) {
    epoll_event event = {events, {}};
    event.data.fd = fd;
    return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
  }

  void run() {
    std::array<epoll_event, 64> events{};
    bool gone = false;
    while (!gone) {
      const int count =
          epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), farewells_.empty() ? -1 : 1000);
      for (int i = 0; i < count; ++i) {
        const int fd = events[static_cast<std::size_t>(i)].data.fd;
        if (fd == wake_.get()) return;
        if (fd == socket_.get()) {
          take_messages(gone);
        } else if (const auto member = members_.find(fd); member != members_.end()) {
          end_member(member);
        } else {
          go_on(fd);
        }
      }
      end_late_ones();
    }
    say_last_goodbyes();
  }

  void take_messages(bool& gone) {
    for (unsigned i = 0; i < 64 && !gone; ++i) {
      std::optional<Received> received = receive(socket_.get(), gone);
      if (!received.has_value()) return;
      switch (received->message.kind) {
        case MessageKind::kJoin:
          join(*received);
          break;
        case MessageKind::kShake:
          shake(*received);
          break;
        case MessageKind::kSendRest:
        case MessageKind::kSendAndEnd:
          take_farewell(*received);
          break;
      }
    }
  }

  void join(const Received& received) {
    const std::uint32_t member = received.message.index;
    if (member >= netshield::kMemberCount) return;
    UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, received.sender, 0)));
    if (!process.is_open()) {
      if (errno == ESRCH) arena_->end_member(member, received.message.generation);
      return;
    }
    const int fd = process.get();
    const bool is_watched = watch(fd, EPOLLIN);
    if (is_watched) members_.emplace(fd, Process{std::move(process), member, received.message.generation});
  }

  void end_member(std::map<int, Process>::iterator process) {
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, process->first, nullptr);
    arena_->end_member(process->second.member, process->second.generation);
    members_.erase(process);
  }

  // The slot of a message, if it makes sense.
  netshield::Slot* slot_of(const Message& message, SlotState state) {
    if (message.index >= netshield::kSlotCount) return nullptr;
    netshield::Slot& slot = arena_->arena().slots[message.index];
    return slot.generation.load() == message.generation && slot.state.load() == state ? &slot : nullptr;
  }

  void shake(Received& received) {
    const std::uint32_t index = received.message.index;
    if (index < netshield::kSlotCount && arena_->arena().slots[index].state.load() == SlotState::kOrphaned) {
      arena_->settle(index, SlotState::kFailed);
      return;
    }
    netshield::Slot* const slot = slot_of(received.message, SlotState::kShaking);
    const std::uint32_t rule = slot == nullptr ? netshield::kMostRules : slot->rule;
    if (!received.socket.is_open() || rule >= endpoints_.size() || !endpoints_[rule].has_value()) return;
    const bool is_server = rules_.network.rules[rule].side == policy::RuleSide::kServer;
    std::string peer = peer_of(received.socket.get());
    const auto settle = [this, index, rule, is_server, peer = std::move(peer)](Result<HandshakeReport> done) {
      if (done.has_value()) {
        arena_->open(index, std::move(done.value().socket));
      } else {
        fail(index, rule, is_server, peer, done.error());
      }
    };
    handshakes_->start({.socket = std::move(received.socket),
                        .endpoint = *endpoints_[rule],
                        .side = is_server ? crypto::TlsSide::kServer : crypto::TlsSide::kClient,
                        .server_name = is_server ? "" : server_name_of(rules_.network.rules[rule]),
                        .stream = &slot->stream,
                        .done = settle});
  }

  void fail(std::uint32_t index, std::uint32_t rule, bool is_server, const std::string& peer, const Error& error) {
    const bool is_network = error.category() == ErrorCategory::kSystem && error.system_code() > 0;
    arena_->arena().slots[index].error.store(is_network ? error.system_code() : is_server ? ECONNRESET : ECONNREFUSED);
    arena_->settle(index, SlotState::kFailed);
    const policy::NetworkRule& named = rules_.network.rules[rule];
    std::string line = "net: rule `" + named.name + "`: ";
    line += is_server ? "connection from " + peer : "connection to " + (peer.empty() ? named.endpoint : peer);
    say(line + " given up: " + error.message());
  }

  // Peers could fill the log.
  void say(const std::string& line) {
    const std::lock_guard guard(lines_mutex_);
    const Clock::time_point now = Clock::now();
    if (now - lines_since_ > kLinesPeriod) {
      if (lines_ > kMostLinesAtOnce) {
        warn_("net: " + std::to_string(lines_ - kMostLinesAtOnce) + " more connections were given up");
      }
      lines_since_ = now;
      lines_ = 0;
    }
    if (++lines_ <= kMostLinesAtOnce) warn_(line);
  }

  void take_farewell(Received& received) {
    netshield::Slot* const slot = slot_of(received.message, SlotState::kOpen);
    if (slot == nullptr || !received.socket.is_open()) return;
    Farewell farewell;
    farewell.slot = received.message.index;
    farewell.generation = received.message.generation;
    farewell.is_last = received.message.kind == MessageKind::kSendAndEnd;
    farewell.deadline = Clock::now() + kGoodbyeLimit;
    if (farewell.is_last) {
      const std::uint32_t begin = slot->stream.out_begin, end = slot->stream.out_end;
      if (begin < end && end <= sizeof(slot->stream.out)) {
        const auto* const bytes = reinterpret_cast<const std::byte*>(slot->stream.out);
        farewell.bytes.assign(bytes + begin, bytes + end);
      }
      netshield::free_slot(arena_->arena(), farewell.slot);
    }
    const int fd = received.socket.get();
    farewell.socket = std::move(received.socket);
    if (watch(fd, EPOLLOUT)) farewells_.emplace(fd, std::move(farewell));
  }

  void go_on(int fd) {
    const auto found = farewells_.find(fd);
    if (found == farewells_.end()) return;
    Farewell& farewell = found->second;
    const auto send = [fd](const std::uint8_t* bytes, std::size_t size) -> std::size_t {
      const long sent = netshield::kTcpSocket.send(fd, bytes, size);
      return sent == -EAGAIN ? 0 : sent < 0 ? size : static_cast<std::size_t>(sent);
    };
    bool is_done = true;
    if (farewell.is_last) {
      const std::size_t sent =
          send(reinterpret_cast<const std::uint8_t*>(farewell.bytes.data()), farewell.bytes.size());
      farewell.bytes.erase(farewell.bytes.begin(), farewell.bytes.begin() + static_cast<std::ptrdiff_t>(sent));
      is_done = farewell.bytes.empty();
    } else {
      is_done = arena_->send_rest(farewell.slot, farewell.generation, send);
    }
    if (is_done) forget(found);
  }

  void forget(std::map<int, Farewell>::iterator farewell) {
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, farewell->first, nullptr);
    farewells_.erase(farewell);
  }

  void end_late_ones() {
    const Clock::time_point now = Clock::now();
    for (auto at = farewells_.begin(); at != farewells_.end();) {
      const auto next = std::next(at);
      if (at->second.deadline <= now) give_up(at);
      at = next;
    }
  }

  // What is left of a live connection's record is its program's again.
  void give_up(std::map<int, Farewell>::iterator farewell) {
    if (!farewell->second.is_last) {
      arena_->arena().slots[farewell->second.slot].flags.fetch_and(~netshield::kRestHanded);
    }
    forget(farewell);
  }

  // The application has ended; what it closed before still goes out.
  void say_last_goodbyes() {
    std::array<epoll_event, 64> events{};
    while (!farewells_.empty()) {
      const int count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 1000);
      for (int i = 0; i < count; ++i) {
        const int fd = events[static_cast<std::size_t>(i)].data.fd;
        if (fd == wake_.get()) return;
        go_on(fd);
        if (fd == socket_.get()) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
      }
      end_late_ones();
    }
  }

  const policy::NetworkRules rules_;
  UniqueFd socket_, epoll_, wake_;
  const Warn warn_;
  std::vector<std::optional<crypto::TlsEndpoint>> endpoints_;  // by rule
  std::unique_ptr<NetworkArena> arena_;
  std::unique_ptr<Handshakes> handshakes_;
  std::map<int, Process> members_;     // by the descriptor of the process
  std::map<int, Farewell> farewells_;  // by the socket's
  std::mutex lines_mutex_;             // guards what follows
  std::size_t lines_ = 0;
  Clock::time_point lines_since_;
  std::thread thread_;
};

NetworkService::NetworkService(std::unique_ptr<Loop> loop) : loop_(std::move(loop)) {}
NetworkService::~NetworkService() = default;

Result<std::unique_ptr<NetworkService>> NetworkService::start(const NetworkSettings& settings, UniqueFd arena,
                                                              UniqueFd socket, Warn warn) {
  auto loop = std::make_unique<Loop>(settings, std::move(socket), std::move(warn));
  if (auto opened = loop->open(settings, std::move(arena)); !opened) return opened.error();
  return std::unique_ptr<NetworkService>(new NetworkService(std::move(loop)));
}

void NetworkService::wait() { loop_->wait(); }

}  // namespace casemate::keeper
