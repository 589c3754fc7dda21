#include "keeper/provision/cas_link.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "keeper/provision/attester.h"
#include "protocol/provision_push.h"

namespace casemate::keeper {
namespace {

using crypto::Bytes;
using crypto::ByteView;

constexpr std::size_t kPacketLimit = 16 * 1024;  // names of volumes are short
constexpr int kPatienceSeconds = 90;             // the process has limits of its own, which are shorter

// What the process says first: positions, then one of the others. Between processes of one version.
// Later it passes on answers, and pushes in parts, of which the last is marked.
enum class Note : char {
  kPosition = 'p',
  kJoined = 'j',
  kRefused = 'r',
  kLater = 'l',
  kAnswer = 'a',
  kPart = 'm',
  kLastPart = 'e',
};
constexpr std::size_t kPartSize = 8 * 1024;

Error lost(const char* what) { return Error::from_errno(what, errno); }

Result<void> send_packet(int socket, ByteView packet) {
  const ssize_t sent = send(socket, packet.data(), packet.size(), MSG_NOSIGNAL);
  if (sent != static_cast<ssize_t>(packet.size())) return lost("the process of the connection is gone");
  return {};
}

Result<void> send_note(int socket, Note note, ByteView more) {
  Bytes packet = {static_cast<std::byte>(note)};
  crypto::append(packet, more);
  return send_packet(socket, packet);
}

Result<Bytes> receive_packet(int socket) {
  Bytes packet(kPacketLimit);
  const ssize_t size = recv(socket, packet.data(), packet.size(), 0);
  if (size == 0) errno = ECONNRESET;
  if (size <= 0) return lost("the process of the connection is gone");
  packet.resize(static_cast<std::size_t>(size));
  return packet;
}

bool is_readable(int fd) {
  pollfd state = {fd, POLLIN, 0};
  return poll(&state, 1, 0) > 0;
}

// What is plain between processes: the message as the CAS sent it, with the files where the sealed ones were.
Result<Push> read_plain(ByteView message) {
  Push push;
  if (auto revocation = protocol::decode_revocation(message); revocation) {
    push.revoked = std::move(revocation).value().reference;
    return push;
  }
  const protocol::FilesPush plain = CASEMATE_TRY(protocol::decode_files_push(message));
  push.generation = plain.generation;
  push.files = CASEMATE_TRY(protocol::decode_files(plain.sealed));
  return push;
}

// The end of the channel: opens pushes, and hands them on in plain form.
class Channel {
 public:
  Channel(std::unique_ptr<crypto::TlsChannel> channel, crypto::AgreementKey key)
      : channel_(std::move(channel)), key_(std::move(key)) {}

  int descriptor() const { return channel_->descriptor(); }
  bool has_message() const { return channel_->has_pending() || is_readable(channel_->descriptor()); }
  Result<void> write(ByteView message) { return write_frame(*channel_, message); }
  // One message: an answer (nothing is handed on), or a push.
  template <typename HandOn>
  Result<std::optional<Bytes>> read(const HandOn& hand_on) {
    Bytes message = CASEMATE_TRY(read_frame(*channel_, protocol::kProvisionMessageLimit));
    if (protocol::decode_tag_answer(message)) return std::optional(std::move(message));
    if (protocol::decode_revocation(message)) {
      if (auto handed = hand_on(message); !handed) return handed.error();
      return std::optional<Bytes>();
    }
    protocol::FilesPush push = CASEMATE_TRY(protocol::decode_files_push(message));
    push.sealed = CASEMATE_TRY(crypto::open_as_holder(
        key_, protocol::kPushPurpose, protocol::push_binding(key_.public_key(), push.generation), push.sealed));
    Bytes plain = encode(push);
    crypto::wipe(push.sealed);
    const Result<void> handed = hand_on(plain);
    crypto::wipe(plain);
    if (!handed) return handed.error();
    return std::optional<Bytes>();
  }

