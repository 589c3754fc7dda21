// The runtime API over real TLS channels: the whole conversation, and what hostile peers try with it.
#include "cas/service/runtime_api.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "cas/service/testing/simulated_cas.h"
#include "cas/service/testing/simulated_service.h"
#include "protocol/provision_push.h"

namespace casemate::cas {
namespace {

using crypto::TlsChannel;
using testing_support::SimulatedService;

constexpr std::chrono::milliseconds kPatience{60'000};

class RuntimeApiTest : public testing::Test {
 protected:
  RuntimeApiTest() {
    signal(SIGPIPE, SIG_IGN);
    identity_ = runtime_api_identity(*cas_.store).value();
    EXPECT_EQ(cas_.put("shop", text()), "");
  }
  ~RuntimeApiTest() override { end(); }

  // `token`: the value of a secret in an injected file.
  std::string text(const std::string& token = "first") const {
    return "version: casemate-1\nsecurity: {attestation: {tolerate: [simulation]}}\nservices:\n  - name: web\n"
           "    image_name: main\n    command: /bin/server\n    attestation: [{mrenclave: [" +
           service_.measurement() + "]}]\n    platforms: [" + service_.las_key_id() +
           "]\nimages:\n  - name: main\n    volumes: [{name: data, path: /data}]\n    files: {/bin/server: " +
           std::string(64, 'a') +
           "}\n    injection_files: [{path: /etc/token, content: $$CASEMATE::token$$}]\nvolumes: [{name: data}]\n"
           "secrets: [{name: token, kind: ascii, value: " +
           token + "}]\n";
  }
  // The next version.
  void update(const std::string& text) {
    const auto stored = cas_.registry->find("shop");
    ASSERT_EQ(cas_.put("shop", text + "predecessor: " + crypto::to_hex(stored.value()->record.hash) + "\n"), "");
  }
  std::vector<protocol::GrantedFile> opened(const protocol::FilesPush& push) const {
    const auto& key = service_.runtime_key;
    const crypto::Bytes plain =
        crypto::open_as_holder(key, protocol::kPushPurpose, protocol::push_binding(key.public_key(), push.generation),
                               push.sealed)
            .value();
    return protocol::decode_files(plain).value();
  }

  void begin(const RuntimeApiLimits& limits = {}) {
    api_ = std::make_unique<RuntimeApi>(*cas_.store, *cas_.activator, *identity_, limits);
    UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in name = {};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(name);
    ASSERT_EQ(bind(listener.get(), reinterpret_cast<const sockaddr*>(&name), size), 0);
    ASSERT_EQ(listen(listener.get(), 64), 0);
    ASSERT_EQ(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&name), &size), 0);
    port_ = name.sin_port;
    thread_ = std::thread(
        [this, own = std::move(listener)]() mutable { EXPECT_TRUE(api_->serve(std::move(own), stop_.get())); });
  }
  void end() {
    if (!thread_.joinable()) return;
    const std::uint64_t one = 1;
    EXPECT_EQ(::write(stop_.get(), &one, sizeof(one)), ssize_t{sizeof(one)});
    thread_.join();
  }

  UniqueFd dial() const {
    UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in name = {};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    name.sin_port = port_;
    EXPECT_EQ(connect(socket.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name)), 0);
    return socket;
  }

