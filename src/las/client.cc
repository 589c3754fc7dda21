#include "las/client.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <cstring>
#include <span>

#include "las/conversation.h"
#include "las/unix_socket.h"

namespace casemate::las {
namespace {

using namespace protocol;

constexpr timeval kLimit = {60, 0};

Result<UniqueFd> connect_to_service(const std::string& path) {
  Result<UniqueFd> socket = connect_unix(path, SOCK_SEQPACKET);
  if (!socket.has_value()) {
    return Error(ErrorCategory::kNotFound, socket.error().message() + "; is `casemate las serve` running?",
                 socket.error().system_code());
  }
  setsockopt(socket.value().get(), SOL_SOCKET, SO_RCVTIMEO, &kLimit, sizeof(kLimit));
  return socket;
}

template <typename Message>
Result<void> send_message(int socket, const Message& message) {
  if (send(socket, &message, sizeof(message), MSG_NOSIGNAL) == sizeof(message)) return {};
  return Error::from_errno("cannot write to the attestation service", errno);
}

// The payload of a positive reply.
Result<crypto::Bytes> receive_reply(int socket) {
  crypto::Bytes buffer(kLasMessageCapacity);
  const ssize_t size = recv(socket, buffer.data(), buffer.size(), 0);
  if (size < 0) return Error::from_errno("the attestation service does not answer", errno);
  LasReply reply = {};
  if (static_cast<std::size_t>(size) < sizeof(reply)) {
    return Error(ErrorCategory::kFormat, "the attestation service closed the connection");
  }
  std::memcpy(&reply, buffer.data(), sizeof(reply));
  const std::size_t payload_size = static_cast<std::size_t>(size) - sizeof(reply);
  if (reply.magic != kLasMagic || reply.version != kLasVersion || reply.payload_size != payload_size) {
    return Error(ErrorCategory::kFormat, "the attestation service's answer is malformed");
  }
  if (reply.result != LasResult::kOk) {
    std::string text = std::string("the attestation service answers: ") + describe(reply.result);
    if (reply.result == LasResult::kRefused)
      text += std::string(": ") + describe(static_cast<LasRefusal>(reply.reason));
    return Error(ErrorCategory::kUsage, text);
  }
  buffer.resize(static_cast<std::size_t>(size));
  buffer.erase(buffer.begin(), buffer.begin() + sizeof(reply));
  return buffer;
}

}  // namespace

Result<LasStatus> ask_status(const std::string& path) {
  const UniqueFd socket = CASEMATE_TRY(connect_to_service(path));
  const LasHello hello = {kLasMagic, kLasVersion, LasService::kStatus};
  if (Result<void> sent = send_message(socket.get(), hello); !sent.has_value()) return sent.error();
  const crypto::Bytes payload = CASEMATE_TRY(receive_reply(socket.get()));
  LasStatus status = {};
  if (payload.size() != sizeof(status)) return Error(ErrorCategory::kFormat, "the status has a wrong size");
  std::memcpy(&status, payload.data(), sizeof(status));
  return status;
}

Result<EnclaveQuoting> EnclaveQuoting::connect(const std::string& path) {
  EnclaveQuoting quoting(CASEMATE_TRY(connect_to_service(path)));
  const LasHello hello = {kLasMagic, kLasVersion, LasService::kSgxTarget};
  if (Result<void> sent = send_message(quoting.socket_.get(), hello); !sent.has_value()) return sent.error();
  quoting.target_info_ = CASEMATE_TRY(receive_reply(quoting.socket_.get()));
  return quoting;
}

Result<crypto::Bytes> EnclaveQuoting::quote(crypto::ByteView report) {
  LasReportRequest request = {kLasMagic, kLasVersion, 0, {}};
  if (report.size() != sizeof(request.report)) return Error(ErrorCategory::kUsage, "a report has 432 bytes");
  std::memcpy(request.report, report.data(), report.size());
  if (Result<void> sent = send_message(socket_.get(), request); !sent.has_value()) return sent.error();
  return receive_reply(socket_.get());
}

}  // namespace casemate::las