 private:
  std::unique_ptr<crypto::TlsChannel> channel_;
  crypto::AgreementKey key_;
};

Result<void> take_plain(const CasLink::Take& take, ByteView plain) {
  take(CASEMATE_TRY(read_plain(plain)));
  return {};
}

class ChannelLink final : public CasLink {
 public:
  explicit ChannelLink(Channel channel) : channel_(std::move(channel)) {}
  Result<protocol::TagAnswer> report(const protocol::TagUpdate& update, const Take& take) override {
    if (auto sent = channel_.write(encode(update)); !sent) return sent.error();
    for (;;) {
      const auto answer = CASEMATE_TRY(channel_.read([&](ByteView plain) { return take_plain(take, plain); }));
      if (answer) return protocol::decode_tag_answer(*answer);
    }
  }
  Result<void> take_pushes(const Take& take) override {
    while (channel_.has_message()) {
      const auto answer = CASEMATE_TRY(channel_.read([&](ByteView plain) { return take_plain(take, plain); }));
      if (answer) return Error(ErrorCategory::kSystem, "the CAS answers what nobody asked", EPROTO);
    }
    return {};
  }
  int descriptor() const override { return channel_.descriptor(); }

 private:
  Channel channel_;
};

// A child that is ended with this.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {}
  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  Child& operator=(Child&&) = delete;
  ~Child() {
    if (pid_ < 0) return;
    kill(pid_, SIGKILL);
    while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }

 private:
  pid_t pid_;
};

class ProcessLink final : public CasLink {
 public:
  ProcessLink(UniqueFd socket, Child child) : child_(std::move(child)), socket_(std::move(socket)) {}
  ~ProcessLink() override { crypto::wipe(begun_); }
  Result<protocol::TagAnswer> report(const protocol::TagUpdate& update, const Take& take) override {
    if (auto sent = send_packet(socket_.get(), encode(update)); !sent) return sent.error();
    for (;;) {
      const auto answer = CASEMATE_TRY(read(take));
      if (answer) return protocol::decode_tag_answer(*answer);
    }
  }
  Result<void> take_pushes(const Take& take) override {
    while (is_readable(socket_.get())) {
      const auto answer = CASEMATE_TRY(read(take));
      if (answer) return Error(ErrorCategory::kSystem, "the CAS answers what nobody asked", EPROTO);
    }
    return {};
  }
  int descriptor() const override { return socket_.get(); }

 private:
  Result<std::optional<Bytes>> read(const Take& take) {
    Bytes packet = CASEMATE_TRY(receive_packet(socket_.get()));
    const auto note = static_cast<Note>(packet.front());
    if (note == Note::kAnswer) return std::optional(Bytes(packet.begin() + 1, packet.end()));
    crypto::append(begun_, ByteView(packet).subspan(1));
    crypto::wipe(packet);
    if (begun_.size() > protocol::kProvisionMessageLimit)
      return Error(ErrorCategory::kSystem, "a push is too large", EPROTO);
    if (note != Note::kLastPart) return std::optional<Bytes>();
    const Result<void> taken = take_plain(take, begun_);
    crypto::wipe(begun_);
    begun_.clear();
    if (!taken) return taken.error();
    return std::optional<Bytes>();
  }

