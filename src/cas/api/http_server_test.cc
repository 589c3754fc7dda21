// Server and client against each other, in one process: identities, limits, many at once, a stop in between.
#include "cas/api/http_server.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/unique_fd.h"
#include "cas/api/http_client.h"
#include "crypto/hash.h"
#include "crypto/self_signed.h"

namespace casemate::cas {
namespace {

struct Key {
  crypto::PrivateKey key = crypto::PrivateKey::generate(crypto::KeyKind::kEcP256).value();
  crypto::Bytes certificate = crypto::self_signed_certificate(key, "test", 0, 4'000'000'000).value();
  std::string hash() const { return crypto::to_hex(crypto::sha256(key.public_key().to_subject_public_key_info())); }
  ClientIdentity identity() const { return {key.to_pem(), crypto::to_pem(certificate, "CERTIFICATE")}; }
};

class HttpServerTest : public testing::Test {
 protected:
  ~HttpServerTest() override {
    if (server_) stop();
  }
  void serve(HttpHandler handler, const HttpLimits& limits = {}) {
    server_ =
        HttpServer::listen("127.0.0.1:0", server_key_.key, server_key_.certificate, limits, std::move(handler)).value();
    address_ = server_->address();
    thread_ = std::thread([this] { server_->run(); });
  }
  void stop() {
    server_->stop();
    thread_.join();
    server_.reset();
  }
  std::unique_ptr<HttpClient> client(const Key* key, std::chrono::milliseconds patience = std::chrono::seconds(10)) {
    HttpClientOptions options;
    options.address = address_;
    options.server_key = server_key_.hash();
    options.patience = patience;
    const ClientIdentity identity = key == nullptr ? ClientIdentity() : key->identity();
    return HttpClient::make(options, key == nullptr ? nullptr : &identity).value();
  }
  static HttpAnswer echo(const HttpRequest& request) {
    HttpAnswer answer;
    answer.body = request.method + " " + request.target + " " + request.caller.key_hash + " " + request.body;
    return answer;
  }

  Key server_key_, client_key_;
  std::unique_ptr<HttpServer> server_;
  std::string address_;
  std::thread thread_;
};

TEST_F(HttpServerTest, TellsTheHandlerWhoseKeyTheClientProved) {
  serve(echo);
  const auto answer = client(&client_key_)->exchange("PUT", "/a?b", "body");
  ASSERT_TRUE(answer) << answer.error().message();
  EXPECT_EQ(answer.value().body, "PUT /a?b " + client_key_.hash() + " body");
  EXPECT_EQ(client(nullptr)->exchange("GET", "/", "").value().body, "GET /  ");
}

TEST_F(HttpServerTest, ClientRefusesAnotherServersKey) {
  serve(echo);
  const Key other;
  HttpClientOptions options;
  options.address = address_;
  options.server_key = other.hash();
  const auto answer = HttpClient::make(options, nullptr).value()->exchange("GET", "/", "");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().category(), ErrorCategory::kFormat);
}

TEST_F(HttpServerTest, ServesManyAtOnceEachWithItsOwnAnswer) {
  serve(echo);
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 8; ++thread) {
    threads.emplace_back([&, thread] {
      const auto own = client(&client_key_);
      for (int number = 0; number < 20; ++number) {
        const std::string body = std::to_string(thread) + "/" + std::to_string(number);
        const auto answer = own->exchange("PUT", "/x", body);
        if (answer && answer.value().body.ends_with(" " + body)) ++right;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(right, 160);
}

TEST_F(HttpServerTest, RefusesBodiesBeyondTheLimitAndLivesOn) {
  HttpLimits limits;
  limits.body_size = 1000;
  serve(echo, limits);
  EXPECT_EQ(client(&client_key_)->exchange("PUT", "/x", std::string(1001, 'x')).value().status, 413U);
  EXPECT_EQ(client(&client_key_)->exchange("PUT", "/x", std::string(1000, 'x')).value().status, 200U);
}

// Lets requests wait until the test says so.
class Gate {
 public:
  void pass() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return is_open_; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    is_open_ = true;
    changed_.notify_all();
  }
  void wait_for_one() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return waiting_ > 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int waiting_ = 0;
  bool is_open_ = false;
};

TEST_F(HttpServerTest, AnswersThatItIsOverloadedInsteadOfQueueing) {
  HttpLimits limits;
  limits.requests_at_work = 1;
  Gate gate;
  serve(
      [&](const HttpRequest& request) {
        gate.pass();
        return echo(request);
      },
      limits);
  std::thread slow([&] { EXPECT_EQ(client(&client_key_)->exchange("GET", "/slow", "").value().status, 200U); });
  gate.wait_for_one();
  const auto refused = client(&client_key_)->exchange("GET", "/", "");
  EXPECT_EQ(refused.value().status, 503U);
  EXPECT_EQ(server_->counters().overloaded, 1U);
  gate.open();
  slow.join();
}

TEST_F(HttpServerTest, FinishesRequestsAtWorkWhenItStops) {
  Gate gate;
  serve([&](const HttpRequest& request) {
    gate.pass();
    return echo(request);
  });
  std::thread slow([&] { EXPECT_EQ(client(&client_key_)->exchange("GET", "/slow", "").value().status, 200U); });
  gate.wait_for_one();
  server_->stop();
  gate.open();
  slow.join();
  thread_.join();
  server_.reset();
  EXPECT_FALSE(client(&client_key_, std::chrono::milliseconds(0))->exchange("GET", "/", ""));
}

UniqueFd silent_connection(const std::string& address) {
  UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in where = {};
  where.sin_family = AF_INET;
  where.sin_port = htons(static_cast<std::uint16_t>(std::stoul(address.substr(address.rfind(':') + 1))));
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&where), sizeof(where)), 0);
  return socket;
}

TEST_F(HttpServerTest, ClosesWhoSitsThereLongestWhenAllPlacesAreTaken) {
  HttpLimits limits;
  limits.connections = 4;
  serve(echo, limits);
  std::vector<UniqueFd> sitting;
  for (int i = 0; i < 12; ++i) sitting.push_back(silent_connection(address_));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(client(&client_key_)->exchange("GET", "/", "").value().status, 200U);
  EXPECT_GE(server_->counters().crowded_out, 8U);
}

}  // namespace
}  // namespace casemate::cas