  struct Peer {
    TlsChannel channel;
    protocol::Challenge challenge;
  };
  Peer meet() const {
    TlsChannel channel = TlsChannel::connect(dial(), kPatience).value();
    const crypto::Bytes message = read_frame(channel, protocol::kProvisionMessageLimit).value();
    return {std::move(channel), protocol::decode_challenge(message).value()};
  }
  crypto::Sha512Digest bound_of(const Peer& peer) const {
    protocol::ChannelFacts facts;
    facts.nonce = peer.challenge.nonce;
    facts.exported = peer.channel.export_binding(protocol::kProvisionExporterLabel, peer.challenge.nonce).value();
    facts.server_key_id = peer.channel.server_key_id();
    return protocol::bound_value(facts, service_.runtime_key.public_key(), "shop", "web");
  }
  static Result<protocol::Answer> ask(Peer& peer, const protocol::ProvisionRequest& request) {
    if (auto sent = write_frame(peer.channel, encode(request)); !sent) return sent.error();
    const crypto::Bytes answer = CASEMATE_TRY(read_frame(peer.channel, protocol::kProvisionMessageLimit));
    return protocol::decode_answer(answer);
  }
  protocol::ProvisionRequest request_over(const crypto::Sha512Digest& bound) const {
    protocol::ProvisionRequest request = service_.request("shop", "web");
    request.evidence = service_.evidence_for(bound);
    return request;
  }

  testing_support::SimulatedCas cas_;
  std::optional<crypto::TlsIdentity> identity_;
  SimulatedService service_;
  UniqueFd stop_{eventfd(0, EFD_CLOEXEC)};
  in_port_t port_ = 0;
  std::unique_ptr<RuntimeApi> api_;
  std::thread thread_;
};

TEST_F(RuntimeApiTest, GrantsToTheRuntimeKeyAndTakesPositions) {
  begin();
  Peer peer = meet();
  EXPECT_EQ(peer.channel.server_key_id(), identity_->key_id());
  const auto answer = ask(peer, request_over(bound_of(peer)));
  ASSERT_TRUE(answer);
  ASSERT_TRUE(answer.value().is_granted);
  const crypto::Bytes plain = crypto::open_as_holder(service_.runtime_key, protocol::kProvisionGrantPurpose,
                                                     service_.runtime_key.public_key(), answer.value().grant.sealed)
                                  .value();
  EXPECT_EQ(protocol::decode_configuration(plain).value().arguments, std::vector<std::string>{"/bin/server"});
  for (const auto& [volume, expected] : {std::pair{"data", true}, std::pair{"other", false}}) {
    ASSERT_TRUE(write_frame(peer.channel, encode(protocol::TagUpdate{volume, {1, 7, {}}})));
    const crypto::Bytes taken = read_frame(peer.channel, 4096).value();
    EXPECT_EQ(protocol::decode_tag_answer(taken).value().accepted, expected) << volume;
  }
  EXPECT_EQ(api_->activation_count(), 1U);
  EXPECT_EQ(api_->connection_count(), 1U);
}

TEST_F(RuntimeApiTest, RefusesEvidenceOfAnotherConnection) {
  begin();
  Peer first = meet(), second = meet();
  EXPECT_NE(crypto::to_hex(first.challenge.nonce), crypto::to_hex(second.challenge.nonce));
  const protocol::ProvisionRequest request = request_over(bound_of(first));
  EXPECT_FALSE(ask(second, request).value().is_granted) << "relayed";
  EXPECT_TRUE(ask(first, request).value().is_granted);
  Peer third = meet();
  EXPECT_FALSE(ask(third, request).value().is_granted) << "replayed";
}

TEST_F(RuntimeApiTest, RefusesTheNonceOfThisConnectionBoundToAnotherChannel) {
  begin();
  Peer victim = meet(), relay = meet();
  // Whoever relays passes the nonce on; the victim binds it to the channel that it sees.
  protocol::ChannelFacts facts;
  facts.nonce = relay.challenge.nonce;
  facts.exported = victim.channel.export_binding(protocol::kProvisionExporterLabel, relay.challenge.nonce).value();
  facts.server_key_id = victim.channel.server_key_id();
  const auto bound = protocol::bound_value(facts, service_.runtime_key.public_key(), "shop", "web");
  EXPECT_FALSE(ask(relay, request_over(bound)).value().is_granted);
}