  Child child_;
  UniqueFd socket_;
  Bytes begun_;  // of a push
};

// Behind the descriptors that the process expects, so that placing one never closes another.
UniqueFd lifted(const UniqueFd& fd) {
  return UniqueFd(fcntl(fd.get(), F_DUPFD_CLOEXEC, protocol::kRuntimeImageDescriptor + 1));
}

Result<Child> start_process(const UniqueFd& request, const UniqueFd& socket) {
  char name[] = "casemate-keeper", option[] = "--rejoin";
  char* const arguments[] = {name, option, nullptr};
  char* const no_environment[] = {nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, request.get(), protocol::kStartDescriptor);
  posix_spawn_file_actions_adddup2(&actions, socket.get(), protocol::kRejoinDescriptor);
  pid_t pid = -1;
  const int failure = posix_spawn(&pid, "/proc/self/exe", &actions, nullptr, arguments, no_environment);
  posix_spawn_file_actions_destroy(&actions);
  if (failure != 0) return Error::from_errno("cannot start casemate-keeper once more", failure);
  return Child(pid);
}

Result<void> send_parts(int keeper, ByteView plain) {
  while (plain.size() > kPartSize) {
    if (auto sent = send_note(keeper, Note::kPart, plain.first(kPartSize)); !sent) return sent;
    plain = plain.subspan(kPartSize);
  }
  return send_note(keeper, Note::kLastPart, plain);
}

// Both ways, until either end is gone.
void pass_on(Channel channel, int keeper) {
  for (;;) {
    pollfd ends[2] = {{keeper, POLLIN, 0}, {channel.descriptor(), POLLIN, 0}};
    const bool has_pushed = channel.has_message();
    if (!has_pushed && poll(ends, 2, -1) < 0 && errno != EINTR) return;
    if (ends[0].revents != 0) {
      const Result<Bytes> update = receive_packet(keeper);
      if (!update || !channel.write(update.value())) return;
    }
    if (!channel.has_message()) continue;
    const auto answer = channel.read([&](ByteView plain) { return send_parts(keeper, plain); });
    if (!answer || (answer.value() && !send_note(keeper, Note::kAnswer, *answer.value()))) return;
  }
}

}  // namespace

std::unique_ptr<CasLink> link_over(std::unique_ptr<crypto::TlsChannel> channel, crypto::AgreementKey key) {
  return std::make_unique<ChannelLink>(Channel(std::move(channel), std::move(key)));
}

Result<Rejoined> rejoin(const protocol::StartRequest& request) {
  const Bytes bytes = encode(request);
  const UniqueFd file(memfd_create("casemate-start", MFD_CLOEXEC));
  if (!file.is_open() || ::write(file.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
    return lost("cannot write the memory file for the keeper");
  }
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) return lost("no socket");
  UniqueFd own(sockets[0]);
  const UniqueFd given(sockets[1]);
  const timeval limit = {kPatienceSeconds, 0};
  setsockopt(own.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  const UniqueFd lifted_file = lifted(file), lifted_socket = lifted(given);
  Child child = CASEMATE_TRY(start_process(lifted_file, lifted_socket));
  Rejoined rejoined;
  for (;;) {
    const Bytes packet = CASEMATE_TRY(receive_packet(own.get()));
    const ByteView more = ByteView(packet).subspan(1);
    switch (static_cast<Note>(packet.front())) {
      case Note::kPosition:
        rejoined.known.push_back(CASEMATE_TRY(protocol::decode_tag_update(more)));
        continue;
      case Note::kJoined:
        rejoined.link = std::make_unique<ProcessLink>(std::move(own), std::move(child));
        return rejoined;
      case Note::kRefused:
        return Error(ErrorCategory::kUsage, std::string(crypto::as_text(more)));
      default:
        return Error(ErrorCategory::kSystem, std::string(crypto::as_text(more)));
    }
  }
}

void serve_rejoined(const Result<protocol::StartRequest>& request, int keeper) {
  auto provisioned = request ? provision(request.value()) : Result<Provisioned>(request.error());
  if (!provisioned) {
    const bool is_final = provisioned.error().category() == ErrorCategory::kUsage;
    const std::string text = provisioned.error().message().substr(0, 1000);
    static_cast<void>(send_note(keeper, is_final ? Note::kRefused : Note::kLater, crypto::as_byte_view(text)));
    return;
  }
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  for (const protocol::GrantedVolume& volume : provisioned.value().configuration.volumes) {
    if (volume.is_new) continue;
    if (!send_note(keeper, Note::kPosition, encode(protocol::TagUpdate{volume.name, volume.tag}))) return;
  }
  if (!send_note(keeper, Note::kJoined, {})) return;
  pass_on(Channel(std::move(provisioned.value().channel), std::move(provisioned.value().key)), keeper);
}

}  // namespace casemate::keeper
