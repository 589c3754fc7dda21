#include "crypto/tls_channel.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cerrno>
#include <csignal>
#include <thread>

namespace casemate::crypto {
namespace {

using std::chrono::milliseconds;
constexpr milliseconds kPatience{20'000};

struct Pair {
  UniqueFd client, server;
  Pair() {
    signal(SIGPIPE, SIG_IGN);
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) return;
    client.reset(fds[0]);
    server.reset(fds[1]);
  }
};

TlsIdentity new_identity() { return TlsIdentity::make(PrivateKey::generate(KeyKind::kEcP256).value()).value(); }

// What the server does runs in a thread of its own.
template <typename Serve>
std::thread serve(const TlsIdentity& identity, Pair& pair, Serve act) {
  return std::thread([&identity, socket = std::move(pair.server), act]() mutable {
    auto channel = TlsChannel::accept(identity, std::move(socket), kPatience);
    if (channel.has_value()) act(channel.value());
  });
}

TEST(TlsChannel, CarriesFramesAndBindsBothEnds) {
  const TlsIdentity identity = new_identity();
  Pair pair;
  Sha256Digest binding{};
  auto server = serve(identity, pair, [&](TlsChannel& channel) {
    const auto message = read_frame(channel, 100'000);
    ASSERT_TRUE(message.has_value());
    binding = channel.export_binding("EXPORTER-test", as_byte_view("context")).value();
    EXPECT_TRUE(write_frame(channel, message.value()).has_value());
  });
  auto client = TlsChannel::connect(std::move(pair.client), kPatience);
  ASSERT_TRUE(client.has_value()) << client.error().message();
  const Bytes sent(70'000, std::byte{7});
  ASSERT_TRUE(write_frame(client.value(), sent).has_value());
  const auto returned = read_frame(client.value(), 100'000);
  server.join();
  ASSERT_TRUE(returned.has_value());
  EXPECT_EQ(returned.value(), sent);
  EXPECT_EQ(client.value().server_key_id(), identity.key_id());
  EXPECT_EQ(client.value().export_binding("EXPORTER-test", as_byte_view("context")).value(), binding);
  EXPECT_NE(client.value().export_binding("EXPORTER-test", as_byte_view("contexT")).value(), binding);
}

TEST(TlsChannel, BindsDifferentlyOnEveryChannel) {
  const TlsIdentity identity = new_identity();
  Sha256Digest bindings[2] = {};
  for (Sha256Digest& binding : bindings) {
    Pair pair;
    auto server = serve(identity, pair, [](TlsChannel&) {});
    auto client = TlsChannel::connect(std::move(pair.client), kPatience);
    server.join();
    ASSERT_TRUE(client.has_value());
    binding = client.value().export_binding("EXPORTER-test", {}).value();
  }
  EXPECT_NE(bindings[0], bindings[1]);
}

TEST(TlsChannel, TellsTheEndFromACut) {
  const TlsIdentity identity = new_identity();
  Pair pair;
  auto server = serve(identity, pair, [](TlsChannel& channel) { EXPECT_TRUE(channel.write(Bytes(2)).has_value()); });
  auto client = TlsChannel::connect(std::move(pair.client), kPatience);
  server.join();
  ASSERT_TRUE(client.has_value());
  Bytes two(2), one(1);
  ASSERT_TRUE(client.value().read(two).has_value());
  const auto end = client.value().read(one);
  ASSERT_FALSE(end.has_value());
  EXPECT_EQ(end.error().category(), ErrorCategory::kNotFound);
}

TEST(TlsChannel, RefusesFramesBeyondTheLimit) {
  const TlsIdentity identity = new_identity();
  Pair pair;
  auto server =
      serve(identity, pair, [](TlsChannel& channel) { EXPECT_TRUE(write_frame(channel, Bytes(11)).has_value()); });
  auto client = TlsChannel::connect(std::move(pair.client), kPatience);
  server.join();
  ASSERT_TRUE(client.has_value());
  const auto frame = read_frame(client.value(), 10);
  ASSERT_FALSE(frame.has_value());
  EXPECT_EQ(frame.error().category(), ErrorCategory::kFormat);
}

TEST(TlsChannel, GivesUpOnASilentPeer) {
  Pair pair;
  const auto client = TlsChannel::connect(std::move(pair.client), milliseconds(20));
  ASSERT_FALSE(client.has_value());
  EXPECT_EQ(client.error().system_code(), ETIMEDOUT);
}

TEST(TlsChannel, RefusesWhatIsNotTls) {
  Pair pair;
  const char garbage[] = "HTTP/1.1 200 OK\r\n\r\n";
  ASSERT_EQ(write(pair.server.get(), garbage, sizeof(garbage)), ssize_t{sizeof(garbage)});
  EXPECT_FALSE(TlsChannel::connect(std::move(pair.client), kPatience).has_value());
}

TEST(TlsIdentity, TakesOnlyKeysOfItsKind) {
  EXPECT_FALSE(TlsIdentity::make(PrivateKey::generate(KeyKind::kEd25519).value()).has_value());
}

}  // namespace
}  // namespace casemate::crypto
