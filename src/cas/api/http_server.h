// HTTPS for the client API: TLS 1.3 with client certificates, HTTP/1.1. The rest of the CAS sees requests and answers.
//
// What a hostile client can do here -> what we answer
//   send slowly, half, or nothing   -> one deadline for the handshake, for a header, for a body, for taking the answer
//   send headers or bodies without end -> 431, 413 before anything of that size is kept
//   open connections and sit there  -> above the limit the one that is idle for longest is closed
//   send more requests than we can work on -> 503 with Retry-After; nothing queues without end
//   claim to be somebody            -> the key of its certificate, which the handshake proves; names in it mean nothing
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "cas/api/http_message.h"
#include "crypto/signature.h"

namespace casemate::cas {

struct HttpLimits {
  std::size_t connections = 2048;
  std::size_t requests_at_work = 256;
  std::size_t header_size = 16 * 1024;
  std::size_t body_size = 3 * 1024 * 1024;  // a session's text of 1 MiB, escaped, and signatures
  std::chrono::milliseconds handshake{10'000}, idle{75'000}, body{30'000}, write{30'000};
  // How long requests at work may take when the server ends.
  std::chrono::milliseconds farewell{10'000};
};

struct HttpCounters {
  std::uint64_t connections_now = 0, connections = 0, handshakes_failed = 0, crowded_out = 0, overloaded = 0;
};

using HttpHandler = std::function<HttpAnswer(const HttpRequest&)>;

class HttpServer {
 public:
  // `address`: "127.0.0.1:8900", "[::1]:8900", port 0 for any. `handler` is called by several threads and may block.
  // Errors: kUsage, kSystem (address in use, ...).
  static Result<std::unique_ptr<HttpServer>> listen(const std::string& address, const crypto::PrivateKey& key,
                                                    const crypto::Bytes& certificate, const HttpLimits& limits,
                                                    HttpHandler handler);
  virtual ~HttpServer() = default;

  virtual std::string address() const = 0;  // with the port that was got
  // Blocks until stop(); then requests at work are finished.
  virtual void run() = 0;
  // Threads: any.
  virtual void stop() = 0;
  virtual HttpCounters counters() const = 0;
};

}  // namespace casemate::cas