TEST_F(RuntimeApiTest, RefusesAnotherRuntimeKeyThanTheEvidenceBinds) {
  begin();
  Peer peer = meet();
  protocol::ProvisionRequest request = request_over(bound_of(peer));
  request.runtime_key = crypto::AgreementKey::generate().value().public_key();
  EXPECT_FALSE(ask(peer, request).value().is_granted);
}

TEST_F(RuntimeApiTest, TellsARefusedPeerAReferenceOnly) {
  begin();
  Peer peer = meet();
  const auto answer = ask(peer, request_over({}));
  ASSERT_FALSE(answer.value().is_granted);
  const std::string& reference = answer.value().refusal.reference;
  EXPECT_EQ(reference.size(), 16U);
  EXPECT_EQ(reference.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_TRUE(cas_.activator->why(reference));
  EXPECT_FALSE(read_frame(peer.channel, 4096)) << "the conversation is over";
}

TEST_F(RuntimeApiTest, EndsConversationsWithMalformedAndOversizeMessages) {
  begin();
  const crypto::Bytes garbage(100, std::byte{0xff});
  const crypto::Bytes huge(protocol::kProvisionRequestLimit + 1);
  for (const crypto::Bytes& message : {crypto::Bytes(), garbage, huge}) {
    Peer peer = meet();
    static_cast<void>(write_frame(peer.channel, message));
    EXPECT_FALSE(read_frame(peer.channel, 4096)) << message.size();
  }
  Peer after = meet();
  EXPECT_TRUE(ask(after, request_over(bound_of(after))).value().is_granted);
}

TEST_F(RuntimeApiTest, DropsTheOldestPeerThatProvesNothingForANewOne) {
  RuntimeApiLimits limits;
  limits.unproved = 2;
  limits.nonce_lifetime = std::chrono::hours(1);  // nothing else drops anybody
  begin(limits);
  Peer first = meet(), second = meet();
  const auto kept = ask(second, request_over(bound_of(second)));
  ASSERT_TRUE(kept.value().is_granted);
  Peer third = meet(), fourth = meet();
  const auto crowded_out = read_frame(first.channel, 4096);
  ASSERT_FALSE(crowded_out);
  EXPECT_NE(crowded_out.error().system_code(), ETIMEDOUT);
  EXPECT_TRUE(ask(third, request_over(bound_of(third))).value().is_granted);
  EXPECT_TRUE(ask(fourth, request_over(bound_of(fourth))).value().is_granted);
  ASSERT_TRUE(write_frame(second.channel, encode(protocol::TagUpdate{"other", {1, 7, {}}})));
  EXPECT_TRUE(read_frame(second.channel, 4096)) << "who has proved something stays";
}

TEST_F(RuntimeApiTest, DropsPeersThatAreSilentForTheNoncesLifetime) {
  RuntimeApiLimits limits;
  limits.nonce_lifetime = std::chrono::milliseconds(50);
  begin(limits);
  const UniqueFd silent = dial();
  char byte = 0;
  EXPECT_EQ(::read(silent.get(), &byte, 1), 0);
}

TEST_F(RuntimeApiTest, EndsAllConnectionsWhenItStops) {
  begin();
  Peer granted = meet(), waiting = meet();
  ASSERT_TRUE(ask(granted, request_over(bound_of(granted))).value().is_granted);
  end();
  EXPECT_FALSE(read_frame(granted.channel, 4096));
  EXPECT_FALSE(read_frame(waiting.channel, 4096));
  EXPECT_EQ(api_->connection_count(), 0U);
}

TEST_F(RuntimeApiTest, ServesManyAtOnce) {
  begin();
  std::vector<std::thread> all;
  std::atomic<int> granted{0};
  for (int i = 0; i < 8; ++i) {
    all.emplace_back([&] {
      for (int round = 0; round < 8; ++round) {
        Peer peer = meet();
        const auto answer = ask(peer, request_over(bound_of(peer)));
        if (answer && answer.value().is_granted) ++granted;
        EXPECT_TRUE(write_frame(peer.channel, encode(protocol::TagUpdate{"data", {1, 7, {}}})));
        EXPECT_TRUE(read_frame(peer.channel, 4096));
      }
    });
  }
  for (auto& thread : all) thread.join();
  EXPECT_EQ(granted, 64);
}

TEST_F(RuntimeApiTest, PushesNewContentsOfFilesAndNothingElse) {
  begin();
  Peer peer = meet();
  ASSERT_TRUE(ask(peer, request_over(bound_of(peer))).value().is_granted);
  update(text("first") + "# nothing that files show\n");
  std::uint64_t last = 0;
  for (const std::string token : {"second", "third"}) {
    update(text(token));
    const auto push = protocol::decode_files_push(read_frame(peer.channel, 65536).value());
    ASSERT_TRUE(push);
    EXPECT_GT(push.value().generation, last);
    last = push.value().generation;
    const auto files = opened(push.value());
    ASSERT_EQ(files.size(), 1U);
    EXPECT_EQ(files[0].path, "/etc/token");
    EXPECT_EQ(files[0].content, token);
  }
  EXPECT_EQ(api_->push_count(), 2U);
  EXPECT_EQ(api_->connection_count(), 1U);
  ASSERT_TRUE(write_frame(peer.channel, encode(protocol::TagUpdate{"data", {1, 7, {}}})));
  EXPECT_TRUE(protocol::decode_tag_answer(read_frame(peer.channel, 4096).value())) << "it goes on";
}

TEST_F(RuntimeApiTest, PushesToWhoGoesOnAfterABrokenConnection) {
  begin();
  crypto::Bytes holder;
  {
    Peer peer = meet();
    const auto answer = ask(peer, request_over(bound_of(peer)));
    const crypto::Bytes plain = crypto::open_as_holder(service_.runtime_key, protocol::kProvisionGrantPurpose,
                                                       service_.runtime_key.public_key(), answer.value().grant.sealed)
                                    .value();
    holder = protocol::decode_configuration(plain).value().holder;
  }
  update(text("second"));  // while nobody is there
  Peer peer = meet();
  protocol::ProvisionRequest request = request_over(bound_of(peer));
  request.resumed = holder;
  ASSERT_TRUE(ask(peer, request).value().is_granted);
  const auto push = protocol::decode_files_push(read_frame(peer.channel, 65536).value());
  EXPECT_EQ(opened(push.value()).at(0).content, "second");
}

TEST_F(RuntimeApiTest, RevokesWhoTheSessionAllowsNoLonger) {
  begin();
  Peer peer = meet(), other = meet();
  ASSERT_TRUE(ask(peer, request_over(bound_of(peer))).value().is_granted);
  std::string changed = text();
  changed.replace(changed.find(service_.las_key_id()), 64, std::string(64, '1'));
  update(changed);
  const auto revocation = protocol::decode_revocation(read_frame(peer.channel, 4096).value());
  ASSERT_TRUE(revocation);
  EXPECT_TRUE(cas_.activator->why(revocation.value().reference));
  EXPECT_FALSE(read_frame(peer.channel, 4096)) << "and its positions are not taken any more";
  EXPECT_FALSE(ask(other, request_over(bound_of(other))).value().is_granted);
  EXPECT_EQ(api_->revocation_count(), 1U);
}

TEST_F(RuntimeApiTest, RevokesWhoseSessionIsRemoved) {
  begin();
  Peer peer = meet();
  ASSERT_TRUE(ask(peer, request_over(bound_of(peer))).value().is_granted);
  const auto stored = cas_.registry->find("shop");
  ASSERT_TRUE(cas_.registry->remove("shop", crypto::to_hex(stored.value()->record.hash), cas_.owner));
  EXPECT_TRUE(protocol::decode_revocation(read_frame(peer.channel, 4096).value()));
}

}  // namespace
}  // namespace casemate::cas
