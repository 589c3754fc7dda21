// Streams on TCP sockets of this machine. The peer is a second Connection whose records the test carries itself, byte
// by byte where it wants to.
#include "netshield/record/stream.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>
#include <thread>

#include "base/unique_fd.h"
#include "netshield/tcp_socket.h"
#include "netshield/testing/record_end.h"

namespace casemate::netshield {
namespace {

using crypto::as_byte_view;
using crypto::Bytes;
using crypto::ByteView;
using testing::RecordEnd;

TrafficSecrets secrets_of(Side side) {
  TrafficSecrets secrets = {};
  secrets.suite = Suite::kAes128GcmSha256;
  secrets.side = side;
  secrets.read_secret[0] = side == Side::kClient ? 1 : 2;
  secrets.write_secret[0] = side == Side::kClient ? 2 : 1;
  return secrets;
}

void set_option(int fd, int level, int option, int value) {
  ASSERT_EQ(setsockopt(fd, level, option, &value, sizeof(value)), 0);
}

class StreamOnTcp : public ::testing::Test {
 protected:
  void SetUp() override { connect(0); }
  ~StreamOnTcp() override { munmap(stream_, sizeof(Stream)); }

  // `send_buffer`: of our end; 0: the kernel's choice.
  void connect(int send_buffer) {
    UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    ASSERT_EQ(bind(listener.get(), generic, size), 0);
    ASSERT_EQ(listen(listener.get(), 1), 0);
    ASSERT_EQ(getsockname(listener.get(), generic, &size), 0);
    peer_.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (send_buffer != 0) set_option(peer_.get(), SOL_SOCKET, SO_RCVBUF, 4096);
    ASSERT_EQ(::connect(peer_.get(), generic, size), 0);
    set_option(peer_.get(), IPPROTO_TCP, TCP_NODELAY, 1);
    ours_.reset(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    ASSERT_TRUE(ours_.is_open());
    if (send_buffer != 0) set_option(ours_.get(), SOL_SOCKET, SO_SNDBUF, send_buffer);
    if (stream_ != nullptr) munmap(stream_, sizeof(Stream));
    stream_ =
        static_cast<Stream*>(mmap(nullptr, sizeof(Stream), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    ASSERT_EQ(open_stream(call(), secrets_of(Side::kServer)), 0);
    end_ = RecordEnd(secrets_of(Side::kClient));
  }

  StreamCall call() const { return {*stream_, kKernelCipher, kTcpSocket, ours_.get()}; }

  long read_into(Bytes& data, std::size_t size) const {
    return read_stream(call(), size, [&](std::size_t, const std::uint8_t* bytes, std::size_t part) {
      crypto::append(data, std::as_bytes(std::span(bytes, part)));
      return 0L;
    });
  }
  long read_count(std::size_t size) const {
    Bytes ignored;
    return read_into(ignored, size);
  }
  long write_from(ByteView data) const {
    return write_stream(call(), data.size(), [&](std::size_t offset, std::uint8_t* bytes, std::size_t part) {
      std::memcpy(bytes, data.data() + offset, part);
      return 0L;
    });
  }

  void send_raw(ByteView bytes) const {
    while (!bytes.empty()) {
      const ssize_t sent = send(peer_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      ASSERT_GT(sent, 0);
      bytes = bytes.subspan(static_cast<std::size_t>(sent));
    }
  }
  // What the peer has got up to now, decrypted.
  Bytes receive_at_peer(std::size_t limit = 1 << 20) {
    Bytes raw(limit);
    const ssize_t got = recv(peer_.get(), raw.data(), raw.size(), MSG_DONTWAIT);
    return got <= 0 ? Bytes() : end_.open(ByteView(raw).first(static_cast<std::size_t>(got)));
  }

  // Loopback delivers at once, but on another processor it may take a moment.
  bool is_readable(int wait_ms = 0) const {
    pollfd state = {ours_.get(), POLLIN, 0};
    return poll(&state, 1, wait_ms) == 1 && (state.revents & POLLIN) != 0;
  }
  void await_bytes(std::size_t count) const {
    Bytes seen(count + 1);
    for (int i = 0; i < 2000; ++i) {
      const ssize_t got = recv(ours_.get(), seen.data(), count, MSG_PEEK | MSG_DONTWAIT);
      if (got >= static_cast<ssize_t>(count)) return;
      usleep(1000);
    }
    FAIL() << count << " bytes do not arrive";
  }

  UniqueFd ours_, peer_;
  Stream* stream_ = nullptr;
  RecordEnd end_;
};

TEST_F(StreamOnTcp, IsReadableExactlyWhileDataCanBeHad) {
  const Bytes record = end_.seal(as_byte_view("0123456789"));
  for (std::size_t i = 0; i < record.size(); ++i) {
    ASSERT_EQ(read_count(100), -EAGAIN) << i;
    ASSERT_FALSE(is_readable()) << i;
    send_raw(ByteView(record).subspan(i, 1));
    await_bytes(1);  // those before were taken out
  }
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(is_readable()) << i;
    ASSERT_EQ(read_count(1), 1);
  }
  EXPECT_FALSE(is_readable());
  EXPECT_EQ(read_count(1), -EAGAIN);
}

TEST_F(StreamOnTcp, GivesAnEdgeForEachCompleteRecordHoweverItArrives) {
  const UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  epoll_event event = {EPOLLIN | EPOLLET, {}};
  ASSERT_EQ(epoll_ctl(epoll.get(), EPOLL_CTL_ADD, ours_.get(), &event), 0);
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    Bytes data(1 + random() % 20'000, static_cast<std::byte>(round));
    const Bytes sealed = end_.seal(data);
    Bytes got;
    for (std::size_t at = 0; at < sealed.size();) {
      const std::size_t size = std::min<std::size_t>(sealed.size() - at, 1 + random() % 9000);
      send_raw(ByteView(sealed).subspan(at, size));
      at += size;
      // The program: waits for an edge, then reads until EAGAIN or a short count.
      while (epoll_wait(epoll.get(), &event, 1, at == sealed.size() && got.size() < data.size() ? 5000 : 0) == 1) {
        const std::size_t want = 1 + random() % 30'000;
        for (;;) {
          const long count = read_into(got, want);
          if (count == -EAGAIN) break;
          ASSERT_GT(count, 0);
          if (static_cast<std::size_t>(count) < want) break;
        }
      }
    }
    ASSERT_EQ(got, data) << round;
  }
}

TEST_F(StreamOnTcp, GivesAllThatIsThereOverManyRecords) {
  Bytes all, expected;
  for (int i = 0; i < 50; ++i) {
    const Bytes data(100, static_cast<std::byte>(i));
    crypto::append(all, end_.seal(data));
    crypto::append(expected, data);
  }
  send_raw(all);
  await_bytes(all.size());
  Bytes got;
  EXPECT_EQ(read_into(got, 10'000), 5'000);
  EXPECT_EQ(got, expected);
}

// The kernel counts a segment that was read in part whole against the receive buffer: what waits there for the rest of
// its record must not close the window over it.
TEST_F(StreamOnTcp, TakesWhatComesFasterThanItIsRead) {
  Bytes data(30'000'000);
  std::mt19937 random(13);
  for (std::size_t i = 0; i < data.size(); i += 4) data[i] = static_cast<std::byte>(random());
  std::thread sender([&] { send_raw(end_.seal(data, 1400)); });
  std::size_t at = 0, vain = 0;
  while (at < data.size()) {
    ASSERT_TRUE(is_readable(10'000)) << at;
    Bytes got;
    const long count = read_into(got, 65'536);
    ASSERT_TRUE(count > 0 || count == -EAGAIN) << count;
    vain = count > 0 ? 0 : vain + 1;
    ASSERT_LT(vain, 1'000'000U) << "readable, but nothing comes";
    ASSERT_TRUE(std::equal(got.begin(), got.end(), data.begin() + static_cast<std::ptrdiff_t>(at))) << at;
    at += got.size();
  }
  sender.join();
}

TEST_F(StreamOnTcp, LosesNothingWhenTheProgramsMemoryFaults) {
  send_raw(end_.seal(as_byte_view("precious")));
  ASSERT_TRUE(is_readable(5000));
  const auto fault = [](std::size_t, const std::uint8_t*, std::size_t) { return long{-EFAULT}; };
  EXPECT_EQ(read_stream(call(), 8, fault), -EFAULT);
  Bytes got;
  EXPECT_EQ(read_into(got, 100), 8);
  EXPECT_EQ(got, crypto::to_bytes(as_byte_view("precious")));
  const auto no_source = [](std::size_t, std::uint8_t*, std::size_t) { return long{-EFAULT}; };
  EXPECT_EQ(write_stream(call(), 8, no_source), -EFAULT);
  EXPECT_EQ(write_from(as_byte_view("after")), 5);
  Bytes at_peer;
  for (int i = 0; i < 2000 && at_peer.empty(); ++i) at_peer = receive_at_peer(), usleep(100);
  EXPECT_EQ(at_peer, crypto::to_bytes(as_byte_view("after")));
}

TEST_F(StreamOnTcp, AnswersEndAndCutAsTheKernelDoes) {
  Bytes last = end_.seal(as_byte_view("last"));
  crypto::append(last, end_.close());
  send_raw(last);
  await_bytes(last.size());
  EXPECT_EQ(read_count(100), 4);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(is_readable());
    EXPECT_EQ(read_count(100), 0);
  }
  EXPECT_EQ(write_from(as_byte_view("half closed")), 11);
  peer_.reset();
  EXPECT_TRUE(is_readable(5000));
  EXPECT_EQ(read_count(100), 0);
}

TEST_F(StreamOnTcp, ReportsACutConnectionAsReset) {
  send_raw(end_.seal(as_byte_view("data")));
  shutdown(peer_.get(), SHUT_WR);
  Bytes got;
  for (int i = 0; i < 2000 && got.empty(); ++i) read_into(got, 100), usleep(100);
  EXPECT_EQ(got.size(), 4U);
  ASSERT_TRUE(is_readable(5000));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(read_count(100), -ECONNRESET);
  EXPECT_EQ(stream_->connection.is_cut, 1);
}

TEST_F(StreamOnTcp, ReportsACutWithinARecordAsReset) {
  const Bytes record = end_.seal(as_byte_view("data"));
  send_raw(ByteView(record).first(20));
  await_bytes(20);
  EXPECT_EQ(read_count(100), -EAGAIN);
  shutdown(peer_.get(), SHUT_WR);
  ASSERT_TRUE(is_readable(5000));
  EXPECT_EQ(read_count(100), -ECONNRESET);
  EXPECT_TRUE(is_readable());
}

TEST_F(StreamOnTcp, FailsOverInjectedBytesAndTellsThePeer) {
  send_raw(end_.seal(as_byte_view("good")));
  send_raw(as_byte_view("GET / HTTP/1.1\r\nHost: injected\r\n\r\n"));
  await_bytes(4 + kRecordOverhead + 30);
  Bytes got;
  EXPECT_EQ(read_into(got, 100), 4);
  EXPECT_EQ(read_count(100), -ECONNRESET);
  EXPECT_TRUE(is_readable());
  EXPECT_EQ(write_from(as_byte_view("x")), -ECONNRESET);
  for (int i = 0; i < 2000 && end_.last.outcome != OpenOutcome::kFailed; ++i) receive_at_peer(), usleep(100);
  EXPECT_EQ(end_.connection.peer_alert, Alert::kUnexpectedMessage);
}

TEST_F(StreamOnTcp, AnswersKeyUpdatesWithoutTheProgram) {
  Connection& peer = end_.connection;
  want_key_update(peer);
  Bytes out = end_.control();
  crypto::append(out, end_.seal(as_byte_view("under the next key")));
  send_raw(out);
  await_bytes(out.size());
  Bytes got;
  EXPECT_EQ(read_into(got, 100), 18);
  want_key_update(stream_->connection);
  EXPECT_EQ(write_from(as_byte_view("ours, too")), 9);
  Bytes at_peer;
  for (int i = 0; i < 2000 && at_peer.empty(); ++i) at_peer = receive_at_peer(), usleep(100);
  EXPECT_EQ(at_peer.size(), 9U);
}

// A peer that takes little at a time: every write ends with a record that the kernel took in part.
TEST_F(StreamOnTcp, LosesAndRepeatsNothingWhenThePeerIsSlow) {
  connect(4096);
  std::mt19937 random(11);
  Bytes sent, arrived;
  bool was_partial = false;
  while (sent.size() < 3'000'000) {
    Bytes data(1 + random() % 40'000);
    for (std::byte& octet : data) octet = static_cast<std::byte>(random());
    const long count = write_from(data);
    ASSERT_TRUE(count > 0 || count == -EAGAIN) << count;
    if (count > 0) crypto::append(sent, ByteView(data).first(static_cast<std::size_t>(count)));
    was_partial = was_partial || has_unsent(*stream_);
    crypto::append(arrived, receive_at_peer(1 + random() % 60'000));
    ASSERT_NE(end_.last.outcome, OpenOutcome::kFailed);
  }
  EXPECT_TRUE(was_partial);
  for (int i = 0; i < 20'000 && arrived.size() < sent.size(); ++i) {
    const long left = flush(call());
    ASSERT_TRUE(left == 0 || left == -EAGAIN);
    crypto::append(arrived, receive_at_peer());
    usleep(100);
  }
  EXPECT_EQ(arrived, sent);
  EXPECT_EQ(close_stream(call()), 0);
  EXPECT_EQ(write_from(as_byte_view("x")), -EPIPE);
  for (int i = 0; i < 2000 && end_.last.outcome != OpenOutcome::kEnd; ++i) receive_at_peer(), usleep(100);
  EXPECT_EQ(end_.last.outcome, OpenOutcome::kEnd);
}

TEST_F(StreamOnTcp, GivesEPIPEOrResetWhenThePeerIsGone) {
  peer_.reset();
  long result = 0;
  for (int i = 0; i < 2000 && result >= 0; ++i) result = write_from(as_byte_view("anybody there?")), usleep(100);
  EXPECT_TRUE(result == -EPIPE || result == -ECONNRESET) << result;
}

TEST_F(StreamOnTcp, GoesOnInBothSidesOfAFork) {
  for (int round = 0; round < 6; ++round) {
    const std::string text = "process " + std::to_string(round % 2);
    send_raw(end_.seal(as_byte_view("question")));
    ASSERT_TRUE(is_readable(5000));
    const auto serve = [&] { return read_count(100) == 8 && write_from(as_byte_view(text)) == 9; };
    if (round % 2 == 0) {
      ASSERT_TRUE(serve());
    } else {
      const pid_t child = fork();
      if (child == 0) _exit(serve() ? 0 : 1);
      int status = 1;
      ASSERT_EQ(waitpid(child, &status, 0), child);
      ASSERT_EQ(status, 0);
    }
    Bytes answer;
    for (int i = 0; i < 2000 && answer.empty(); ++i) answer = receive_at_peer(), usleep(100);
    ASSERT_EQ(answer, crypto::to_bytes(as_byte_view(text)));
  }
}

TEST_F(StreamOnTcp, IsUnusableAfterItsHolderDied) {
  send_raw(end_.seal(as_byte_view("data")));
  ASSERT_TRUE(is_readable(5000));
  abandon(*stream_);
  EXPECT_EQ(read_count(100), -ECONNRESET);
  EXPECT_EQ(write_from(as_byte_view("x")), -ECONNRESET);
}

}  // namespace
}  // namespace casemate::netshield
