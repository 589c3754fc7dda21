#include "cas/api/http_client.h"

#include <cerrno>
#include <thread>

#include "cas/api/beast.h"

namespace casemate::cas {
namespace {

using namespace internal;

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kFirstPause{50}, kLongestPause{1000};

class BeastClient final : public HttpClient {
 public:
  explicit BeastClient(HttpClientOptions options) : options_(std::move(options)) {}

  Result<void> prepare(const ClientIdentity* identity) {
    endpoint_ = CASEMATE_TRY(endpoint_of(options_.address));
    make_strict(tls_);
    tls_.set_verify_mode(asio::ssl::verify_peer);
    if (identity == nullptr) return {};
    ErrorCode code;
    tls_.use_certificate(asio::buffer(identity->certificate_pem), asio::ssl::context::pem, code);
    if (!code) tls_.use_private_key(asio::buffer(identity->key_pem), asio::ssl::context::pem, code);
    if (code) return Error(ErrorCategory::kFormat, "the client's key or certificate is damaged: " + code.message());
    return {};
  }

  const std::string& server_key() const override { return server_key_; }

  Result<void> connect() override {
    const Clock::time_point end = Clock::now() + options_.patience;
    for (auto pause = kFirstPause;; pause = std::min(2 * pause, kLongestPause)) {
      auto connected = connect_once();
      const bool is_final = connected || connected.error().category() != ErrorCategory::kSystem;
      if (is_final || Clock::now() + pause > end) return connected;
      std::this_thread::sleep_for(pause);
    }
  }

  Result<HttpAnswer> exchange(const std::string& method, const std::string& target, const std::string& body,
                              const std::string& if_match) override {
    const Clock::time_point end = Clock::now() + options_.patience;
    for (auto pause = kFirstPause;; pause = std::min(2 * pause, kLongestPause)) {
      if (stream_ == nullptr) {
        if (auto connected = connect(); !connected) return connected.error();
      }
      auto answer = exchange_once(method, target, body, if_match);
      if (answer || answer.error().category() != ErrorCategory::kSystem || Clock::now() + pause > end) return answer;
      stream_.reset();
      std::this_thread::sleep_for(pause);
    }
  }

 private:
  // Runs what was begun, up to the time limit that it has.
  void finish() {
    network_.restart();
    network_.run();
  }
  Error failure(const char* what, const ErrorCode& code) {
    stream_.reset();
    return Error(ErrorCategory::kSystem, std::string(what) + " the CAS at " + options_.address + ": " + code.message(),
                 code.value());
  }

  Result<void> connect_once() {
    stream_ = std::make_unique<TlsStream>(network_, tls_);
    buffer_.clear();
    auto& lowest = beast::get_lowest_layer(*stream_);
    lowest.expires_after(options_.time_limit);
    ErrorCode code;
    lowest.async_connect(endpoint_, [&](ErrorCode result) { code = result; });
    finish();
    if (code) return failure("cannot reach", code);
    lowest.socket().set_option(Tcp::no_delay(true), code);
    stream_->async_handshake(asio::ssl::stream_base::client, [&](ErrorCode result) { code = result; });
    finish();
    if (code) return failure("no TLS connection with", code);
    server_key_ = key_hash_of(peer_certificate(*stream_));
    if (options_.server_key.empty() || server_key_ == options_.server_key) return {};
    stream_.reset();
    return Error(ErrorCategory::kFormat,
                 "the server at " + options_.address + " has key " + server_key_ + ", expected " + options_.server_key +
                     ": it is another CAS, or somebody in between. If the CAS was replaced rightfully, claim or pin it "
                     "again: casemate cas trust");
  }

  Result<HttpAnswer> exchange_once(const std::string& method, const std::string& target, const std::string& body,
                                   const std::string& if_match) {
    http::request<http::string_body> request;
    request.method_string(method);
    request.target(target);
    request.version(11);
    request.set(http::field::host, options_.address);
    if (!if_match.empty()) request.set(http::field::if_match, if_match);
    if (!body.empty()) request.set(http::field::content_type, "application/json");
    request.body() = body;
    request.prepare_payload();
    http::response_parser<http::string_body> parser;
    parser.body_limit(options_.answer_size);
    ErrorCode code;
    beast::get_lowest_layer(*stream_).expires_after(options_.time_limit);
    http::async_write(*stream_, request, [&](ErrorCode result, std::size_t) { code = result; });
    finish();
    // A server that refuses early answers and closes while we write: its answer counts.
    const ErrorCode write_code = code;
    http::async_read(*stream_, buffer_, parser, [&](ErrorCode result, std::size_t) { code = result; });
    finish();
    if (code) return failure("no answer from", write_code ? write_code : code);
    HttpAnswer answer;
    auto& message = parser.get();
    answer.status = message.result_int();
    answer.content_type = std::string(message[http::field::content_type]);
    for (const auto& field : message)
      answer.fields.emplace_back(std::string(field.name_string()), std::string(field.value()));
    answer.body = std::move(message.body());
    if (!message.keep_alive()) stream_.reset();
    return answer;
  }

  HttpClientOptions options_;
  asio::io_context network_{1};
  asio::ssl::context tls_{asio::ssl::context::tls_client};
  Tcp::endpoint endpoint_;
  std::unique_ptr<TlsStream> stream_;
  beast::flat_buffer buffer_;
  std::string server_key_;
};

}  // namespace

Result<std::unique_ptr<HttpClient>> HttpClient::make(const HttpClientOptions& options, const ClientIdentity* identity) {
  auto client = std::make_unique<BeastClient>(options);
  if (auto prepared = client->prepare(identity); !prepared) return prepared.error();
  return std::unique_ptr<HttpClient>(std::move(client));
}

}  // namespace casemate::cas
