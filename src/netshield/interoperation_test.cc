// A handshake by src/crypto on our side, then our records; the other side is OpenSSL's from the first byte to the last.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <span>

#include "crypto/testing/openssl_peer.h"
#include "crypto/testing/test_authority.h"
#include "crypto/tls_handshake.h"
#include "netshield/testing/record_end.h"
#include "netshield/traffic_secrets.h"

namespace casemate::netshield {
namespace {

using crypto::as_byte_view;
using crypto::Bytes;
using crypto::ByteView;
using crypto::TlsEndpoint;
using crypto::TlsEndpointSettings;
using crypto::TlsHandshake;
using crypto::TlsSide;
using crypto::testing::Leaf;
using crypto::testing::OpensslPeer;
using crypto::testing::OpensslPeerSettings;
using crypto::testing::TestAuthority;
using testing::RecordEnd;
using Progress = TlsHandshake::Progress;

const TestAuthority& authority() {
  static const TestAuthority* const made = new TestAuthority();
  return *made;
}

OpensslPeerSettings peer_settings(TlsSide our_side, const char* suites) {
  const Leaf leaf = authority().issue();
  OpensslPeerSettings settings;
  settings.is_server = our_side == TlsSide::kClient;
  settings.certificate = leaf.certificate;
  settings.key = leaf.key;
  settings.anchors = authority().certificate();
  settings.suites = suites;
  return settings;
}

TlsEndpoint our_endpoint(TlsSide side) {
  const Leaf leaf = authority().issue();
  TlsEndpointSettings settings;
  settings.side = side;
  settings.certificate_chain = leaf.certificate;
  settings.private_key = leaf.key;
  settings.anchors = authority().certificate();
  return TlsEndpoint::make(settings).value();
}

// A connection that is set up.
class Connected {
 public:
  Connected(TlsSide side, const OpensslPeerSettings& settings)
      : peer(settings), handshake_(TlsHandshake::start(our_endpoint(side), "server.test").value()) {
    Bytes in = side == TlsSide::kServer ? peer.shake_hands({}) : Bytes();
    bool is_complete = false;
    for (int round = 0; round < 5 && !is_complete; ++round) {
      const auto progress = handshake_.advance(in);
      if (!progress.has_value()) return;
      is_complete = progress.value() == Progress::kComplete;
      const Bytes out = handshake_.take_output();
      // The peer's handshake may still need our last flight.
      if (!peer.is_connected()) {
        in = peer.shake_hands(out);
      } else {
        Bytes none;
        peer.read(out, none);
      }
    }
    if (!is_complete || !peer.is_connected()) return;
    crypto::TlsOutcome outcome = handshake_.take_outcome();
    TrafficSecrets secrets = traffic_secrets_of(outcome, side);
    us = RecordEnd(secrets);
    wipe_bytes(&secrets, sizeof(secrets));
    is_ready = true;
    // The server's tickets.
    us.open(outcome.leftover);
    if (side == TlsSide::kClient) us.open(in);
  }

  // What the peer gives back for our bytes; its answers (to key updates) are ours to read.
  Bytes to_peer(ByteView records) {
    Bytes answers;
    Bytes data = peer.read(records, answers);
    crypto::append(from_answers, us.open(answers));
    return data;
  }

  OpensslPeer peer;
  RecordEnd us;
  bool is_ready = false;
  Bytes from_answers;

