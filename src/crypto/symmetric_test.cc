// The façade over the library agrees with the published vectors, and refuses what it must refuse.
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <thread>
#include <vector>

#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/kdf.h"
#include "crypto/random.h"
#include "crypto/secret.h"

namespace casemate::crypto {
namespace {

std::string hex(std::span<const std::byte> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const std::byte byte : bytes) {
    text += kDigits[std::to_integer<unsigned>(byte) >> 4];
    text += kDigits[std::to_integer<unsigned>(byte) & 15];
  }
  return text;
}

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

// FIPS 180-4 examples.
TEST(Hash, AgreesWithPublishedDigests) {
  EXPECT_EQ(hex(sha256(bytes_of("abc"))), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex(sha512(bytes_of("abc"))),
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
            "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

TEST(Hash, IsTheSameInPiecesAndStartsAgain) {
  Sha256 hash;
  hash.update(bytes_of("a"));
  hash.update(bytes_of("bc"));
  EXPECT_EQ(hash.finish(), sha256(bytes_of("abc")));
  EXPECT_EQ(hash.finish(), sha256({}));
}

// RFC 5869, appendix A.1.
TEST(Hkdf, AgreesWithThePublishedVector) {
  const std::vector<std::byte> key(22, std::byte{0x0b});
  std::vector<std::byte> salt;
  for (int value = 0; value <= 0x0c; ++value) salt.push_back(static_cast<std::byte>(value));
  std::string purpose;
  for (int value = 0xf0; value <= 0xf9; ++value) purpose += static_cast<char>(value);
  std::array<std::byte, 42> out{};
  ASSERT_TRUE(hkdf_sha256(key, salt, purpose, out).has_value());
  EXPECT_EQ(hex(out), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
}

TEST(Hkdf, RefusesMoreThanTheStandardAllows) {
  const std::vector<std::byte> key(32);
  std::vector<std::byte> out(255 * 32 + 1);
  EXPECT_FALSE(hkdf_sha256(key, {}, "too much", out).has_value());
}

// The GCM specification's test cases 13 and 14.
TEST(Aes256Gcm, AgreesWithThePublishedVectors) {
  const AeadKey key;
  const Aes256Gcm cipher = std::move(Aes256Gcm::create(key.expose())).value();
  EXPECT_EQ(hex(cipher.seal({}, {}, {}, {})), "530f8afbc74536b9a963b4f1c4cb738b");
  const std::array<std::byte, 16> plaintext{};
  std::array<std::byte, 16> ciphertext{};
  EXPECT_EQ(hex(cipher.seal({}, {}, plaintext, ciphertext)), "d0d1c8a799996bf0265b98b5d48ab919");
  EXPECT_EQ(hex(ciphertext), "cea7403d4d606b6e074ec5d3baf39d18");
}

TEST(Aes256Gcm, OpensWhatItSealedAndNothingElse) {
  const AeadKey key = std::move(AeadKey::random()).value();
  const Aes256Gcm cipher = std::move(Aes256Gcm::create(key.expose())).value();
  std::vector<std::byte> text(100, std::byte{7});
  const std::vector<std::byte> plaintext = text;
  const AeadNonce nonce{std::byte{1}};
  const AeadTag tag = cipher.seal(nonce, bytes_of("name"), text, text);
  EXPECT_NE(text, plaintext);
  std::vector<std::byte> opened(100);
  EXPECT_TRUE(cipher.open(nonce, bytes_of("name"), text, tag, opened));
  EXPECT_EQ(opened, plaintext);

  EXPECT_FALSE(cipher.open({}, bytes_of("name"), text, tag, opened)) << "other nonce";
  EXPECT_EQ(opened, std::vector<std::byte>(100)) << "what did not verify is not given out";
  EXPECT_FALSE(cipher.open(nonce, bytes_of("eman"), text, tag, opened)) << "other associated data";
  EXPECT_FALSE(cipher.open(nonce, bytes_of("name"), text, {}, opened)) << "other tag";
  text[50] ^= std::byte{1};
  EXPECT_FALSE(cipher.open(nonce, bytes_of("name"), text, tag, opened)) << "other ciphertext";
}

TEST(Aes256Gcm, WorksFromSeveralThreadsAtOnce) {
  const AeadKey key = std::move(AeadKey::random()).value();
  const Aes256Gcm cipher = std::move(Aes256Gcm::create(key.expose())).value();
  std::array<int, 4> failures{};
  std::vector<std::thread> threads;
  for (std::size_t number = 0; number < failures.size(); ++number) {
    threads.emplace_back([&, number] {
      for (int round = 0; round < 500; ++round) {
        std::array<std::byte, 64> text{};
        const AeadNonce nonce{static_cast<std::byte>(number), static_cast<std::byte>(round)};
        const AeadTag tag = cipher.seal(nonce, {}, text, text);
        if (!cipher.open(nonce, {}, text, tag, text)) ++failures[number];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, (std::array<int, 4>{}));
}

TEST(SecretBytes, AreWipedWhenTheyGo) {
  const std::byte* place = nullptr;
  {
    SecretBytes<48> secret;
    std::fill(secret.expose_for_writing().begin(), secret.expose_for_writing().end(), std::byte{0xa5});
    place = secret.expose().data();
  }
  // The arena's pages stay mapped, so that the place can be looked at.
  EXPECT_TRUE(std::all_of(place, place + 48, [](std::byte byte) { return byte == std::byte{0}; }));
}

TEST(SecretBytes, MoveWithoutLeavingACopyAndCompareInConstantTime) {
  SecretBytes<32> first = std::move(SecretBytes<32>::random()).value();
  const SecretBytes<32> copy = first.duplicate();
  const SecretBytes<32> second = std::move(first);
  EXPECT_TRUE(equal_in_constant_time(second.expose(), copy.expose()));
  EXPECT_FALSE(equal_in_constant_time(second.expose(), SecretBytes<32>().expose()));
  EXPECT_DEATH((void)first.expose(), "");  // NOLINT(bugprone-use-after-move): that is the point
}

TEST(SecretBytes, DoNotShareMemory) {
  std::vector<SecretBytes<40>> many;
  std::set<const std::byte*> places;
  for (int count = 0; count < 1000; ++count) places.insert(many.emplace_back().expose().data());
  EXPECT_EQ(places.size(), 1000U);
  const SecretBytes<100'000> large;
  EXPECT_EQ(large.expose()[99'999], std::byte{0});
}

TEST(RandomBytes, Differ) {
  std::array<std::byte, 32> first{}, second{};
  ASSERT_TRUE(random_bytes(first).has_value() && random_bytes(second).has_value());
  EXPECT_NE(first, second);
}

}  // namespace
}  // namespace casemate::crypto
