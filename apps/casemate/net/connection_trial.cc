#include "casemate/net/connection_trial.h"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "base/unique_fd.h"
#include "netshield/record/alert_names.h"
#include "netshield/record/cipher_kernels.h"
#include "netshield/traffic_secrets.h"

namespace casemate::cli {
namespace {

using Clock = std::chrono::steady_clock;
using crypto::Bytes;
using crypto::ByteView;
using crypto::TlsHandshake;

constexpr std::chrono::milliseconds kRefusalWait{300};

struct AddressDeleter {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, AddressDeleter>;

Result<bool> wait_for(const UniqueFd& socket, short events, Clock::time_point deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    pollfd state = {socket.get(), events, 0};
    const int ready = poll(&state, 1, static_cast<int>(std::min<long>(left, 1 << 30)));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return Error::from_errno("cannot wait for the peer", errno);
  }
}

Result<UniqueFd> connect_to(const sockaddr* address, socklen_t size, Clock::time_point deadline) {
  UniqueFd socket(::socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.is_open()) return Error::from_errno("cannot make a socket", errno);
  if (::connect(socket.get(), address, size) == 0) return socket;
  if (errno != EINPROGRESS) return Error::from_errno("cannot connect", errno);
  if (!CASEMATE_TRY(wait_for(socket, POLLOUT, deadline))) return Error::from_errno("cannot connect", ETIMEDOUT);
  int code = 0;
  socklen_t code_size = sizeof(code);
  if (getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &code, &code_size) != 0) code = errno;
  if (code != 0) return Error::from_errno("cannot connect", code);
  return socket;
}

Result<UniqueFd> connect_to(const policy::ConnectionQuery& query, Clock::time_point deadline) {
  if (query.transport == policy::Transport::kUnix) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    if (query.path.size() >= sizeof(address.sun_path)) return Error::from_errno(query.path, ENAMETOOLONG);
    std::memcpy(address.sun_path, query.path.c_str(), query.path.size());
    return connect_to(reinterpret_cast<const sockaddr*>(&address), sizeof(address), deadline);
  }
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST;  // this executable is static: names would need the host's libraries
  addrinfo* found = nullptr;
  const int code = getaddrinfo(query.address.c_str(), std::to_string(query.port).c_str(), &hints, &found);
  const Addresses list(found);
  if (code != 0) {
    return Error(ErrorCategory::kUsage, "`" + query.address +
                                            "` is no numeric address; write the peer's, the rule decides "
                                            "about its name");
  }
  return connect_to(list->ai_addr, list->ai_addrlen, deadline);
}

Result<void> send_all(const UniqueFd& socket, ByteView bytes, Clock::time_point deadline) {
  while (!bytes.empty()) {
    const ssize_t sent = send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) return Error::from_errno("cannot send", errno);
    if (sent > 0) bytes = bytes.subspan(static_cast<std::size_t>(sent));
    if (sent < 0 && !CASEMATE_TRY(wait_for(socket, POLLOUT, deadline))) {
      return Error::from_errno("the peer takes nothing", ETIMEDOUT);
    }
  }
  return {};
}

// Empty: the end of the connection, or of the time.
struct Received {
  Bytes bytes;
  bool is_end = false;
};
Result<Received> receive(const UniqueFd& socket, Clock::time_point deadline) {
  Received received;
  if (!CASEMATE_TRY(wait_for(socket, POLLIN, deadline))) return received;
  std::byte buffer[16384];
  const ssize_t got = recv(socket.get(), buffer, sizeof(buffer), 0);
  if (got < 0) return Error::from_errno("cannot receive", errno);
  received.bytes = crypto::to_bytes(ByteView(buffer, static_cast<std::size_t>(got)));
  received.is_end = got == 0;
  return received;
}

