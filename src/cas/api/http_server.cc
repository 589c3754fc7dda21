// Every connection is a chain of asynchronous steps on its own strand: handshake, header, body, (a worker thread makes
// the answer), write, next header. A step has one deadline, however its bytes trickle.
#include "cas/api/http_server.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <list>
#include <mutex>
#include <optional>
#include <thread>

#include "cas/api/beast.h"
#include "crypto/secret.h"

namespace casemate::cas {
namespace {

using namespace internal;

constexpr unsigned kNetworkThreads = 2, kWorkers = 16;
constexpr std::size_t kMostDrained = 4 * 1024 * 1024;

class Connection;

// Who is connected, and who of them only waits.
class Crowd {
 public:
  using Place = std::list<std::weak_ptr<Connection>>::iterator;

  Place enter(const std::shared_ptr<Connection>& connection);
  void leave(Place place, bool is_idle);
  // Moves the connection between those that wait for a request and those at work.
  void set_idle(Place place, bool is_idle);
  // The one that waits for longest, when more than `limit` are here.
  std::shared_ptr<Connection> one_too_many(std::size_t limit);
  std::vector<std::shared_ptr<Connection>> idle();
  std::size_t size() const;

 private:
  mutable std::mutex mutex_;
  std::list<std::weak_ptr<Connection>> idle_, busy_;
};

// Ends from the last member to the first: what is still going on in `network` uses what stands before it.
struct Shared {
  HttpLimits limits;
  HttpHandler handler;
  Crowd crowd;
  std::atomic<bool> stopping{false};
  std::atomic<std::size_t> at_work{0};
  std::atomic<std::uint64_t> connections{0}, handshakes_failed{0}, crowded_out{0}, overloaded{0};
  asio::ssl::context tls{asio::ssl::context::tls_server};
  asio::io_context network{static_cast<int>(kNetworkThreads)};
  asio::thread_pool workers{kWorkers};
};

HttpAnswer problem(unsigned status, const std::string& title, const std::string& detail) {
  HttpAnswer answer;
  answer.status = status;
  answer.content_type = "application/problem+json";
  // Constant texts only: nothing in them needs escapes.
  answer.body = R"({"type":"about:blank","title":")" + title + R"(","status":)" + std::to_string(status) +
                R"(,"detail":")" + detail + "\"}\n";
  return answer;
}

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Shared& shared, Tcp::socket socket) : shared_(shared), stream_(std::move(socket), shared.tls) {}
  ~Connection() {
    if (place_) shared_.crowd.leave(*place_, is_idle_);
  }

  void start() {
    place_ = shared_.crowd.enter(shared_from_this());
    is_idle_ = true;
    asio::dispatch(stream_.get_executor(), [self = shared_from_this()] { self->shake_hands(); });
  }
  // Threads: any. Ends it when it only waits.
  void end_if_idle() {
    asio::post(stream_.get_executor(), [self = shared_from_this()] {
      if (self->is_idle_) self->close();
    });
  }

 private:
  void shake_hands() {
    beast::get_lowest_layer(stream_).expires_after(shared_.limits.handshake);
    stream_.async_handshake(asio::ssl::stream_base::server, [self = shared_from_this()](ErrorCode code) {
      if (code) {
        ++self->shared_.handshakes_failed;
        return self->close();
      }
      const crypto::Bytes certificate = peer_certificate(self->stream_);
      if (!certificate.empty()) {
        self->caller_.key_hash = key_hash_of(certificate);
        self->caller_.certificate_hex = crypto::to_hex(certificate);
      }
      self->read_header();
    });
  }

  void read_header() {
    if (shared_.stopping) return say_goodbye();
    set_idle(true);
    parser_.emplace();
    parser_->header_limit(static_cast<std::uint32_t>(shared_.limits.header_size));
    parser_->body_limit(shared_.limits.body_size);
    beast::get_lowest_layer(stream_).expires_after(shared_.limits.idle);
    http::async_read_header(stream_, buffer_, *parser_, [self = shared_from_this()](ErrorCode code, std::size_t) {
      if (code) return self->refuse(code);
      self->read_body();
    });
  }

  void read_body() {
    set_idle(false);
    beast::get_lowest_layer(stream_).expires_after(shared_.limits.body);
    http::async_read(stream_, buffer_, *parser_, [self = shared_from_this()](ErrorCode code, std::size_t) {
      if (code) return self->refuse(code);
      self->work();
    });
  }

  void work() {
    beast::get_lowest_layer(stream_).expires_never();
    if (++shared_.at_work > shared_.limits.requests_at_work) {
      --shared_.at_work;
      ++shared_.overloaded;
      HttpAnswer answer = problem(503, "Service Unavailable", "too many requests are at work; try again in a second");
      answer.fields.emplace_back("Retry-After", "1");
      return write(std::move(answer));
    }
    HttpRequest request;
    auto& message = parser_->get();
    request.method = std::string(message.method_string());
    request.target = std::string(message.target());
    request.if_match = std::string(message[http::field::if_match]);
    request.body = std::move(message.body());
    request.caller = caller_;
    asio::post(shared_.workers, [self = shared_from_this(), request = std::move(request)]() mutable {
      HttpAnswer answer;
      try {
        answer = self->shared_.handler(request);
      } catch (const std::exception&) {
        answer = problem(503, "Service Unavailable", "the service is short of memory; try again later");
      }
      crypto::wipe(std::as_writable_bytes(std::span<char>(request.body)));
      --self->shared_.at_work;
      asio::post(self->stream_.get_executor(),
                 [self, answer = std::move(answer)]() mutable { self->write(std::move(answer)); });
    });
  }

  // What a parser refuses gets an answer; what was cut or came too late does not.
  void refuse(ErrorCode code) {
    keeps_alive_ = false;
    is_refused_ = true;
    if (code == http::error::body_limit) {
      return write(problem(413, "Content Too Large", "a request has at most 3 MiB"));
    }
    if (code == http::error::header_limit || code == http::error::buffer_overflow) {
      return write(problem(431, "Request Header Fields Too Large", "the header has at most 16 KiB"));
    }
    const bool is_parser = code.category() == http::make_error_code(http::error::bad_method).category();
    if (is_parser && code != http::error::end_of_stream && code != http::error::partial_message) {
      return write(problem(400, "Bad Request", "this is no HTTP/1.1 request"));
    }
    close();
  }

  void write(HttpAnswer answer) {
    if (parser_ && parser_->is_header_done()) keeps_alive_ = keeps_alive_ && parser_->get().keep_alive();
    keeps_alive_ = keeps_alive_ && !shared_.stopping;
    answer_.emplace(static_cast<http::status>(answer.status), 11U);
    answer_->set(http::field::content_type, answer.content_type);
    answer_->set(http::field::cache_control, "no-store");
    for (const auto& [name, value] : answer.fields) answer_->set(name, value);
    answer_->keep_alive(keeps_alive_);
    answer_->body() = std::move(answer.body);
    answer_->prepare_payload();
    beast::get_lowest_layer(stream_).expires_after(shared_.limits.write);
    http::async_write(stream_, *answer_, [self = shared_from_this()](ErrorCode code, std::size_t) {
      crypto::wipe(std::as_writable_bytes(std::span<char>(self->answer_->body())));
      if (code) return self->close();
      if (self->is_refused_) return self->drain();
      if (!self->keeps_alive_) return self->say_goodbye();
      self->read_header();
    });
  }

  // What is still on its way would make the kernel reset the connection, and our answer would be lost with it.
  void drain() {
    beast::get_lowest_layer(stream_).expires_after(std::chrono::seconds(2));
    stream_.async_read_some(asio::buffer(waste_), [self = shared_from_this()](ErrorCode code, std::size_t size) {
      self->drained_ += size;
      if (code || self->drained_ > kMostDrained) return self->close();
      self->drain();
    });
  }

  void say_goodbye() {
    beast::get_lowest_layer(stream_).expires_after(std::chrono::seconds(2));
    stream_.async_shutdown([self = shared_from_this()](ErrorCode) { self->close(); });
  }

  void close() {
    ErrorCode ignored;
    beast::get_lowest_layer(stream_).socket().shutdown(Tcp::socket::shutdown_both, ignored);
    beast::get_lowest_layer(stream_).close();
  }

  void set_idle(bool is_idle) {
    if (is_idle == is_idle_) return;
    is_idle_ = is_idle;
    shared_.crowd.set_idle(*place_, is_idle);
  }

  Shared& shared_;
  TlsStream stream_;
  beast::flat_buffer buffer_{64 * 1024};
  std::optional<http::request_parser<http::string_body>> parser_;
  std::optional<http::response<http::string_body>> answer_;
  policy::Caller caller_;
  bool keeps_alive_ = true, is_refused_ = false;
  std::array<char, 4096> waste_{};
  std::size_t drained_ = 0;
  bool is_idle_ = false;  // on the strand
  std::optional<Crowd::Place> place_;
};

