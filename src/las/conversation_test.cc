#include "las/conversation.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <thread>

#include "base/unique_fd.h"
#include "las/key_file.h"
#include "las/message_socket.h"

namespace casemate::las {
namespace {

using protocol::LasRefusal;
using protocol::LasResult;

TEST(Served, GivesEachProcessOneAnswer) {
  Served served;
  EXPECT_TRUE(served.add(7, 100));
  EXPECT_FALSE(served.add(7, 100));
  EXPECT_TRUE(served.add(8, 100));
}

TEST(Served, AReusedNumberIsAnotherProcess) {
  Served served;
  EXPECT_TRUE(served.add(7, 100));
  EXPECT_TRUE(served.add(7, 200));
  EXPECT_FALSE(served.add(7, 200));
}

TEST(Served, ForgetsOnlyWhatEnded) {
  Served served;
  EXPECT_TRUE(served.add(getpid(), 1));
  // Numbers that no process has (the kernel's limit is 4194304).
  for (pid_t pid = 5000000; pid < 5003000; ++pid) EXPECT_TRUE(served.add(pid, 1));
  EXPECT_FALSE(served.add(getpid(), 1));
}

struct Pair {
  UniqueFd ours, theirs;
};

Pair connected() {
  int ends[2] = {-1, -1};
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
  const int on = 1;
  EXPECT_EQ(setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

std::chrono::steady_clock::time_point in(std::chrono::milliseconds time) {
  return std::chrono::steady_clock::now() + time;
}

TEST(MessageSocket, TellsWhoSentAMessage) {
  const Pair pair = connected();
  const pid_t child = fork();
  if (child == 0) _exit(send(pair.theirs.get(), "abcd", 4, 0) == 4 ? 0 : 1);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  std::byte message[4];
  const auto receipt = MessageSocket(pair.ours.get(), in(std::chrono::seconds(60))).receive(message);
  EXPECT_EQ(receipt.how, MessageSocket::Received::kComplete);
  EXPECT_EQ(receipt.sender, child);
}

TEST(MessageSocket, RefusesOtherSizesSilenceAndTheEnd) {
  const Pair pair = connected();
  std::byte message[4];
  EXPECT_EQ(MessageSocket(pair.ours.get(), in(std::chrono::milliseconds(0))).receive(message).how,
            MessageSocket::Received::kTooLate);
  const MessageSocket socket(pair.ours.get(), in(std::chrono::seconds(60)));
  for (const std::size_t size : {3U, 5U}) {
    ASSERT_EQ(send(pair.theirs.get(), "abcde", size, 0), static_cast<ssize_t>(size));
    EXPECT_EQ(socket.receive(message).how, MessageSocket::Received::kWrongSize);
  }
  ASSERT_EQ(shutdown(pair.theirs.get(), SHUT_RDWR), 0);
  EXPECT_EQ(socket.receive(message).how, MessageSocket::Received::kClosed);
}

TEST(MessageSocket, TakesNoDescriptors) {
  const Pair pair = connected();
  iovec data = {const_cast<char*>("abcd"), 4};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  cmsghdr* const part = CMSG_FIRSTHDR(&message);
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_RIGHTS;
  part->cmsg_len = CMSG_LEN(sizeof(int));
  const int descriptor = 0;
  std::memcpy(CMSG_DATA(part), &descriptor, sizeof(descriptor));
  ASSERT_EQ(sendmsg(pair.theirs.get(), &message, 0), 4);
  std::byte buffer[4];
  EXPECT_EQ(MessageSocket(pair.ours.get(), in(std::chrono::seconds(60))).receive(buffer).how,
            MessageSocket::Received::kUnwanted);
}

TEST(MessageSocket, SendingToACallerWhoLeftFails) {
  Pair pair = connected();
  const MessageSocket socket(pair.ours.get(), in(std::chrono::seconds(60)));
  pair.theirs.reset();
  EXPECT_FALSE(socket.send(crypto::Bytes(10), crypto::Bytes(10)));
}

// This test's own process as caller: it is no runtime.
class ConversationTest : public testing::Test {
 protected:
  void SetUp() override {
    BackendOptions options;
    options.choice = BackendChoice::kSimulation;
    Result<crypto::PrivateKey> key = ephemeral_key();
    ASSERT_TRUE(key.has_value());
    Result<Backend> made = make_backend(options, std::move(key).value());
    ASSERT_TRUE(made.has_value());
    backend_ = std::move(made).value();
    Result<CallerRules> rules = own_rules();
    ASSERT_TRUE(rules.has_value());
    rules_ = rules.value();
  }
  Ending converse_with(const Pair& pair) {
    Service service = {.backend = backend_,
                       .rules = rules_,
                       .files = files_,
                       .served = served_,
                       .counters = counters_,
                       .started_at = 0,
                       .time_limit = time_limit_};
    return converse(service, pair.ours.get());
  }
  static void say_hello(const Pair& pair, protocol::LasService service) {
    const protocol::LasHello hello = {protocol::kLasMagic, protocol::kLasVersion, service};
    ASSERT_EQ(send(pair.theirs.get(), &hello, sizeof(hello), 0), static_cast<ssize_t>(sizeof(hello)));
  }
  static protocol::LasReply answer(const Pair& pair) {
    protocol::LasReply reply = {};
    EXPECT_GE(recv(pair.theirs.get(), &reply, sizeof(reply), MSG_DONTWAIT), static_cast<ssize_t>(sizeof(reply)));
    return reply;
  }

  Backend backend_;
  CallerRules rules_;
  MeasuredFiles files_{[](crypto::ByteView) { return Result<evidence::Digest32>(evidence::Digest32{}); }, geteuid()};
  Served served_;
  Counters counters_;
  std::chrono::milliseconds time_limit_{60000};
};

TEST_F(ConversationTest, ATestIsNoRuntime) {
  const Pair pair = connected();
  say_hello(pair, protocol::LasService::kEvidence);
  const Ending ending = converse_with(pair);
  EXPECT_EQ(ending.result, LasResult::kRefused);
  EXPECT_EQ(ending.pid, getpid());
  EXPECT_EQ(answer(pair).reason, static_cast<std::uint32_t>(ending.reason));
  EXPECT_EQ(counters_.given, 0U);
  EXPECT_EQ(counters_.refused, 1U);
}

TEST_F(ConversationTest, TheOnlyCallerOfAnEmbeddedServiceIsServed) {
  rules_.only = getpid() + 1;
  const Pair pair = connected();
  say_hello(pair, protocol::LasService::kEvidence);
  EXPECT_EQ(converse_with(pair).reason, LasRefusal::kOtherSender);
}

TEST_F(ConversationTest, AMissingGroupIsRefusedBeforeAnyLook) {
  rules_.group = getegid() + 1;
  const Pair pair = connected();
  say_hello(pair, protocol::LasService::kEvidence);
  EXPECT_EQ(converse_with(pair).reason, LasRefusal::kGroup);
}

TEST_F(ConversationTest, ASilentCallerIsTooSlow) {
  time_limit_ = std::chrono::milliseconds(1);
  const Pair pair = connected();
  EXPECT_EQ(converse_with(pair).reason, LasRefusal::kTooSlow);
  EXPECT_EQ(answer(pair).result, LasResult::kRefused);
}

TEST_F(ConversationTest, AnUnknownServiceIsMalformed) {
  const Pair pair = connected();
  say_hello(pair, static_cast<protocol::LasService>(77));
  EXPECT_EQ(converse_with(pair).result, LasResult::kMalformed);
}

TEST_F(ConversationTest, StatusNamesTheKey) {
  const Pair pair = connected();
  say_hello(pair, protocol::LasService::kStatus);
  EXPECT_EQ(converse_with(pair).result, LasResult::kOk);
  struct {
    protocol::LasReply reply;
    protocol::LasStatus status;
  } message = {};
  ASSERT_EQ(recv(pair.theirs.get(), &message, sizeof(message), 0), static_cast<ssize_t>(sizeof(message)));
  EXPECT_EQ(std::memcmp(message.status.key_id, backend_.issuer->key_id().data(), sizeof(message.status.key_id)), 0);
  EXPECT_EQ(message.status.backend, static_cast<std::uint32_t>(evidence::LasBackend::kSimulation));
}

TEST_F(ConversationTest, SimulationQuotesNoEnclaves) {
  const Pair pair = connected();
  say_hello(pair, protocol::LasService::kSgxTarget);
  EXPECT_EQ(converse_with(pair).result, LasResult::kNotServed);
}

TEST(Descriptions, EveryAnswerHasWords) {
  for (std::uint32_t reason = 0; reason <= static_cast<std::uint32_t>(LasRefusal::kNotRandom); ++reason) {
    EXPECT_STRNE(describe(static_cast<LasRefusal>(reason)), "unknown") << reason;
  }
  EXPECT_STREQ(describe(static_cast<LasRefusal>(static_cast<std::uint32_t>(LasRefusal::kNotRandom) + 1)), "unknown");
  for (std::uint32_t result = 0; result <= static_cast<std::uint32_t>(LasResult::kBusy); ++result) {
    EXPECT_STRNE(describe(static_cast<LasResult>(result)), "unknown") << result;
  }
}

}  // namespace
}  // namespace casemate::las