Result<void> shake_hands(const UniqueFd& socket, TlsHandshake& handshake, Clock::time_point deadline) {
  Bytes input;
  for (;;) {
    const auto progress = handshake.advance(input);
    if (auto sent = send_all(socket, handshake.take_output(), deadline); !sent && progress.has_value()) {
      return sent.error();
    }
    if (!progress.has_value()) return progress.error();
    if (progress.value() == TlsHandshake::Progress::kComplete) return {};
    Received received = CASEMATE_TRY(receive(socket, deadline));
    if (received.is_end) return Error(ErrorCategory::kFormat, "TLS handshake: the peer ends the connection");
    if (received.bytes.empty()) return Error::from_errno("TLS handshake: the peer is too slow", ETIMEDOUT);
    input = std::move(received.bytes);
  }
}

// The peer's verdict about us, if it comes at once.
Result<void> await_refusal(const UniqueFd& socket, netshield::Connection& connection, Bytes pending,
                           Clock::time_point deadline) {
  for (;;) {
    auto* const bytes = reinterpret_cast<std::uint8_t*>(pending.data());
    const netshield::OpenResult opened =
        netshield::open_record(connection, netshield::kKernelCipher, bytes, pending.size());
    if (opened.outcome == netshield::OpenOutcome::kFailed) {
      const std::string why =
          connection.is_peer_alert != 0 ? "the peer refuses us: " : "the peer's records are broken: ";
      const netshield::Alert alert = connection.is_peer_alert != 0 ? connection.peer_alert : connection.failure;
      return Error(ErrorCategory::kFormat, why + netshield::name_of(alert));
    }
    if (opened.outcome == netshield::OpenOutcome::kEnd) return {};
    if (opened.outcome != netshield::OpenOutcome::kNeedMore) {
      pending.erase(pending.begin(), pending.begin() + static_cast<std::ptrdiff_t>(opened.consumed));
      continue;
    }
    const Received received = CASEMATE_TRY(receive(socket, deadline));
    if (received.bytes.empty()) return {};
    crypto::append(pending, received.bytes);
  }
}

std::string describe(const crypto::TlsOutcome& outcome) {
  std::string text = "complete: TLS 1.3 with ";
  text += outcome.suite == 0x1301 ? "AES-128-GCM" : "AES-256-GCM";
  if (!outcome.protocol.empty()) text += ", protocol " + outcome.protocol;
  if (outcome.peer.common_name.empty() && outcome.peer.names.empty()) return text + "\npeer: shows no certificate";
  text += "\npeer: " + outcome.peer.common_name;
  for (const std::string& name : outcome.peer.names) text += " " + name;
  return text;
}

}  // namespace

Result<std::string> test_connection(const policy::ConnectionQuery& query, const crypto::TlsEndpoint& endpoint,
                                    const std::string& server_name, std::chrono::milliseconds time_limit) {
  const auto deadline = Clock::now() + time_limit;
  if (!netshield::kernels_are_supported())
    return Error(ErrorCategory::kSystem, "this processor has no AES instructions");
  const UniqueFd socket = CASEMATE_TRY(connect_to(query, deadline));
  TlsHandshake handshake = CASEMATE_TRY(TlsHandshake::start(endpoint, server_name));
  if (auto shaken = shake_hands(socket, handshake, deadline); !shaken) return shaken.error();
  crypto::TlsOutcome outcome = handshake.take_outcome();
  netshield::TrafficSecrets secrets = netshield::traffic_secrets_of(outcome, crypto::TlsSide::kClient);
  const auto connection = std::make_unique<netshield::Connection>();
  netshield::begin(*connection, netshield::kKernelCipher, secrets);
  netshield::wipe_bytes(&secrets, sizeof(secrets));
  const auto refusal_deadline = std::min(deadline, Clock::now() + kRefusalWait);
  auto accepted = await_refusal(socket, *connection, std::move(outcome.leftover), refusal_deadline);
  std::uint8_t close[netshield::kLargestControlRecord];
  const netshield::SealResult sealed = netshield::seal_close(*connection, netshield::kKernelCipher, close);
  static_cast<void>(send_all(socket, std::as_bytes(std::span(close, sealed.record_size)), deadline));
  netshield::end(*connection);
  if (!accepted) return accepted.error();
  return describe(outcome);
}

}  // namespace casemate::cli
