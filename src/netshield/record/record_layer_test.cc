// The record layer against itself, and against forged records that nobody else would seal.
#include "netshield/record/record_layer.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <utility>

#include "netshield/testing/record_end.h"

namespace casemate::netshield {
namespace {

using crypto::as_byte_view;
using crypto::Bytes;
using crypto::ByteView;
using testing::octets;
using testing::RecordEnd;

TrafficSecrets secrets_of(Side side, Suite suite = Suite::kAes128GcmSha256) {
  TrafficSecrets secrets = {};
  secrets.suite = suite;
  secrets.side = side;
  std::uint8_t* const ours = side == Side::kClient ? secrets.write_secret : secrets.read_secret;
  std::uint8_t* const theirs = side == Side::kClient ? secrets.read_secret : secrets.write_secret;
  std::memset(ours, 0xc1, kLargestSecretSize);
  std::memset(theirs, 0x5e, kLargestSecretSize);
  return secrets;
}

struct Pair {
  explicit Pair(Suite suite = Suite::kAes128GcmSha256)
      : client(secrets_of(Side::kClient, suite)), server(secrets_of(Side::kServer, suite)) {}
  RecordEnd client, server;
};

// Seals any inner plaintext as `end` would, type and padding included: what a hostile peer with the keys can send.
Bytes forge(RecordEnd& end, ByteView inner) {
  Direction& direction = end.connection.write;
  Bytes record(kHeaderSize);
  crypto::append(record, inner);
  record.resize(kHeaderSize + inner.size() + kTagSize);
  std::uint8_t* const bytes = octets(record);
  const std::size_t size = inner.size() + kTagSize;
  bytes[0] = 23, bytes[1] = bytes[2] = 3;
  bytes[3] = static_cast<std::uint8_t>(size >> 8), bytes[4] = static_cast<std::uint8_t>(size);
  std::uint8_t nonce[kNonceSize];
  std::memcpy(nonce, direction.iv, sizeof(nonce));
  for (unsigned i = 0; i < 8; ++i) {
    nonce[kNonceSize - 1 - i] = static_cast<std::uint8_t>(nonce[kNonceSize - 1 - i] ^ (direction.sequence >> (8 * i)));
  }
  ++direction.sequence;
  kKernelCipher.seal(direction.key, nonce, bytes, kHeaderSize, bytes + kHeaderSize, inner.size(),
                     bytes + kHeaderSize + inner.size());
  return record;
}

Bytes inner(std::initializer_list<int> content, int type, std::size_t padding = 0) {
  Bytes bytes;
  for (const int octet : content) bytes.push_back(static_cast<std::byte>(octet));
  bytes.push_back(static_cast<std::byte>(type));
  bytes.resize(bytes.size() + padding);
  return bytes;
}

Bytes random_bytes(std::mt19937& random, std::size_t size) {
  Bytes bytes(size);
  for (std::byte& octet : bytes) octet = static_cast<std::byte>(random());
  return bytes;
}

TEST(RecordLayer, CarriesDataBothWaysInAnyPieces) {
  std::mt19937 random(1);
  for (const Suite suite : {Suite::kAes128GcmSha256, Suite::kAes256GcmSha384}) {
    Pair pair(suite);
    for (int round = 0; round < 60; ++round) {
      RecordEnd& from = round % 2 == 0 ? pair.client : pair.server;
      RecordEnd& to = round % 2 == 0 ? pair.server : pair.client;
      const Bytes data = random_bytes(random, random() % 50'000);
      const Bytes sealed = from.seal(data, 1 + random() % kLargestPlaintext);
      Bytes opened;
      for (std::size_t at = 0; at < sealed.size();) {
        const std::size_t size = std::min<std::size_t>(sealed.size() - at, 1 + random() % 9000);
        crypto::append(opened, to.open(ByteView(sealed).subspan(at, size)));
        at += size;
      }
      ASSERT_EQ(opened, data);
      ASSERT_TRUE(to.pending.empty());
    }
  }
}

TEST(RecordLayer, SaysHowManyBytesItNeeds) {
  Pair pair;
  Bytes record = pair.client.seal_one(as_byte_view("hello"));
  for (std::size_t size = 0; size < record.size(); ++size) {
    const OpenResult result = open_record(pair.server.connection, kKernelCipher, octets(record), size);
    ASSERT_EQ(result.outcome, OpenOutcome::kNeedMore);
    ASSERT_EQ(result.needed, size < kHeaderSize ? kHeaderSize : record.size());
    ASSERT_EQ(result.consumed, 0U);
  }
  EXPECT_EQ(open_record(pair.server.connection, kKernelCipher, octets(record), record.size()).data_size, 5U);
}

TEST(RecordLayer, ContinuesInACopyAfterFork) {
  Pair pair;
  ASSERT_EQ(pair.server.open(pair.client.seal(as_byte_view("one"))), crypto::to_bytes(as_byte_view("one")));
  // Both sides of a fork use one Connection; here it moves to other addresses in between.
  RecordEnd child;
  child.connection = pair.client.connection;
  ASSERT_EQ(pair.server.open(child.seal(as_byte_view("two"))), crypto::to_bytes(as_byte_view("two")));
  pair.client.connection = child.connection;
  ASSERT_EQ(pair.server.open(pair.client.seal(as_byte_view("three"))), crypto::to_bytes(as_byte_view("three")));
}

void expect_failed(RecordEnd& end, Alert alert) {
  EXPECT_EQ(end.last.outcome, OpenOutcome::kFailed);
  EXPECT_EQ(end.connection.failure, alert);
  EXPECT_EQ(end.connection.read.state, DirectionState::kFailed);
}

TEST(RecordLayer, RefusesEveryFlippedBitOfARecord) {
  Pair pair;
  const Bytes record = pair.client.seal_one(as_byte_view("transfer 100"));
  for (std::size_t bit = 0; bit < record.size() * 8; ++bit) {
    RecordEnd server = pair.server;
    Bytes changed = record;
    changed[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    ASSERT_TRUE(server.open(changed).empty()) << bit;
    // A longer length waits for bytes that do not come, and fails with whatever follows.
    if (server.last.outcome == OpenOutcome::kNeedMore) {
      ASSERT_GE(bit, 24U);
      ASSERT_LT(bit, 40U);
      ASSERT_TRUE(server.open(Bytes(kLargestRecord)).empty());
    }
    ASSERT_EQ(server.last.outcome, OpenOutcome::kFailed) << bit;
    ASSERT_TRUE(server.open(record).empty()) << "a failed direction stays failed";
  }
}

TEST(RecordLayer, RefusesReplayReorderOmissionAndReflection) {
  const auto attack = [](auto deliver) {
    Pair pair;
    const Bytes first = pair.client.seal_one(as_byte_view("first")),
                second = pair.client.seal_one(as_byte_view("second"));
    deliver(pair, first, second);
    return pair.server.last.outcome == OpenOutcome::kFailed && pair.server.connection.failure == Alert::kBadRecordMac;
  };
  EXPECT_TRUE(attack([](Pair& pair, const Bytes& first, const Bytes&) {
    pair.server.open(first);
    EXPECT_TRUE(pair.server.open(first).empty());
  }));
  EXPECT_TRUE(
      attack([](Pair& pair, const Bytes&, const Bytes& second) { EXPECT_TRUE(pair.server.open(second).empty()); }));
  EXPECT_TRUE(attack([](Pair& pair, const Bytes&, const Bytes&) {
    EXPECT_TRUE(pair.server.open(pair.server.seal(as_byte_view("to the client"))).empty());
  }));
}

TEST(RecordLayer, TellsAnOrderlyEndFromACutConnection) {
  Pair orderly;
  EXPECT_TRUE(orderly.server.open(orderly.client.close()).empty());
  EXPECT_EQ(orderly.server.last.outcome, OpenOutcome::kEnd);
  EXPECT_EQ(end_of_transport(orderly.server.connection), OpenOutcome::kEnd);
  EXPECT_EQ(orderly.server.connection.is_cut, 0);

  Pair cut;
  cut.server.open(cut.client.seal(as_byte_view("data")));
  EXPECT_EQ(end_of_transport(cut.server.connection), OpenOutcome::kFailed);
  EXPECT_EQ(cut.server.connection.is_cut, 1);
  EXPECT_EQ(end_of_transport(cut.server.connection), OpenOutcome::kFailed);
}

TEST(RecordLayer, ReadsOnAfterItsOwnCloseAndWritesOnAfterThePeers) {
  Pair pair;
  pair.server.open(pair.client.close());
  EXPECT_EQ(pair.client.open(pair.server.seal(as_byte_view("answer"))), crypto::to_bytes(as_byte_view("answer")));
  EXPECT_TRUE(pair.client.seal_one(as_byte_view("more")).empty());
  EXPECT_EQ(pair.client.close().size(), 0U);
  EXPECT_FALSE(pair.server.close().empty());
}

TEST(RecordLayer, IgnoresEverythingBehindACloseNotify) {
  Pair pair;
  const Bytes close = pair.client.close();
  pair.client.connection.write.state = DirectionState::kOpen;  // a peer that does not keep the rules
  Bytes both = close;
  crypto::append(both, pair.client.seal(as_byte_view("too late")));
  EXPECT_TRUE(pair.server.open(both).empty());
  EXPECT_EQ(pair.server.last.outcome, OpenOutcome::kEnd);
}

struct Forgery {
  const char* name;
  Bytes plaintext;
  Alert alert;
};

TEST(RecordLayer, RefusesAuthenticNonsense) {
  Bytes oversize(kLargestPlaintext + 1, std::byte{'x'});
  oversize.push_back(std::byte{23});
  const Forgery forgeries[] = {
      {"only padding", Bytes(17), Alert::kUnexpectedMessage},
      {"an oversize plaintext", oversize, Alert::kRecordOverflow},
      {"change_cipher_spec", inner({1}, 20), Alert::kUnexpectedMessage},
      {"an unknown type", inner({1}, 99), Alert::kUnexpectedMessage},
      {"an empty handshake record", inner({}, 22), Alert::kUnexpectedMessage},
      {"an empty alert", inner({}, 21), Alert::kDecodeError},
      {"a long alert", inner({1, 0, 0}, 21), Alert::kDecodeError},
      {"a ClientHello (renegotiation)", inner({1, 0, 0, 2, 3, 3}, 22), Alert::kUnexpectedMessage},
      {"a HelloRequest", inner({0, 0, 0, 0}, 22), Alert::kUnexpectedMessage},
      {"a CertificateRequest", inner({13, 0, 0, 3, 0, 0, 0}, 22), Alert::kUnexpectedMessage},
      {"a ticket to a server", inner({4, 0, 0, 1, 0}, 22), Alert::kUnexpectedMessage},
      {"a KeyUpdate with another value", inner({24, 0, 0, 1, 2}, 22), Alert::kIllegalParameter},
      {"a KeyUpdate with another size", inner({24, 0, 0, 2, 0, 0}, 22), Alert::kDecodeError},
      {"a KeyUpdate and more behind it", inner({24, 0, 0, 1, 0, 24, 0, 0, 1, 0}, 22), Alert::kUnexpectedMessage},
      {"a divided KeyUpdate", inner({24, 0, 0, 1}, 22), Alert::kUnexpectedMessage},
  };
  for (const Forgery& forgery : forgeries) {
    SCOPED_TRACE(forgery.name);
    Pair pair;
    EXPECT_TRUE(pair.server.open(forge(pair.client, forgery.plaintext)).empty());
    expect_failed(pair.server, forgery.alert);
    // The peer learns of it.
    pair.client.open(pair.server.control());
    EXPECT_EQ(pair.client.last.outcome, OpenOutcome::kFailed);
    EXPECT_EQ(pair.client.connection.is_peer_alert, 1);
    EXPECT_EQ(pair.client.connection.peer_alert, forgery.alert);
    EXPECT_TRUE(pair.client.seal_one(as_byte_view("x")).empty());
    EXPECT_TRUE(pair.server.seal_one(as_byte_view("x")).empty());
  }
}

TEST(RecordLayer, RefusesByTheHeaderWhatIsNoProtectedRecord) {
  const std::pair<Bytes, Alert> cases[] = {
      {crypto::from_hex("1503030002").value(), Alert::kUnexpectedMessage},  // a plain alert that somebody injects
      {crypto::from_hex("1403030001").value(), Alert::kUnexpectedMessage},
      {crypto::from_hex("1603010200").value(), Alert::kUnexpectedMessage},
      {crypto::to_bytes(as_byte_view("GET / HTTP/1.1")), Alert::kUnexpectedMessage},
      {crypto::from_hex("1703034101").value(), Alert::kRecordOverflow},
      {crypto::from_hex("170303ffff").value(), Alert::kRecordOverflow},
      {crypto::from_hex("1703030010").value(), Alert::kBadRecordMac},
      {crypto::from_hex("1703030000").value(), Alert::kBadRecordMac},
  };
  for (const auto& [bytes, alert] : cases) {
    Pair pair;
    pair.server.open(bytes);
    expect_failed(pair.server, alert);
  }
}

TEST(RecordLayer, TakesTheLargestRecordAndPadding) {
  Pair pair;
  Bytes largest(kLargestPlaintext, std::byte{'y'});
  largest.push_back(std::byte{23});
  EXPECT_EQ(pair.server.open(forge(pair.client, largest)).size(), kLargestPlaintext);
  EXPECT_EQ(pair.server.open(forge(pair.client, inner({'h', 'i', 0}, 23, 9000))),
            crypto::to_bytes(ByteView(inner({'h', 'i', 0}, 23)).first(3)));
}

TEST(RecordLayer, BoundsRecordsWithoutDataInARow) {
  Pair pair;
  for (unsigned round = 0; round < 3; ++round) {
    for (unsigned i = 0; i < kMostRecordsWithoutData; ++i) {
      pair.server.open(forge(pair.client, inner({}, 23)));
      ASSERT_EQ(pair.server.last.outcome, OpenOutcome::kNeedMore);
    }
    ASSERT_EQ(pair.server.open(pair.client.seal(as_byte_view("x"))).size(), 1U);
  }
  for (unsigned i = 0; i <= kMostRecordsWithoutData; ++i) pair.server.open(forge(pair.client, inner({}, 23)));
  expect_failed(pair.server, Alert::kUnexpectedMessage);
}

TEST(RecordLayer, TakesDividedAndJoinedTickets) {
  Pair pair;
  const Bytes ticket = inner({4, 0, 0, 6, 1, 2, 3, 4, 5, 6, 4, 0, 0, 2, 9, 9}, 22);
  pair.client.open(forge(pair.server, ticket));
  EXPECT_EQ(pair.client.ticket_records, 1U);
  for (const Bytes& part : {inner({4, 0}, 22), inner({0, 3, 1}, 22), inner({2, 3, 4, 0, 0, 1}, 22), inner({7}, 22)}) {
    pair.client.open(forge(pair.server, part));
    ASSERT_EQ(pair.client.last.outcome, OpenOutcome::kNeedMore);
  }
  EXPECT_EQ(pair.client.open(pair.server.seal(as_byte_view("data"))).size(), 4U);
  // No other record between the parts.
  pair.client.open(forge(pair.server, inner({4, 0, 0, 3, 1}, 22)));
  pair.client.open(forge(pair.server, inner({'x'}, 23)));
  expect_failed(pair.client, Alert::kUnexpectedMessage);
}

TEST(RecordLayer, RenewsKeysOfBothDirectionsAnyNumberOfTimes) {
  for (const Suite suite : {Suite::kAes128GcmSha256, Suite::kAes256GcmSha384}) {
    Pair pair(suite);
    for (int i = 0; i < 40; ++i) {
      Direction& writing = pair.client.connection.write;
      const Bytes secret = crypto::to_bytes(std::as_bytes(std::span(writing.secret)));
      want_key_update(pair.client.connection);
      EXPECT_EQ(pair.client.seal_one(as_byte_view("x")).size(), 0U) << "the owed record comes first";
      ASSERT_EQ(pair.server.open(pair.client.seal(as_byte_view("under a new key"))).size(), 15U);
      ASSERT_NE(secret, crypto::to_bytes(std::as_bytes(std::span(writing.secret))));
      ASSERT_EQ(writing.sequence, 1U);
      ASSERT_EQ(pair.client.open(pair.server.seal(as_byte_view("answer"))).size(), 6U);
    }
  }
}

TEST(RecordLayer, AnswersAWantedKeyUpdateOnceAndBeforeItsNextData) {
  Pair pair;
  for (int i = 0; i < 3; ++i) {
    pair.server.open(forge(pair.client, inner({24, 0, 0, 1, 1}, 22)));
    // What the client seals next is under its next key.
    pair.client.connection.write = pair.server.connection.read;
  }
  EXPECT_TRUE(control_is_owed(pair.server.connection));
  const Bytes out = pair.server.seal(as_byte_view("data"));
  EXPECT_FALSE(control_is_owed(pair.server.connection));
  EXPECT_EQ(out.size(), kLargestControlRecord + 4 + kRecordOverhead);
  EXPECT_EQ(pair.client.open(out).size(), 4U);
}

TEST(RecordLayer, RenewsAWornKeyByItself) {
  Pair pair;
  pair.client.connection.write.sequence = pair.server.connection.read.sequence = kRecordsPerKey - 1;
  const Bytes last = pair.client.seal_one(as_byte_view("last"));
  EXPECT_TRUE(control_is_owed(pair.client.connection));
  EXPECT_TRUE(pair.client.seal_one(as_byte_view("x")).empty());
  EXPECT_EQ(pair.server.open(last).size(), 4U);
  EXPECT_EQ(pair.server.open(pair.client.seal(as_byte_view("first"))).size(), 5U);
  EXPECT_EQ(pair.client.connection.write.sequence, 1U);
}

TEST(RecordLayer, NeverLetsASequenceNumberWrap) {
  Pair pair;
  pair.server.connection.read.sequence = ~std::uint64_t{0};
  pair.client.connection.write.sequence = ~std::uint64_t{0};
  pair.server.open(forge(pair.client, inner({'x'}, 23)));
  expect_failed(pair.server, Alert::kInternalError);
}

TEST(RecordLayer, SendsOneAlertAndThenNothing) {
  Pair pair;
  pair.server.open(Bytes(40));
  EXPECT_FALSE(pair.server.control().empty());
  EXPECT_TRUE(pair.server.control().empty());
  EXPECT_TRUE(pair.server.close().empty());
  EXPECT_TRUE(pair.server.seal_one(as_byte_view("x")).empty());
}

TEST(RecordLayer, ForgetsItsKeysAtTheEnd) {
  Pair pair;
  end(pair.client.connection);
  const auto* const bytes = reinterpret_cast<const std::uint8_t*>(&pair.client.connection.write.key);
  for (std::size_t i = 0; i < sizeof(AeadKeyState); ++i) ASSERT_EQ(bytes[i], 0);
  EXPECT_TRUE(pair.client.seal_one(as_byte_view("x")).empty());
  EXPECT_EQ(open_record(pair.client.connection, kKernelCipher, nullptr, 0).outcome, OpenOutcome::kEnd);
}

}  // namespace
}  // namespace casemate::netshield
