// A client of the client API: TLS 1.3 with the client's certificate, the server known by the hash of its key.
//
// What a hostile network can do here -> what we answer
//   be another server    -> the key is not the expected one: refused before anything is sent
//   answer without end, slowly or never -> size and time limits
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "base/result.h"
#include "cas/api/http_message.h"
#include "crypto/signature.h"

namespace casemate::cas {

struct ClientIdentity {
  std::string key_pem, certificate_pem;
};

struct HttpClientOptions {
  std::string address;  // "127.0.0.1:8900"; names are not looked up, except localhost
  // SHA-256 of the server's SubjectPublicKeyInfo, 64 hex digits; empty: any server, ask server_key() who it was.
  std::string server_key;
  std::chrono::milliseconds time_limit{60'000};  // of one exchange
  std::chrono::milliseconds patience{10'000};    // how long a server that is away is tried again
  std::size_t answer_size = 256 * 1024 * 1024;
};

// Threads: one at a time. Blocks.
class HttpClient {
 public:
  static Result<std::unique_ptr<HttpClient>> make(const HttpClientOptions& options, const ClientIdentity* identity);
  virtual ~HttpClient() = default;

  // Connects when there is no connection; a connection that was cut is made anew and the request sent again, so only
  // requests that may arrive twice go here (all of this API may). Errors: kSystem, kFormat (the server is another one).
  virtual Result<HttpAnswer> exchange(const std::string& method, const std::string& target, const std::string& body,
                                      const std::string& if_match = "") = 0;
  // Of the connection that is open, 64 hex digits; empty before the first exchange.
  virtual const std::string& server_key() const = 0;
  // Makes the connection now. Errors: as exchange.
  virtual Result<void> connect() = 0;
};

}  // namespace casemate::cas
