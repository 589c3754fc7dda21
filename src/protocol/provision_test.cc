#include "protocol/provision.h"

#include <gtest/gtest.h>

#include "protocol/start_request.h"

namespace casemate::protocol {
namespace {

ProvisionRequest sample_request() {
  ProvisionRequest request;
  request.evidence = Bytes(300, std::byte{5});
  request.runtime_key.fill(std::byte{9});
  request.session = "shop/web";
  request.service = "web";
  request.host_arguments = {"web", std::string("\xff\x01 odd"), ""};
  request.environment = {{"LANG", "C"}, {"EMPTY", ""}};
  request.resumed = Bytes(kProvisionHolderSize, std::byte{8});
  return request;
}

Configuration sample_configuration() {
  Configuration configuration;
  configuration.arguments = {"/usr/bin/web", "--port", "80"};
  configuration.environment = {{"PASSWORD", "secret"}};
  configuration.working_directory = "/srv";
  configuration.files = {{"/etc/web.conf", 0400, "key = secret\n"}};
  GrantedVolume volume;
  volume.name = "data";
  volume.path = "/srv";
  volume.key.fill(std::byte{3});
  volume.tag = {1, 77, {}};
  volume.freshness = VolumeFreshness::kBounded;
  volume.bound_milliseconds = 500;
  configuration.volumes = {volume};
  configuration.regions = {{"/proc", RegionProtection::kHost, "", true}};
  configuration.digests = {{"/usr/bin/web", std::string(64, 'a')}};
  configuration.network.mode = NetworkMode::kDenyOthers;
  configuration.network.rules.resize(2);
  configuration.network.rules[0] = {RuleEnd::kServer, "web", "TCP:8443", "", true, true, "key", "ca", {"uri:x"}};
  configuration.network.rules[1] = {RuleEnd::kClient, "db", "TCP:db:5432", "*", false, false, "", "", {}};
  configuration.holder = Bytes(kProvisionHolderSize, std::byte{7});
  return configuration;
}

// Every message that is cut off anywhere, or goes on behind its end, is refused.
template <typename Decode>
void expect_exact(const Bytes& message, Decode decode) {
  ASSERT_TRUE(decode(message).has_value());
  for (std::size_t size = 0; size < message.size(); ++size) {
    EXPECT_FALSE(decode(ByteView(message).first(size)).has_value()) << size;
  }
  Bytes longer = message;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(decode(longer).has_value());
}

TEST(Provision, RequestComesBackAsItWas) {
  const Bytes bytes = encode(sample_request());
  const auto decoded = decode_request(bytes);
  ASSERT_TRUE(decoded.has_value()) << decoded.error().message();
  EXPECT_EQ(encode(decoded.value()), bytes);
  EXPECT_EQ(decoded.value().host_arguments, sample_request().host_arguments);
  expect_exact(bytes, decode_request);
}

TEST(Provision, ConfigurationComesBackAsItWas) {
  const Bytes bytes = encode(sample_configuration());
  const auto decoded = decode_configuration(bytes);
  ASSERT_TRUE(decoded.has_value()) << decoded.error().message();
  EXPECT_EQ(encode(decoded.value()), bytes);
  EXPECT_EQ(decoded.value().volumes.front().tag, sample_configuration().volumes.front().tag);
  expect_exact(bytes, decode_configuration);
}

TEST(Provision, RulesOfTheNetworkComeBackAsTheyWere) {
  const auto decoded = decode_configuration(encode(sample_configuration()));
  ASSERT_TRUE(decoded.has_value());
  const GrantedNetwork& network = decoded.value().network;
  EXPECT_EQ(network.mode, NetworkMode::kDenyOthers);
  ASSERT_EQ(network.rules.size(), 2U);
  EXPECT_EQ(network.rules[0].identity, "key");
  EXPECT_EQ(network.rules[0].anchors, "ca");
  EXPECT_EQ(network.rules[0].peer_names, std::vector<std::string>{"uri:x"});
  EXPECT_EQ(network.rules[1].end, RuleEnd::kClient);
  EXPECT_EQ(network.rules[1].destination_ip, "*");
  EXPECT_FALSE(network.rules[1].is_protected);
  EXPECT_FALSE(network.rules[1].authenticates_peer);
}

TEST(Provision, RefusesUnknownModesAndEndsOfTheNetwork) {
  Configuration odd = sample_configuration();
  odd.network.mode = static_cast<NetworkMode>(3);
  EXPECT_FALSE(decode_configuration(encode(odd)).has_value());
  odd = sample_configuration();
  odd.network.rules[0].end = static_cast<RuleEnd>(2);
  EXPECT_FALSE(decode_configuration(encode(odd)).has_value());
}

TEST(Provision, SmallMessagesComeBackAsTheyWere) {
  expect_exact(encode(Challenge{{}, "head"}), decode_challenge);
  expect_exact(encode(Grant{Bytes(10), "receipt"}), decode_answer);
  expect_exact(encode(Refusal{"0123456789abcdef"}), decode_answer);
  expect_exact(encode(TagUpdate{"data", {1, 2, {}}}), decode_tag_update);
  expect_exact(encode(TagAnswer{true}), decode_tag_answer);
  StartRequest start;
  start.cas = "unix:/x";
  start.environment = {{"A", "b"}};
  expect_exact(encode(start), decode_start_request);
  EXPECT_FALSE(decode_answer(encode(Refusal{"0123456789abcdef"})).value().is_granted);
}

TEST(Provision, RefusesAnotherMessageThanExpected) {
  EXPECT_FALSE(decode_request(encode(Challenge())).has_value());
  EXPECT_FALSE(decode_answer(encode(sample_request())).has_value());
}

TEST(Provision, RefusesNamesWithNul) {
  ProvisionRequest request = sample_request();
  request.session = std::string("a\0b", 3);
  EXPECT_FALSE(decode_request(encode(request)).has_value());
}

TEST(Provision, BoundValueDependsOnEverything) {
  const ChannelFacts facts{};
  const crypto::AgreementPublicKey key{};
  const auto value = bound_value(facts, key, "s", "v");
  ChannelFacts other_nonce, other_export, other_server;
  other_nonce.nonce[0] = other_export.exported[0] = other_server.server_key_id[0] = std::byte{1};
  for (const ChannelFacts& other : {other_nonce, other_export, other_server}) {
    EXPECT_NE(bound_value(other, key, "s", "v"), value);
  }
  crypto::AgreementPublicKey other_key{};
  other_key[31] = std::byte{1};
  EXPECT_NE(bound_value(facts, other_key, "s", "v"), value);
  EXPECT_NE(bound_value(facts, key, "t", "v"), value);
  EXPECT_NE(bound_value(facts, key, "s", "w"), value);
  EXPECT_NE(bound_value(facts, key, "sv", ""), value);
}

}  // namespace
}  // namespace casemate::protocol
