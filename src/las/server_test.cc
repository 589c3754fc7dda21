#include "las/server.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <thread>

#include "las/client.h"
#include "las/key_file.h"
#include "las/unix_socket.h"

namespace casemate::las {
namespace {

std::string some_name() { return "@casemate-server-test-" + std::to_string(getpid()) + "-" + std::to_string(rand()); }

// A service with few seats, on a thread.
class ServerTest : public testing::Test {
 protected:
  void SetUp() override {
    Result<crypto::PrivateKey> key = ephemeral_key();
    ASSERT_TRUE(key.has_value());
    BackendOptions options;
    options.choice = BackendChoice::kSimulation;
    Result<Backend> made = make_backend(options, std::move(key).value());
    ASSERT_TRUE(made.has_value());
    backend_ = std::move(made).value();
    service_ = std::make_unique<Service>(Service{.backend = backend_,
                                                 .rules = own_rules().value(),
                                                 .files = files_,
                                                 .served = served_,
                                                 .counters = counters_,
                                                 .started_at = 0,
                                                 .time_limit = std::chrono::minutes(10)});
    Result<UniqueFd> listener = listen_unix(name_);
    ASSERT_TRUE(listener.has_value()) << listener.error().message();
    server_ = std::make_unique<Server>(
        std::move(listener).value(), *service_, [this](const std::string&) { ++lines_; }, Limits{.seats = 4});
    stop_.reset(eventfd(0, EFD_CLOEXEC));
    thread_ = std::thread([this] { EXPECT_TRUE(server_->run(stop_.get()).has_value()); });
  }
  void TearDown() override {
    const std::uint64_t one = 1;
    EXPECT_EQ(write(stop_.get(), &one, sizeof(one)), static_cast<ssize_t>(sizeof(one)));
    thread_.join();
    server_.reset();
  }

  const std::string name_ = some_name();
  Backend backend_;
  MeasuredFiles files_{[](crypto::ByteView) { return Result<evidence::Digest32>(evidence::Digest32{}); }, geteuid()};
  Served served_;
  Counters counters_;
  std::unique_ptr<Service> service_;
  std::unique_ptr<Server> server_;
  std::atomic<int> lines_ = 0;
  UniqueFd stop_;
  std::thread thread_;
};

TEST_F(ServerTest, IdleCallersGiveWayToOneWhoSpeaks) {
  std::vector<UniqueFd> idle;
  for (int i = 0; i < 20; ++i) {
    Result<UniqueFd> connection = connect_unix(name_, SOCK_SEQPACKET);
    ASSERT_TRUE(connection.has_value());
    idle.push_back(std::move(connection).value());
  }
  for (int i = 0; i < 3; ++i) {
    const auto status = ask_status(name_);
    ASSERT_TRUE(status.has_value()) << status.error().message();
  }
  // The first to come has lost its seat.
  char octet = 0;
  while (recv(idle.front().get(), &octet, 1, 0) > 0) {
  }
}

TEST_F(ServerTest, ASecondServiceAtTheNameIsRefused) { EXPECT_FALSE(listen_unix(name_).has_value()); }

TEST(LimitedLog, CountsWhatItLeavesOut) {
  std::vector<std::string> lines;
  LimitedLog log([&](const std::string& line) { lines.push_back(line); });
  for (int i = 0; i < 1000; ++i) log.write("line");
  // All within few seconds, whatever the machine does: far from all lines.
  EXPECT_GE(lines.size(), 10U);
  EXPECT_LT(lines.size(), 1000U);
}

TEST(UnixSocket, NamesHaveLimits) {
  EXPECT_FALSE(socket_name("").has_value());
  EXPECT_FALSE(socket_name("@").has_value());
  EXPECT_FALSE(socket_name(std::string(109, 'x')).has_value());
  EXPECT_TRUE(socket_name(std::string(108, 'x')).has_value());
  EXPECT_EQ(socket_name("@name").value(), std::string("\0name", 5));
}

TEST(UnixSocket, KernelChosenNamesCanBeConnectedTo) {
  std::string name;
  const auto listener = listen_anywhere(name);
  ASSERT_TRUE(listener.has_value());
  ASSERT_FALSE(name.empty());
  EXPECT_EQ(name.front(), '\0');
  EXPECT_TRUE(connect_unix("@" + name.substr(1), SOCK_SEQPACKET).has_value());
}

}  // namespace
}  // namespace casemate::las
