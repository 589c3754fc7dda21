#include "keeper/provision/cas_link.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "keeper/provision/attester.h"

namespace casemate::keeper {
namespace {

using crypto::Bytes;
using crypto::ByteView;

constexpr std::size_t kPacketLimit = 16 * 1024;  // names of volumes are short
constexpr int kPatienceSeconds = 90;             // the process has limits of its own, which are shorter

// What the process says first: positions, then one of the others. Between processes of one version.
enum class Note : char { kPosition = 'p', kJoined = 'j', kRefused = 'r', kLater = 'l' };

class ChannelLink final : public CasLink {
 public:
  explicit ChannelLink(std::unique_ptr<crypto::TlsChannel> channel) : channel_(std::move(channel)) {}
  Result<protocol::TagAnswer> report(const protocol::TagUpdate& update) override {
    if (auto sent = write_frame(*channel_, encode(update)); !sent) return sent.error();
    const Bytes answer = CASEMATE_TRY(read_frame(*channel_, kPacketLimit));
    return protocol::decode_tag_answer(answer);
  }

 private:
  std::unique_ptr<crypto::TlsChannel> channel_;
};

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
  Result<protocol::TagAnswer> report(const protocol::TagUpdate& update) override {
    if (auto sent = send_packet(socket_.get(), encode(update)); !sent) return sent.error();
    const Bytes answer = CASEMATE_TRY(receive_packet(socket_.get()));
    return protocol::decode_tag_answer(answer);
  }

 private:
  Child child_;
  UniqueFd socket_;
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

}  // namespace

std::unique_ptr<CasLink> link_over(std::unique_ptr<crypto::TlsChannel> channel) {
  return std::make_unique<ChannelLink>(std::move(channel));
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
  for (;;) {
    const Result<Bytes> update = receive_packet(keeper);
    if (!update || !write_frame(*provisioned.value().channel, update.value())) return;
    const Result<Bytes> answer = read_frame(*provisioned.value().channel, kPacketLimit);
    if (!answer || !send_packet(keeper, answer.value())) return;
  }
}

}  // namespace casemate::keeper
