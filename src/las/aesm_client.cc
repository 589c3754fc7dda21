#include "las/aesm_client.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>

#include "base/unique_fd.h"
#include "las/aesm_message.h"
#include "las/unix_socket.h"
#include "protocol/las.h"

namespace casemate::las {
namespace {

using crypto::Bytes;
using crypto::ByteView;

constexpr timeval kLimit = {30, 0};

// The error's system code is aesmd's.
Error refused(const char* step, std::uint32_t code) {
  return Error(ErrorCategory::kSystem,
               std::string("aesmd refuses to ") + step + " (error " + std::to_string(code) +
                   "); is the platform registered and its quote provider configured?",
               static_cast<int>(code));
}

Result<UniqueFd> connect_with_limit(const std::string& path) {
  UniqueFd connection = CASEMATE_TRY(connect_unix(path, SOCK_STREAM));
  setsockopt(connection.get(), SOL_SOCKET, SO_RCVTIMEO, &kLimit, sizeof(kLimit));
  setsockopt(connection.get(), SOL_SOCKET, SO_SNDTIMEO, &kLimit, sizeof(kLimit));
  return connection;
}

Result<void> send_all(int connection, ByteView data) {
  while (!data.empty()) {
    const ssize_t size = send(connection, data.data(), data.size(), MSG_NOSIGNAL);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return Error::from_errno("cannot write to aesmd", errno);
    data = data.subspan(static_cast<std::size_t>(size));
  }
  return {};
}

Result<Bytes> receive_exactly(int connection, std::size_t size) {
  Bytes data(size);
  for (std::size_t done = 0; done < size;) {
    const ssize_t got = recv(connection, data.data() + done, size - done, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno("aesmd does not answer", errno);
    if (got == 0) return Error(ErrorCategory::kSystem, "aesmd closed the connection in the middle of an answer");
    done += static_cast<std::size_t>(got);
  }
  return data;
}

}  // namespace

Result<Bytes> AesmClient::exchange(const Bytes& request) const {
  const UniqueFd connection = CASEMATE_TRY(connect_with_limit(socket_));
  Bytes framed;
  for (unsigned i = 0; i < 4; ++i) framed.push_back(static_cast<std::byte>(request.size() >> (8 * i)));
  crypto::append(framed, request);
  if (Result<void> sent = send_all(connection.get(), framed); !sent.has_value()) return sent.error();
  const Bytes header = CASEMATE_TRY(receive_exactly(connection.get(), 4));
  std::size_t size = 0;
  for (unsigned i = 0; i < 4; ++i) size |= std::to_integer<std::size_t>(header[i]) << (8 * i);
  if (size == 0 || size > kAesmMessageLimit) return Error(ErrorCategory::kFormat, "aesmd's answer: an absurd length");
  return receive_exactly(connection.get(), size);
}

// Asked twice, as aesmd wants it: how long its key's id is, then for the id.
Result<Bytes> AesmClient::target_info() const {
  InitQuoteResponse response;
  for (const KeyIdWanted wanted : {KeyIdWanted::kSizeOnly, KeyIdWanted::kBytes}) {
    const Bytes answer = CASEMATE_TRY(exchange(init_quote_request(wanted, response.key_id_size)));
    response = CASEMATE_TRY(parse_init_quote_response(answer));
    if (response.error != 0) return refused("initialise quoting", response.error);
  }
  if (response.target_info.size() != protocol::kSgxTargetInfoSize) {
    return Error(ErrorCategory::kFormat, "aesmd's answer: TARGETINFO has a wrong size");
  }
  return std::move(response.target_info);
}

Result<Bytes> AesmClient::quote_once(ByteView report) const {
  const Bytes size_answer = CASEMATE_TRY(exchange(quote_size_request()));
  const QuoteSizeResponse size = CASEMATE_TRY(parse_quote_size_response(size_answer));
  if (size.error != 0) return refused("tell the size of quotes", size.error);
  const Bytes answer = CASEMATE_TRY(exchange(quote_request(report, size.size)));
  QuoteResponse response = CASEMATE_TRY(parse_quote_response(answer));
  if (response.error != 0) return refused("quote", response.error);
  if (response.quote.empty()) return Error(ErrorCategory::kFormat, "aesmd's answer: an empty quote");
  return std::move(response.quote);
}

Result<Bytes> AesmClient::quote(ByteView report) const {
  if (report.size() != protocol::kSgxReportSize) return Error(ErrorCategory::kUsage, "a report has 432 bytes");
  Result<Bytes> quote = quote_once(report);
  if (quote.has_value() || quote.error().system_code() != static_cast<int>(kAesmKeyNotInitialised)) return quote;
  // aesmd was restarted since the key was made.
  if (const Result<Bytes> target = target_info(); !target.has_value()) return target.error();
  return quote_once(report);
}

bool aesm_is_running(const std::string& socket) { return connect_unix(socket, SOCK_STREAM).has_value(); }

}  // namespace casemate::las
