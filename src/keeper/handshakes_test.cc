#include "keeper/handshakes.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <future>

#include "crypto/testing/openssl_peer.h"
#include "crypto/testing/test_authority.h"
#include "netshield/record/cipher_kernels.h"
#include "netshield/tcp_socket.h"

namespace casemate::keeper {
namespace {

using crypto::as_byte_view;
using crypto::Bytes;
using crypto::ByteView;
using crypto::testing::Leaf;
using crypto::testing::OpensslPeer;
using crypto::testing::OpensslPeerSettings;
using crypto::testing::TestAuthority;
using netshield::Stream;
using std::chrono::milliseconds;

constexpr milliseconds kPatience{20'000};

struct Outcome {
  std::string error;
  UniqueFd socket;
  std::string peer;
};

class HandshakesTest : public ::testing::Test {
 protected:
  HandshakesTest() : stream_(std::make_unique<Stream>()) {
    const Leaf leaf = authority_.issue();
    crypto::TlsEndpointSettings settings;
    settings.certificate_chain = leaf.certificate;
    settings.private_key = leaf.key;
    settings.anchors = authority_.certificate();
    endpoint_ = crypto::TlsEndpoint::make(settings).value();
    handshakes_ = Handshakes::create(4).value();
    connect();
  }

  void connect() {
    const UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    ASSERT_EQ(bind(listener.get(), generic, size), 0);
    ASSERT_EQ(listen(listener.get(), 1), 0);
    ASSERT_EQ(getsockname(listener.get(), generic, &size), 0);
    peer_.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::connect(peer_.get(), generic, size), 0);
    const int one = 1;
    setsockopt(peer_.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    program_.reset(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    ASSERT_TRUE(program_.is_open());
  }

  // The keeper's copy of the program's socket goes along.
  std::future<Outcome> start(milliseconds limit = kPatience) {
    auto promise = std::make_shared<std::promise<Outcome>>();
    const auto note = [promise](Result<HandshakeReport> report) {
      Outcome outcome;
      if (report.has_value()) {
        outcome.socket = std::move(report.value().socket);
        outcome.peer = report.value().peer.common_name;
      } else {
        outcome.error = report.error().message();
      }
      promise->set_value(std::move(outcome));
    };
    auto future = promise->get_future();
    handshakes_->start({.socket = UniqueFd(fcntl(program_.get(), F_DUPFD_CLOEXEC, 3)),
                        .endpoint = *endpoint_,
                        .side = crypto::TlsSide::kServer,
                        .server_name = "",
                        .stream = stream_.get(),
                        .time_limit = limit,
                        .done = note});
    return future;
  }

  OpensslPeerSettings client_settings() const {
    const Leaf leaf = authority_.issue();
    OpensslPeerSettings settings;
    settings.certificate = leaf.certificate;
    settings.key = leaf.key;
    settings.anchors = authority_.certificate();
    return settings;
  }

  void send_raw(ByteView bytes) const {
    while (!bytes.empty()) {
      const ssize_t sent = send(peer_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      ASSERT_GT(sent, 0);
      bytes = bytes.subspan(static_cast<std::size_t>(sent));
    }
  }
  Bytes receive_raw() const {
    Bytes raw(65536);
    const ssize_t got = recv(peer_.get(), raw.data(), raw.size(), 0);
    raw.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return raw;
  }
  // The client's part, with `behind` right behind its last flight; in pieces of `piece` bytes.
  void shake_hands(OpensslPeer& client, ByteView behind = {}, std::size_t piece = 1 << 20) const {
    Bytes out = client.shake_hands({});
    while (true) {
      if (client.is_connected() && !behind.empty()) crypto::append(out, client.write(behind));
      for (ByteView rest = out; !rest.empty();) {
        const ByteView part = rest.first(std::min(piece, rest.size()));
        send_raw(part);
        rest = rest.subspan(part.size());
      }
      if (client.is_connected()) return;
      const Bytes in = receive_raw();
      if (in.empty()) return;
      out = client.shake_hands(in);
    }
  }

  long read_into(Bytes& data, std::size_t size) const {
    const netshield::StreamCall call{*stream_, netshield::kKernelCipher, netshield::kTcpSocket, program_.get()};
    return netshield::read_stream(call, size, [&](std::size_t, const std::uint8_t* bytes, std::size_t part) {
      crypto::append(data, std::as_bytes(std::span(bytes, part)));
      return 0L;
    });
  }
  long write_from(std::string_view text) const {
    const netshield::StreamCall call{*stream_, netshield::kKernelCipher, netshield::kTcpSocket, program_.get()};
    return netshield::write_stream(call, text.size(), [&](std::size_t at, std::uint8_t* bytes, std::size_t part) {
      std::memcpy(bytes, text.data() + at, part);
      return 0L;
    });
  }

  const TestAuthority authority_;
  std::optional<crypto::TlsEndpoint> endpoint_;
  std::unique_ptr<Stream> stream_;
  std::unique_ptr<Handshakes> handshakes_;
  UniqueFd peer_, program_;
};

TEST_F(HandshakesTest, LeaveTheFirstRequestInTheKernelAndWakeEdgeTriggeredWaiters) {
  const UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  epoll_event event = {EPOLLIN | EPOLLET, {}};
  ASSERT_EQ(epoll_ctl(epoll.get(), EPOLL_CTL_ADD, program_.get(), &event), 0);
  auto done = start();
  OpensslPeer client(client_settings());
  shake_hands(client, as_byte_view("GET / HTTP/1.0"));
  const Outcome outcome = done.get();
  ASSERT_EQ(outcome.error, "");
  EXPECT_EQ(outcome.peer, "test");
  // A program that saw edges of the handshake's bytes, and read nothing then, gets another one.
  Bytes got;
  while (got.empty()) {
    ASSERT_EQ(epoll_wait(epoll.get(), &event, 1, 5000), 1);
    const long count = read_into(got, 100);
    ASSERT_TRUE(count > 0 || count == -EAGAIN) << count;
  }
  EXPECT_EQ(got, crypto::to_bytes(as_byte_view("GET / HTTP/1.0")));
  ASSERT_EQ(write_from("HTTP/1.0 204 No Content\r\n\r\n"), 27);
  Bytes none, answer;
  while (answer.empty()) answer = client.read(receive_raw(), none);
  EXPECT_EQ(answer.size(), 27U);
}

TEST_F(HandshakesTest, TakeSinglyArrivingBytes) {
  auto done = start();
  OpensslPeer client(client_settings());
  shake_hands(client, as_byte_view("x"), 1);
  ASSERT_EQ(done.get().error, "");
  Bytes got;
  pollfd state = {program_.get(), POLLIN, 0};
  ASSERT_EQ(poll(&state, 1, 5000), 1);
  EXPECT_EQ(read_into(got, 100), 1);
}

TEST_F(HandshakesTest, EndSlowAndSilentPeersAndNobodyElse) {
  auto silent = start(milliseconds(200));
  const UniqueFd silent_peer = std::move(peer_), silent_program = std::move(program_);
  connect();
  OpensslPeer client(client_settings());
  auto good = start();
  shake_hands(client);
  EXPECT_EQ(good.get().error, "");
  EXPECT_NE(silent.get().error.find("too slow"), std::string::npos);
  char byte = 0;
  EXPECT_EQ(recv(silent_peer.get(), &byte, 1, 0), 0);
  connect();
  auto slow = start(milliseconds(200));
  send_raw(ByteView(client.shake_hands({})));
  send_raw(as_byte_view("\x16\x03\x01"));
  EXPECT_NE(slow.get().error.find("too slow"), std::string::npos);
}

TEST_F(HandshakesTest, RefuseMoreThanTheBoundAtOnce) {
  std::vector<std::future<Outcome>> waiting;
  std::vector<UniqueFd> sockets;
  for (int i = 0; i < 4; ++i) {
    waiting.push_back(start());
    sockets.push_back(std::move(peer_));
    sockets.push_back(std::move(program_));
    connect();
  }
  EXPECT_NE(start().get().error.find("too many"), std::string::npos);
  char byte = 0;
  EXPECT_EQ(recv(peer_.get(), &byte, 1, 0), 0);
  // One leaves, the next may come.
  sockets[0].reset();
  EXPECT_NE(waiting[0].get().error.find("ends the connection"), std::string::npos);
  connect();
  OpensslPeer client(client_settings());
  auto done = start();
  shake_hands(client);
  EXPECT_EQ(done.get().error, "");
  handshakes_.reset();
  EXPECT_NE(waiting[1].get().error.find("stopped"), std::string::npos);
}

TEST_F(HandshakesTest, NameWhatIsWrongWithThePeer) {
  auto plain = start();
  send_raw(as_byte_view("GET / HTTP/1.1\r\n\r\n"));
  EXPECT_NE(plain.get().error.find("does not speak TLS"), std::string::npos);

  connect();
  auto huge = start();
  send_raw(as_byte_view("\x16\x03\x01\xff\xff and so on"));
  EXPECT_NE(huge.get().error, "");

  connect();
  auto anonymous = start();
  OpensslPeerSettings settings = client_settings();
  settings.certificate.clear();
  OpensslPeer client(settings);
  shake_hands(client);
  EXPECT_NE(anonymous.get().error.find("shows no certificate"), std::string::npos);
  Bytes out;
  client.read(receive_raw(), out);
  EXPECT_NE(client.error().find("certificate required"), std::string::npos) << "the alert arrives: " << client.error();

  connect();
  auto gone = start();
  OpensslPeer other(client_settings());
  send_raw(other.shake_hands({}));
  peer_.reset();
  EXPECT_NE(gone.get().error, "");
}

}  // namespace
}  // namespace casemate::keeper
