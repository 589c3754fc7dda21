#include "cas/log/entry.h"

#include <gtest/gtest.h>

#include "cas/log/cbor.h"

namespace casemate::cas {
namespace {

Digest filled(unsigned value) {
  Digest digest;
  digest.fill(static_cast<std::byte>(value));
  return digest;
}

Approval some_approval() { return {filled(9), "approve", 1'790'000'000'000, Bytes(64, std::byte{7})}; }

// One of every type, in the order of their numbers.
std::vector<Entry> one_of_each() {
  const EntryBody bodies[] = {
      LogCreated{filled(1), "casemate 0.1.0"},
      SessionChange{"prod/db", "update", 2, filled(2), filled(3), filled(4), {some_approval(), some_approval()}},
      Verdict{"prod/db",
              "server",
              "accepted",
              "simulation",
              filled(5),
              Bytes(32, std::byte{1}),
              filled(6),
              "UpToDate",
              {"INTEL-SA-00001"},
              filled(7),
              filled(8)},
      Release{"prod/db", "server", filled(2), 17, {"password@1", "tls@3"}, {"data"}, filled(8)},
      KeyRotation{"tls", "", 2, filled(3), {}},
      SecretRotation{"prod/db", "password", 2, "schedule"},
      Revocation{"prod/db", "certificate", filled(4), 5, "lost"},
      EpochBegun{"restore", 5, filled(1), {some_approval()}},
      Refusals{filled(1), "measurement", 1000, 5, 6},
      OwnerClaim{filled(1), filled(2)},
      ApprovalGiven{"prod/db", filled(1), filled(2), some_approval()},
      CertificateIssued{"prod/db", "server", filled(1), "0a0b", 7},
      Administration{"backup", "3 of 5 shares", filled(1), {}},
  };
  std::vector<Entry> entries;
  for (const EntryBody& body : bodies) entries.push_back({1'790'000'000'000, 1, body});
  return entries;
}

TEST(Entry, OfEveryTypeSurvivesEncodingAndDecoding) {
  const auto entries = one_of_each();
  ASSERT_EQ(entries.size(), std::variant_size_v<EntryBody>);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    ASSERT_EQ(entries[i].body.index(), i);
    const auto encoded = encode_entry(entries[i]);
    ASSERT_TRUE(encoded) << encoded.error().message();
    const auto decoded = decode_entry(encoded.value());
    ASSERT_TRUE(decoded) << entry_type_name(entries[i]) << ": " << decoded.error().message();
    EXPECT_EQ(describe_entry(decoded.value()), describe_entry(entries[i]));
    EXPECT_EQ(encode_entry(decoded.value()).value(), encoded.value());
  }
}

TEST(Entry, HasTheDocumentedEncoding) {
  const auto encoded = encode_entry({1, 0, OwnerClaim{filled(0xAB), filled(0xCD)}});
  ASSERT_TRUE(encoded);
  std::string ab, cd;
  for (int i = 0; i < 32; ++i) {
    ab += "ab";
    cd += "cd";
  }
  EXPECT_EQ(crypto::to_hex(encoded.value()), "a60101020a030104000a5820" + ab + "0b5820" + cd);
}

TEST(Entry, RefusesEveryTruncationAndExtension) {
  for (const Entry& entry : one_of_each()) {
    Bytes encoded = encode_entry(entry).value();
    for (std::size_t size = 0; size < encoded.size(); ++size) {
      ASSERT_FALSE(decode_entry(ByteView(encoded).first(size))) << entry_type_name(entry) << " " << size;
    }
    encoded.push_back(std::byte{0});
    ASSERT_FALSE(decode_entry(encoded));
  }
}

TEST(Entry, WhatDecodesAfterAFlippedBitHasNoOtherEncoding) {
  for (const Entry& entry : one_of_each()) {
    const Bytes encoded = encode_entry(entry).value();
    for (std::size_t bit = 0; bit < 8 * encoded.size(); ++bit) {
      Bytes flipped = encoded;
      flipped[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
      const auto decoded = decode_entry(flipped);
      if (!decoded) continue;
      ASSERT_EQ(encode_entry(decoded.value()).value(), flipped) << entry_type_name(entry) << " bit " << bit;
    }
  }
}

// OwnerClaim with a detail wrong. 5820 <32 bytes> stands for each digest.
TEST(Entry, RefusesOtherEncodingsOfTheSame) {
  const std::string digest = "5820" + std::string(64, '1');
  const std::string good = "a60101020a030104000a" + digest + "0b" + digest;
  ASSERT_TRUE(decode_entry(crypto::from_hex(good).value()));
  const std::pair<const char*, std::string> cases[] = {
      {"number longer than needed", "a6010102180a030104000a" + digest + "0b" + digest},
      {"keys out of order", "a601010301020a04000a" + digest + "0b" + digest},
      {"duplicate key", "a601010101030104000a" + digest + "0b" + digest},
      {"missing field", "a50101020a030104000a" + digest},
      {"unknown field", "a70101020a030104000a" + digest + "0b" + digest + "0c00"},
      {"unknown type", "a60101021863030104000a" + digest + "0b" + digest},
      {"type zero", "a601010200030104000a" + digest + "0b" + digest},
      {"unknown version", "a60102020a030104000a" + digest + "0b" + digest},
      {"indefinite map", "bf0101020a030104000a" + digest + "0b" + digest + "ff"},
      {"negative number", "a60101020a032004000a" + digest + "0b" + digest},
      {"short digest", "a60101020a030104000a41110b" + digest},
      {"huge length", "a60101020a030104000a5bffffffffffffffff"},
  };
  for (const auto& [name, hex] : cases) EXPECT_FALSE(decode_entry(crypto::from_hex(hex).value())) << name;
}

TEST(Entry, WithControlCharactersOrBadUtf8CannotBeLogged) {
  for (const char* text : {"a\nb", "\x1b[31m", "\xC3\x28", "\xED\xA0\x80", "\xC2\x9B", "\xF4\x90\x80\x80", "\x7F"}) {
    EXPECT_FALSE(encode_entry({1, 0, SecretRotation{"s", text, 1, ""}})) << text;
  }
  EXPECT_TRUE(encode_entry({1, 0, SecretRotation{"s", "gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x94\x91", 1, ""}}));
}

TEST(Entry, TooLargeCannotBeLogged) {
  EXPECT_FALSE(encode_entry({1, 0, Administration{"x", std::string(kLargestEntry, 'x'), filled(0), {}}}));
}

}  // namespace
}  // namespace casemate::cas