Crowd::Place Crowd::enter(const std::shared_ptr<Connection>& connection) {
  const std::lock_guard lock(mutex_);
  return idle_.insert(idle_.end(), connection);
}

void Crowd::leave(Place place, bool is_idle) {
  const std::lock_guard lock(mutex_);
  (is_idle ? idle_ : busy_).erase(place);
}

void Crowd::set_idle(Place place, bool is_idle) {
  const std::lock_guard lock(mutex_);
  auto& from = is_idle ? busy_ : idle_;
  auto& to = is_idle ? idle_ : busy_;
  to.splice(to.end(), from, place);
}

std::shared_ptr<Connection> Crowd::one_too_many(std::size_t limit) {
  const std::lock_guard lock(mutex_);
  if (idle_.size() + busy_.size() <= limit) return nullptr;
  for (const auto& waiting : idle_) {
    if (auto connection = waiting.lock()) return connection;
  }
  return nullptr;
}

std::vector<std::shared_ptr<Connection>> Crowd::idle() {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<Connection>> all;
  for (const auto& waiting : idle_) {
    if (auto connection = waiting.lock()) all.push_back(std::move(connection));
  }
  return all;
}

std::size_t Crowd::size() const {
  const std::lock_guard lock(mutex_);
  return idle_.size() + busy_.size();
}

