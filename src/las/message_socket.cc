#include "las/message_socket.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace casemate::las {
namespace {

// The sender's id, if that is all there is beside the data.
std::optional<pid_t> only_credentials(msghdr& message) {
  if ((message.msg_flags & MSG_CTRUNC) != 0) return std::nullopt;  // descriptors do not fit, and are dropped
  std::optional<pid_t> sender;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_CREDENTIALS) return std::nullopt;
    ucred credentials = {};
    std::memcpy(&credentials, CMSG_DATA(part), sizeof(credentials));
    sender = credentials.pid;
  }
  return sender;
}

}  // namespace

bool MessageSocket::wait_for(short events) const {
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline_ - std::chrono::steady_clock::now()).count();
    pollfd state = {socket_, events, 0};
    const int ready = poll(&state, 1, static_cast<int>(std::clamp<std::int64_t>(left, 0, 1 << 30)));
    if (ready > 0) return true;
    if (ready == 0) return false;
    if (errno != EINTR) return false;
  }
}

MessageSocket::Receipt MessageSocket::receive(std::span<std::byte> message) const {
  if (!wait_for(POLLIN)) return {Received::kTooLate, 0};
  iovec data = {message.data(), message.size()};
  // Room for credentials only.
  alignas(cmsghdr) std::byte control[CMSG_SPACE(sizeof(ucred))] = {};
  msghdr header = {};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  const ssize_t size = recvmsg(socket_, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return {Received::kTooLate, 0};
  if (size <= 0) return {Received::kClosed, 0};
  const std::optional<pid_t> sender = only_credentials(header);
  if (!sender.has_value()) return {Received::kUnwanted, 0};
  const bool fits = static_cast<std::size_t>(size) == message.size() && (header.msg_flags & MSG_TRUNC) == 0;
  return {fits ? Received::kComplete : Received::kWrongSize, *sender};
}

bool MessageSocket::send(crypto::ByteView header, crypto::ByteView payload) const {
  iovec parts[2] = {{const_cast<std::byte*>(header.data()), header.size()},
                    {const_cast<std::byte*>(payload.data()), payload.size()}};
  msghdr message = {};
  message.msg_iov = parts;
  message.msg_iovlen = payload.empty() ? 1 : 2;
  for (;;) {
    if (sendmsg(socket_, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return true;
    if (errno != EAGAIN && errno != EINTR) return false;
    if (errno == EAGAIN && !wait_for(POLLOUT)) return false;
  }
}

}  // namespace casemate::las
