#include "crypto/tls_handshake.h"

#include <gtest/gtest.h>

#include "crypto/testing/openssl_peer.h"
#include "crypto/testing/test_authority.h"

namespace casemate::crypto {
namespace {

using testing::Leaf;
using testing::LeafRequest;
using testing::OpensslPeer;
using testing::OpensslPeerSettings;
using testing::TestAuthority;
using Progress = TlsHandshake::Progress;

const TestAuthority& authority() {
  static const TestAuthority* const made = new TestAuthority();
  return *made;
}

// Good identities of both sides.
TlsEndpointSettings settings_of(TlsSide side, const Leaf& leaf) {
  TlsEndpointSettings settings;
  settings.side = side;
  settings.certificate_chain = leaf.certificate;
  settings.private_key = leaf.key;
  settings.anchors = authority().certificate();
  return settings;
}
TlsEndpointSettings server_settings() { return settings_of(TlsSide::kServer, authority().issue()); }
TlsEndpointSettings client_settings() { return settings_of(TlsSide::kClient, authority().issue()); }

struct Ended {
  bool is_complete = false;
  std::string error;
  TlsOutcome outcome;
};

void note(Ended& ended, TlsHandshake& handshake, const Result<Progress>& progress) {
  if (!progress.has_value()) ended.error = progress.error().message();
  ended.is_complete = progress.has_value() && progress.value() == Progress::kComplete;
  if (ended.is_complete) ended.outcome = handshake.take_outcome();
}

// Carries bytes between the two until both have ended or nothing moves any more.
void connect(TlsHandshake& client, TlsHandshake& server, Ended& client_end, Ended& server_end) {
  note(client_end, client, client.advance({}));
  for (int round = 0; round < 10; ++round) {
    const Bytes to_server = client.take_output();
    if (!to_server.empty() && !server_end.is_complete && server_end.error.empty()) {
      note(server_end, server, server.advance(to_server));
    }
    const Bytes to_client = server.take_output();
    if (!to_client.empty() && !client_end.is_complete && client_end.error.empty()) {
      note(client_end, client, client.advance(to_client));
    }
  }
}

struct Outcomes {
  Ended client, server;
};
Outcomes connect(const TlsEndpointSettings& client, const TlsEndpointSettings& server) {
  const TlsEndpoint client_endpoint = TlsEndpoint::make(client).value(),
                    server_endpoint = TlsEndpoint::make(server).value();
  TlsHandshake client_handshake = TlsHandshake::start(client_endpoint, "server.test").value();
  TlsHandshake server_handshake = TlsHandshake::start(server_endpoint).value();
  Outcomes outcomes;
  connect(client_handshake, server_handshake, outcomes.client, outcomes.server);
  return outcomes;
}

// Our server meets a client that is OpenSSL's; gives the server's end.
Ended serve(const TlsEndpoint& endpoint, OpensslPeer& client) {
  TlsHandshake server = TlsHandshake::start(endpoint).value();
  Ended end;
  Bytes to_server = client.shake_hands({});
  for (int round = 0; round < 10 && !end.is_complete && end.error.empty(); ++round) {
    note(end, server, server.advance(to_server));
    const Bytes out = server.take_output();
    to_server = end.is_complete ? Bytes() : client.shake_hands(out);
    Bytes ignored;
    if (end.is_complete) client.read(out, ignored);
  }
  return end;
}

OpensslPeerSettings good_client() {
  const Leaf leaf = authority().issue();
  OpensslPeerSettings settings;
  settings.certificate = leaf.certificate;
  settings.key = leaf.key;
  settings.anchors = authority().certificate();
  return settings;
}

TEST(TlsHandshake, GivesBothEndsTheSameSecretsAndNames) {
  const Outcomes outcomes = connect(client_settings(), server_settings());
  ASSERT_TRUE(outcomes.client.is_complete) << outcomes.client.error;
  ASSERT_TRUE(outcomes.server.is_complete) << outcomes.server.error;
  const TlsOutcome &client = outcomes.client.outcome, &server = outcomes.server.outcome;
  EXPECT_EQ(client.suite, 0x1302);
  EXPECT_EQ(server.suite, 0x1302);
  EXPECT_TRUE(equal(client.client_secret.expose(), server.client_secret.expose()));
  EXPECT_TRUE(equal(client.server_secret.expose(), server.server_secret.expose()));
  EXPECT_FALSE(equal(client.client_secret.expose(), client.server_secret.expose()));
  EXPECT_FALSE(is_all_zero(client.client_secret.expose()));
  EXPECT_EQ(server.server_name, "server.test");
  EXPECT_EQ(client.peer.names, std::vector<std::string>{"dns:server.test"});
  EXPECT_EQ(server.peer.common_name, "test");
  EXPECT_EQ(server.write_sequence, 1U);  // one ticket
  EXPECT_EQ(client.write_sequence, 0U);
}

TEST(TlsHandshake, TakesItsInputInAnyPieces) {
  const TlsEndpoint server_endpoint = TlsEndpoint::make(server_settings()).value();
  OpensslPeer client(good_client());
  TlsHandshake server = TlsHandshake::start(server_endpoint).value();
  Bytes to_server = client.shake_hands({});
  bool is_complete = false;
  for (int round = 0; round < 3 && !is_complete; ++round) {
    for (const std::byte& octet : to_server) {
      const auto progress = server.advance(ByteView(&octet, 1));
      ASSERT_TRUE(progress.has_value()) << progress.error().message();
      is_complete = progress.value() == Progress::kComplete;
    }
    to_server = client.shake_hands(server.take_output());
  }
  EXPECT_TRUE(is_complete);
  EXPECT_TRUE(client.is_connected());
}

TEST(TlsHandshake, HandsBackWhatCameBehindIt) {
  const TlsEndpoint endpoint = TlsEndpoint::make(server_settings()).value();
  OpensslPeer client(good_client());
  TlsHandshake server = TlsHandshake::start(endpoint).value();
  ASSERT_TRUE(server.advance(client.shake_hands({})).has_value());
  Bytes last = client.shake_hands(server.take_output());
  const Bytes request = client.write(as_byte_view("GET / HTTP/1.0"));
  append(last, request);
  append(last, ByteView(request).first(7));  // and the begin of another record
  const auto progress = server.advance(last);
  ASSERT_TRUE(progress.has_value());
  ASSERT_EQ(progress.value(), Progress::kComplete);
  Bytes expected = request;
  append(expected, ByteView(request).first(7));
  EXPECT_EQ(server.take_outcome().leftover, expected);
}

struct Refusal {
  const char* name;
  void (*spoil)(TlsEndpointSettings& client, TlsEndpointSettings& server);
  bool server_refuses;  // otherwise the client does
  const char* reason;   // part of it
};

Leaf issue(void (*change)(LeafRequest&)) {
  LeafRequest request;
  change(request);
  return authority().issue(request);
}
void use(TlsEndpointSettings& settings, const Leaf& leaf) {
  settings.certificate_chain = leaf.certificate;
  settings.private_key = leaf.key;
}

const Refusal kRefusals[] = {
    {"client without certificate",
     [](TlsEndpointSettings& client, TlsEndpointSettings&) {
       client.certificate_chain.clear();
       client.private_key.clear();
     },
     true, "shows no certificate"},
    {"client of another authority",
     [](TlsEndpointSettings& client, TlsEndpointSettings&) { use(client, TestAuthority("other").issue()); }, true,
     "unable to get local issuer"},
    {"server of another authority",
     [](TlsEndpointSettings&, TlsEndpointSettings& server) { use(server, TestAuthority("other").issue()); }, false,
     "unable to get local issuer"},
    {"expired client",
     [](TlsEndpointSettings& client, TlsEndpointSettings&) {
       use(client, issue([](LeafRequest& request) { request.not_after = -5; }));
     },
     true, "has expired"},
    {"expired server",
     [](TlsEndpointSettings&, TlsEndpointSettings& server) {
       use(server, issue([](LeafRequest& request) { request.not_after = -5; }));
     },
     false, "has expired"},
    {"server of tomorrow",
     [](TlsEndpointSettings&, TlsEndpointSettings& server) {
       use(server, issue([](LeafRequest& request) { request.not_before = 1800; }));
     },
     false, "not yet valid"},
    {"client's certificate is for servers",
     [](TlsEndpointSettings& client, TlsEndpointSettings&) {
       use(client, issue([](LeafRequest& request) { request.purpose = "serverAuth"; }));
     },
     true, "unsuitable certificate purpose"},
    {"server's certificate is for clients",
     [](TlsEndpointSettings&, TlsEndpointSettings& server) {
       use(server, issue([](LeafRequest& request) { request.purpose = "clientAuth"; }));
     },
     false, "unsuitable certificate purpose"},
    {"server with another DNS name",
     [](TlsEndpointSettings& client, TlsEndpointSettings&) {
       client.peer_dns_names = {"else.test", "b.test"};
     },
     false, "none of the wanted names, but: dns:server.test"},
    {"server whose name is only its common name",
     [](TlsEndpointSettings& client, TlsEndpointSettings& server) {
       use(server, issue([](LeafRequest& request) {
             request.common_name = "server.test";
             request.names = {"DNS:else.test"};
           }));
       client.peer_dns_names = {"server.test"};
     },
     false, "none of the wanted names"},
    {"client with another URI",
     [](TlsEndpointSettings& client, TlsEndpointSettings& server) {
       use(client, issue([](LeafRequest& request) { request.names = {"URI:casemate://bank/web2"}; }));
       server.peer_uris = {"casemate://bank/web"};
     },
     true, "none of the wanted names, but: uri:casemate://bank/web2"},
    {"name of a DNS entry where a URI is wanted",
     [](TlsEndpointSettings& client, TlsEndpointSettings& server) {
       use(client, issue([](LeafRequest& request) { request.names = {"DNS:web"}; }));
       server.peer_uris = {"web"};
     },
     true, "none of the wanted names"},
    {"client without any name",
     [](TlsEndpointSettings& client, TlsEndpointSettings& server) {
       use(client, issue([](LeafRequest& request) { request.names.clear(); }));
       server.peer_uris = {"casemate://bank/web"};
     },
     true, "but: none"},
    {"revoked client",
     [](TlsEndpointSettings& client, TlsEndpointSettings& server) {
       const Leaf leaf = authority().issue();
       use(client, leaf);
       server.revocation_lists = authority().revoke({5, leaf.serial});
     },
     true, "revoked"},
    {"revocation list that is too old",
     [](TlsEndpointSettings&, TlsEndpointSettings& server) { server.revocation_lists = authority().revoke({}, -60); },
     true, "CRL has expired"},
    {"revocation list of another authority only",
     [](TlsEndpointSettings&, TlsEndpointSettings& server) {
       server.revocation_lists = TestAuthority("other").revoke({});
     },
     true, "unable to get certificate CRL"},
    {"no common protocol",
     [](TlsEndpointSettings& client, TlsEndpointSettings& server) {
       client.protocols = {"h2"};
       server.protocols = {"http/1.1"};
     },
     true, "no application protocol"},
};

TEST(TlsHandshake, RefusesBadPeersAndSaysWhy) {
  for (const Refusal& refusal : kRefusals) {
    SCOPED_TRACE(refusal.name);
    TlsEndpointSettings client = client_settings(), server = server_settings();
    refusal.spoil(client, server);
    const Outcomes outcomes = connect(client, server);
    const Ended& refuser = refusal.server_refuses ? outcomes.server : outcomes.client;
    EXPECT_FALSE(refuser.is_complete);
    EXPECT_NE(refuser.error.find(refusal.reason), std::string::npos) << refuser.error;
    EXPECT_FALSE(outcomes.server.is_complete);
  }
}

struct Acceptance {
  const char* name;
  void (*change)(TlsEndpointSettings& client, TlsEndpointSettings& server);
};
const Acceptance kAcceptances[] = {
    {"wanted DNS name",
     [](TlsEndpointSettings& client, TlsEndpointSettings&) { client.peer_dns_names = {"server.test"}; }},
    {"wildcard of the certificate",
     [](TlsEndpointSettings& client, TlsEndpointSettings& server) {
       use(server, issue([](LeafRequest& request) { request.names = {"DNS:*.cluster.test"}; }));
       client.peer_dns_names = {"db.cluster.test"};
     }},
    {"URI, where a DNS name would do as well",
     [](TlsEndpointSettings& client, TlsEndpointSettings& server) {
       use(client, issue([](LeafRequest& request) { request.names = {"DNS:a", "URI:casemate://bank/web"}; }));
       server.peer_dns_names = {"b"};
       server.peer_uris = {"casemate://bank/web"};
     }},
    {"the peer's own certificate as anchor",
     [](TlsEndpointSettings& client, TlsEndpointSettings& server) { server.anchors = client.certificate_chain; }},
    {"client without certificate where none is wanted",
     [](TlsEndpointSettings& client, TlsEndpointSettings& server) {
       client.certificate_chain.clear();
       client.private_key.clear();
       server.peer_proof = TlsPeerProof::kNone;
       server.anchors.clear();
     }},
    {"revocation list that names others",
     [](TlsEndpointSettings&, TlsEndpointSettings& server) { server.revocation_lists = authority().revoke({5}); }},
};

TEST(TlsHandshake, AcceptsGoodPeers) {
  for (const Acceptance& acceptance : kAcceptances) {
    SCOPED_TRACE(acceptance.name);
    TlsEndpointSettings client = client_settings(), server = server_settings();
    acceptance.change(client, server);
    const Outcomes outcomes = connect(client, server);
    EXPECT_TRUE(outcomes.client.is_complete) << outcomes.client.error;
    EXPECT_TRUE(outcomes.server.is_complete) << outcomes.server.error;
  }
}

TEST(TlsHandshake, ChoosesTheProtocolThatTheServerWantsMost) {
  TlsEndpointSettings client = client_settings(), server = server_settings();
  client.protocols = {"http/1.1", "h2"};
  server.protocols = {"h2", "http/1.1"};
  const Outcomes outcomes = connect(client, server);
  EXPECT_EQ(outcomes.client.outcome.protocol, "h2");
  EXPECT_EQ(outcomes.server.outcome.protocol, "h2");
}

TEST(TlsHandshake, RefusesOlderVersionsAndOtherSuites) {
  const TlsEndpoint endpoint = TlsEndpoint::make(server_settings()).value();
  OpensslPeerSettings old = good_client();
  old.largest_version = 0x0303;
  OpensslPeer old_client(old);
  EXPECT_NE(serve(endpoint, old_client).error.find("offers no TLS 1.3"), std::string::npos);
  OpensslPeerSettings other = good_client();
  other.suites = "TLS_CHACHA20_POLY1305_SHA256";
  OpensslPeer other_client(other);
  EXPECT_NE(serve(endpoint, other_client).error.find("no AES-GCM suite"), std::string::npos);
}

// A man in the middle who takes TLS 1.3 out of the client's offer.
TEST(TlsHandshake, RefusesAnOfferThatWasChangedOnTheWay) {
  const TlsEndpoint endpoint = TlsEndpoint::make(server_settings()).value();
  OpensslPeer client(good_client());
  Bytes offer = client.shake_hands({});
  const std::byte wanted[] = {std::byte{0}, std::byte{0x2b}};  // supported_versions
  const auto at = std::search(offer.begin() + 40, offer.end(), std::begin(wanted), std::end(wanted));
  ASSERT_NE(at, offer.end());
  at[1] = std::byte{0xfe};
  TlsHandshake server = TlsHandshake::start(endpoint).value();
  const auto progress = server.advance(offer);
  ASSERT_FALSE(progress.has_value());
  EXPECT_NE(progress.error().message().find("offers no TLS 1.3"), std::string::npos) << progress.error().message();
  EXPECT_FALSE(server.take_output().empty());  // an alert
}

// The changed offer leads to different keys, so the first protected record fails.
TEST(TlsHandshake, NoticesAnySmallChangeOfTheOffer) {
  const TlsEndpoint endpoint = TlsEndpoint::make(server_settings()).value();
  OpensslPeer client(good_client());
  Bytes offer = client.shake_hands({});
  offer[20] ^= std::byte{1};  // within the client's random number
  TlsHandshake server = TlsHandshake::start(endpoint).value();
  ASSERT_TRUE(server.advance(offer).has_value());
  client.shake_hands(server.take_output());
  EXPECT_FALSE(client.is_connected());
  EXPECT_FALSE(client.error().empty());
}

TEST(TlsHandshake, RefusesPlainTextAndGarbage) {
  const TlsEndpoint endpoint = TlsEndpoint::make(server_settings()).value();
  for (const std::string_view text :
       {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n", "*1\r\n$4\r\nPING\r\n"}) {
    TlsHandshake server = TlsHandshake::start(endpoint).value();
    const auto progress = server.advance(as_byte_view(text));
    ASSERT_FALSE(progress.has_value()) << text;
    EXPECT_NE(progress.error().message().find("does not speak TLS"), std::string::npos) << progress.error().message();
    EXPECT_FALSE(server.advance(as_byte_view("more")).has_value());
  }
}

TEST(TlsHandshake, BoundsWhatAPeerMaySend) {
  const TlsEndpoint endpoint = TlsEndpoint::make(server_settings()).value();
  TlsHandshake server = TlsHandshake::start(endpoint).value();
  // A ClientHello that announces 16 MiB, in records of 16 KiB.
  Bytes record = {std::byte{22}, std::byte{3},    std::byte{1},    std::byte{0x40}, std::byte{0},
                  std::byte{1},  std::byte{0xff}, std::byte{0xff}, std::byte{0xff}};
  record.resize(5 + 16384);
  std::size_t sent = 0;
  for (;;) {
    sent += record.size();
    if (!server.advance(record).has_value()) break;
    ASSERT_LE(sent, kMostHandshakeBytes + record.size());
  }
  SUCCEED() << sent;
}

TEST(TlsHandshake, NeedsInputForEveryCutOfAGoodOffer) {
  const TlsEndpoint endpoint = TlsEndpoint::make(server_settings()).value();
  OpensslPeer client(good_client());
  const Bytes offer = client.shake_hands({});
  for (std::size_t size = 0; size < offer.size(); size += 13) {
    TlsHandshake server = TlsHandshake::start(endpoint).value();
    const auto progress = server.advance(ByteView(offer).first(size));
    ASSERT_TRUE(progress.has_value()) << size;
    EXPECT_EQ(progress.value(), Progress::kNeedsInput);
  }
}

TEST(TlsHandshake, ResumesWithATicketOnceAndChecksThePeerAgain) {
  const TlsEndpoint endpoint = TlsEndpoint::make(server_settings()).value();
  OpensslPeerSettings settings = good_client();
  OpensslPeer first(settings);
  ASSERT_TRUE(serve(endpoint, first).is_complete);
  OpensslPeer second(settings);
  second.take_session_from(first);
  const Ended end = serve(endpoint, second);
  ASSERT_TRUE(end.is_complete) << end.error;
  EXPECT_TRUE(end.outcome.is_resumed);
  EXPECT_TRUE(second.is_resumed());
  EXPECT_EQ(end.outcome.peer.common_name, "test");
}

TEST(TlsHandshake, VoidsTicketsWhenTheEndpointIsReplaced) {
  const TlsEndpointSettings same = server_settings();
  const TlsEndpoint before = TlsEndpoint::make(same).value(), after = TlsEndpoint::make(same).value();
  OpensslPeerSettings settings = good_client();
  OpensslPeer first(settings);
  ASSERT_TRUE(serve(before, first).is_complete);
  OpensslPeer second(settings);
  second.take_session_from(first);
  const Ended end = serve(after, second);
  ASSERT_TRUE(end.is_complete) << end.error;
  EXPECT_FALSE(end.outcome.is_resumed);
}

TEST(TlsHandshake, RefusesARevokedPeerWithATicketAfterTheListCame) {
  const Leaf leaf = authority().issue();
  TlsEndpointSettings settings = server_settings();
  const TlsEndpoint before = TlsEndpoint::make(settings).value();
  settings.revocation_lists = authority().revoke({leaf.serial});
  const TlsEndpoint after = TlsEndpoint::make(settings).value();
  OpensslPeerSettings client = good_client();
  client.certificate = leaf.certificate;
  client.key = leaf.key;
  OpensslPeer first(client);
  ASSERT_TRUE(serve(before, first).is_complete);
  OpensslPeer second(client);
  second.take_session_from(first);
  const Ended end = serve(after, second);
  EXPECT_FALSE(end.is_complete);
  EXPECT_NE(end.error.find("revoked"), std::string::npos) << end.error;
}

TEST(TlsHandshake, KeepsAClientsTicketAndUsesItOnce) {
  const TlsEndpoint endpoint = TlsEndpoint::make(client_settings()).value();
  const TlsEndpoint server_endpoint = TlsEndpoint::make(server_settings()).value();
  bool was_resumed[3] = {};
  for (int i = 0; i < 3; ++i) {
    TlsHandshake client = TlsHandshake::start(endpoint, "server.test").value();
    TlsHandshake server = TlsHandshake::start(server_endpoint).value();
    ASSERT_TRUE(client.advance({}).has_value());
    ASSERT_TRUE(server.advance(client.take_output()).has_value());
    ASSERT_EQ(client.advance(server.take_output()).value(), Progress::kComplete);
    ASSERT_EQ(server.advance(client.take_output()).value(), Progress::kComplete);
    was_resumed[i] = client.take_outcome().is_resumed;
    EXPECT_EQ(server.take_outcome().is_resumed, was_resumed[i]);
    const Bytes ticket = server.take_output();
    EXPECT_EQ(i == 0 && client.take_ticket_record(ticket), i == 0);
  }
  EXPECT_FALSE(was_resumed[0]);
  EXPECT_TRUE(was_resumed[1]);
  EXPECT_FALSE(was_resumed[2]);
}

TEST(TlsEndpoint, RefusesUnusableSettings) {
  const auto category = [](void (*spoil)(TlsEndpointSettings&)) {
    TlsEndpointSettings settings = server_settings();
    spoil(settings);
    const auto endpoint = TlsEndpoint::make(settings);
    return endpoint.has_value() ? "none" : endpoint.error().category() == ErrorCategory::kFormat ? "format" : "usage";
  };
  EXPECT_STREQ(category([](TlsEndpointSettings&) {}), "none");
  EXPECT_STREQ(category([](TlsEndpointSettings& settings) { settings.private_key = authority().issue().key; }),
               "usage");
  EXPECT_STREQ(category([](TlsEndpointSettings& settings) { settings.private_key.clear(); }), "usage");
  EXPECT_STREQ(category([](TlsEndpointSettings& settings) { settings.certificate_chain.clear(); }), "usage");
  EXPECT_STREQ(category([](TlsEndpointSettings& settings) { settings.anchors.clear(); }), "usage");
  EXPECT_STREQ(category([](TlsEndpointSettings& settings) { settings.protocols = {""}; }), "usage");
  const char* const broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  TlsEndpointSettings settings = server_settings();
  settings.anchors = broken;
  ASSERT_FALSE(TlsEndpoint::make(settings).has_value());
  EXPECT_EQ(TlsEndpoint::make(settings).error().category(), ErrorCategory::kFormat);
}

}  // namespace
}  // namespace casemate::crypto