class BeastServer final : public HttpServer {
 public:
  BeastServer(HttpLimits limits, HttpHandler handler) : acceptor_(asio::make_strand(shared_.network)) {
    shared_.limits = limits;
    shared_.handler = std::move(handler);
  }
  ~BeastServer() override {
    shared_.workers.stop();
    shared_.workers.join();
  }

  Result<void> open(const std::string& address, const crypto::PrivateKey& key, const crypto::Bytes& certificate) {
    const Tcp::endpoint endpoint = CASEMATE_TRY(endpoint_of(address));
    ErrorCode code;
    make_strict(shared_.tls);
    shared_.tls.set_verify_mode(asio::ssl::verify_peer);  // asks for a certificate, and takes any or none
    std::string pem = key.to_pem();
    const std::string certificate_pem = crypto::to_pem(certificate, "CERTIFICATE");
    shared_.tls.use_certificate(asio::buffer(certificate_pem), asio::ssl::context::pem, code);
    if (!code) shared_.tls.use_private_key(asio::buffer(pem), asio::ssl::context::pem, code);
    crypto::wipe(std::as_writable_bytes(std::span<char>(pem)));
    if (code) return Error(ErrorCategory::kSystem, "the server's key is refused: " + code.message());
    acceptor_.open(endpoint.protocol(), code);
    if (!code) acceptor_.set_option(asio::socket_base::reuse_address(true), code);
    if (!code) acceptor_.bind(endpoint, code);
    if (!code) acceptor_.listen(asio::socket_base::max_listen_connections, code);
    if (code) return Error::from_errno("cannot listen on " + address, code.value());
    return {};
  }

  std::string address() const override {
    const Tcp::endpoint endpoint = acceptor_.local_endpoint();
    const std::string ip = endpoint.address().to_string();
    return (endpoint.address().is_v6() ? "[" + ip + "]" : ip) + ":" + std::to_string(endpoint.port());
  }

  void run() override {
    asio::post(acceptor_.get_executor(), [this] { accept(); });
    std::vector<std::thread> threads;
    for (unsigned i = 1; i < kNetworkThreads; ++i) threads.emplace_back([this] { shared_.network.run(); });
    shared_.network.run();
    for (auto& thread : threads) thread.join();
    shared_.workers.stop();
    shared_.workers.join();
  }

  void stop() override {
    asio::post(acceptor_.get_executor(), [this] {
      if (shared_.stopping.exchange(true)) return;
      ErrorCode ignored;
      acceptor_.close(ignored);
      pause_.cancel();
      for (const auto& connection : shared_.crowd.idle()) connection->end_if_idle();
      farewell_.expires_after(shared_.limits.farewell);
      wait_for_the_last();
    });
  }

  HttpCounters counters() const override {
    return {shared_.crowd.size(), shared_.connections, shared_.handshakes_failed, shared_.crowded_out,
            shared_.overloaded};
  }

 private:
  void accept() {
    acceptor_.async_accept(asio::make_strand(shared_.network), [this](ErrorCode code, Tcp::socket socket) {
      if (shared_.stopping) return;
      if (code) return accept_later();
      ++shared_.connections;
      socket.set_option(Tcp::no_delay(true), code);
      std::make_shared<Connection>(shared_, std::move(socket))->start();
      if (const auto longest = shared_.crowd.one_too_many(shared_.limits.connections)) {
        ++shared_.crowded_out;
        longest->end_if_idle();
      }
      accept();
    });
  }
  // Out of descriptors, for example: trying at once would only burn time.
  void accept_later() {
    pause_.expires_after(std::chrono::milliseconds(100));
    pause_.async_wait([this](ErrorCode) {
      if (!shared_.stopping) accept();
    });
  }
  void wait_for_the_last() {
    const bool is_over = farewell_.expiry() <= std::chrono::steady_clock::now();
    if (is_over || shared_.crowd.size() == 0) return shared_.network.stop();
    for (const auto& connection : shared_.crowd.idle()) connection->end_if_idle();
    pause_.expires_after(std::chrono::milliseconds(20));
    pause_.async_wait([this](ErrorCode) { wait_for_the_last(); });
  }

  Shared shared_;
  Tcp::acceptor acceptor_;
  asio::steady_timer pause_{acceptor_.get_executor()}, farewell_{acceptor_.get_executor()};
};

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::listen(const std::string& address, const crypto::PrivateKey& key,
                                                       const crypto::Bytes& certificate, const HttpLimits& limits,
                                                       HttpHandler handler) {
  auto server = std::make_unique<BeastServer>(limits, std::move(handler));
  if (auto opened = server->open(address, key, certificate); !opened) return opened.error();
  return std::unique_ptr<HttpServer>(std::move(server));
}

}  // namespace casemate::cas