 private:
  TlsHandshake handshake_;
};

struct Case {
  TlsSide side;
  const char* suite;
};
const Case kCases[] = {{TlsSide::kServer, "TLS_AES_128_GCM_SHA256"},
                       {TlsSide::kServer, "TLS_AES_256_GCM_SHA384"},
                       {TlsSide::kClient, "TLS_AES_128_GCM_SHA256"},
                       {TlsSide::kClient, "TLS_AES_256_GCM_SHA384"}};

class Interoperation : public ::testing::TestWithParam<Case> {
 protected:
  Connected connect(std::size_t padding = 0) {
    OpensslPeerSettings settings = peer_settings(GetParam().side, GetParam().suite);
    settings.padding = padding;
    return Connected(GetParam().side, settings);
  }
};
INSTANTIATE_TEST_SUITE_P(SidesAndSuites, Interoperation, ::testing::ValuesIn(kCases));

Bytes random_bytes(std::mt19937& random, std::size_t size) {
  Bytes bytes(size);
  for (std::byte& octet : bytes) octet = static_cast<std::byte>(random());
  return bytes;
}

TEST_P(Interoperation, CarriesDataWithKeyUpdatesOfEitherSide) {
  std::mt19937 random(3);
  Connected connected = connect();
  ASSERT_TRUE(connected.is_ready) << connected.peer.error();
  RecordEnd& us = connected.us;
  for (int round = 0; round < 200; ++round) {
    const Bytes data = random_bytes(random, 1 + random() % (round % 10 == 0 ? 70'000 : 3'000));
    switch (random() % 5) {
      case 0:
        ASSERT_EQ(us.open(connected.peer.write(data)), data);
        break;
      case 1:
        ASSERT_EQ(connected.to_peer(us.seal(data, 1 + random() % kLargestPlaintext)), data);
        break;
      case 2:
        us.open(connected.peer.update_key(false));
        break;
      case 3:
        us.open(connected.peer.update_key(true));
        break;
      default:
        want_key_update(us.connection);
        connected.to_peer(us.control());
    }
    ASSERT_NE(us.last.outcome, OpenOutcome::kFailed) << round << " " << connected.peer.error();
    ASSERT_EQ(connected.peer.error(), "");
    // OpenSSL's limit of key updates without data, and ours.
    if (round % 8 == 7) {
      ASSERT_EQ(us.open(connected.peer.write(as_byte_view("x"))).size(), 1U);
      ASSERT_EQ(connected.to_peer(us.seal(as_byte_view("x"))).size(), 1U);
    }
  }
}

TEST_P(Interoperation, TakesPaddedRecords) {
  Connected connected = connect(1024);
  ASSERT_TRUE(connected.is_ready);
  for (const std::size_t size : {std::size_t{1}, std::size_t{1023}, std::size_t{1024}, std::size_t{16'384}}) {
    const Bytes data(size, std::byte{0});
    ASSERT_EQ(connected.us.open(connected.peer.write(data)), data);
  }
}

TEST_P(Interoperation, EndsInOrderFromEitherSide) {
  Connected ours = connect();
  ASSERT_TRUE(ours.is_ready);
  EXPECT_EQ(ours.to_peer(ours.us.seal(as_byte_view("last words"))).size(), 10U);
  EXPECT_FALSE(ours.peer.has_end());
  ours.to_peer(ours.us.close());
  EXPECT_TRUE(ours.peer.has_end());
  EXPECT_EQ(ours.peer.error(), "");
  EXPECT_EQ(ours.us.open(ours.peer.write(as_byte_view("half closed"))).size(), 11U);

  Connected theirs = connect();
  ASSERT_TRUE(theirs.is_ready);
  EXPECT_EQ(theirs.us.open(theirs.peer.write(as_byte_view("bye"))).size(), 3U);
  theirs.us.open(theirs.peer.shut_down());
  EXPECT_EQ(theirs.us.last.outcome, OpenOutcome::kEnd);
  EXPECT_EQ(end_of_transport(theirs.us.connection), OpenOutcome::kEnd);
}

TEST_P(Interoperation, FailsBothEndsOverAChangedRecord) {
  Connected connected = connect();
  ASSERT_TRUE(connected.is_ready);
  Bytes record = connected.peer.write(as_byte_view("transfer 100"));
  record[9] ^= std::byte{4};
  EXPECT_TRUE(connected.us.open(record).empty());
  EXPECT_EQ(connected.us.connection.failure, Alert::kBadRecordMac);
  connected.to_peer(connected.us.control());
  EXPECT_EQ(connected.peer.error(), "sslv3 alert bad record mac");

  Connected other = connect();
  ASSERT_TRUE(other.is_ready);
  record = other.us.seal(as_byte_view("transfer 100"));
  record[9] ^= std::byte{4};
  Bytes alert;
  EXPECT_TRUE(other.peer.read(record, alert).empty());
  other.us.open(alert);
  EXPECT_EQ(other.us.last.outcome, OpenOutcome::kFailed);
  EXPECT_EQ(other.us.connection.is_peer_alert, 1);
  EXPECT_EQ(other.us.connection.peer_alert, Alert::kBadRecordMac);
}

TEST_P(Interoperation, SealsNothingThatOpensslRefusesAtAnySize) {
  Connected connected = connect();
  ASSERT_TRUE(connected.is_ready);
  for (std::size_t size = 1; size <= kLargestPlaintext; size += size < 40 ? 1 : 331) {
    const Bytes data(size, static_cast<std::byte>(size));
    ASSERT_EQ(connected.to_peer(connected.us.seal(data)), data) << size;
  }
  const Bytes largest(kLargestPlaintext, std::byte{7});
  ASSERT_EQ(connected.to_peer(connected.us.seal(largest)), largest);
}

TEST(Interoperation, TakesTheTicketsOfAServer) {
  OpensslPeerSettings settings = peer_settings(TlsSide::kClient, "");
  settings.ticket_count = 3;
  Connected connected(TlsSide::kClient, settings);
  ASSERT_TRUE(connected.is_ready);
  EXPECT_EQ(connected.us.ticket_records, 3U);
  EXPECT_EQ(connected.us.open(connected.peer.write(as_byte_view("data"))).size(), 4U);
}

}  // namespace
}  // namespace casemate::netshield
