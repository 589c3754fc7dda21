#include "crypto/key_agreement.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>

namespace casemate::crypto {
namespace {

constexpr std::string_view kPurpose = "test";

// PKCS#8 of RFC 8410: the raw key behind a fixed prefix.
std::string pem_of(std::string_view raw_hex) {
  return to_pem(from_hex("302e020100300506032b656e04220420" + std::string(raw_hex)).value(), "PRIVATE KEY");
}

AgreementPublicKey public_key_of(std::string_view hex) {
  AgreementPublicKey key;
  const Bytes bytes = from_hex(hex).value();
  std::copy(bytes.begin(), bytes.end(), key.begin());
  return key;
}

TEST(AgreementKey, GivesWhatRfc7748Lists) {
  const auto key = AgreementKey::from_pem(pem_of("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"));
  ASSERT_TRUE(key) << key.error().message();
  const auto agreed =
      key.value().agree(public_key_of("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"));
  ASSERT_TRUE(agreed);
  EXPECT_EQ(to_hex(agreed.value().expose()), "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
}

TEST(AgreementKey, OfBothSidesAgreeAlsoAfterPem) {
  const auto left = AgreementKey::generate().value();
  const auto right = AgreementKey::from_pem(AgreementKey::generate().value().to_pem()).value();
  const auto one = left.agree(right.public_key()), other = right.agree(left.public_key());
  ASSERT_TRUE(one && other);
  EXPECT_TRUE(equal_in_constant_time(one.value().expose(), other.value().expose()));
}

TEST(AgreementKey, RefusesPublicKeysOfLowOrder) {
  EXPECT_FALSE(AgreementKey::generate().value().agree(AgreementPublicKey{}));
}

TEST(AgreementKey, RefusesOtherPem) {
  EXPECT_FALSE(AgreementKey::from_pem("hello"));
  // An Ed25519 key (RFC 8410) is no key for agreement.
  const Bytes ed25519 = from_hex("302e020100300506032b657004220420" + std::string(64, '5')).value();
  EXPECT_FALSE(AgreementKey::from_pem(to_pem(ed25519, "PRIVATE KEY")));
}

TEST(HolderBox, OpensForItsHolderOnly) {
  const auto holder = AgreementKey::generate().value(), other = AgreementKey::generate().value();
  const Bytes text = to_bytes(as_byte_view("share")), bound = to_bytes(as_byte_view("1 of 3"));
  const Bytes box = seal_to_holder(holder.public_key(), kPurpose, bound, text).value();
  EXPECT_EQ(open_as_holder(holder, kPurpose, bound, box).value(), text);
  EXPECT_FALSE(open_as_holder(other, kPurpose, bound, box));
  EXPECT_FALSE(open_as_holder(holder, "another", bound, box));
  EXPECT_FALSE(open_as_holder(holder, kPurpose, text, box));
  for (std::size_t i = 0; i < box.size(); ++i) {
    Bytes changed = box;
    changed[i] ^= std::byte{1};
    EXPECT_FALSE(open_as_holder(holder, kPurpose, bound, changed)) << i;
    EXPECT_FALSE(open_as_holder(holder, kPurpose, bound, ByteView(box).first(i))) << i;
  }
}

TEST(PassphraseKey, IsWhatRfc7914Lists) {
  const auto key = derive_key_from_passphrase("pleaseletmein", as_byte_view("SodiumChloride"), 14);
  ASSERT_TRUE(key);
  EXPECT_EQ(to_hex(key.value().expose()), "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2");
  EXPECT_FALSE(derive_key_from_passphrase("x", {}, 9));
  EXPECT_FALSE(derive_key_from_passphrase("x", {}, 21));
}

TEST(HolderSealer, SealsForEveryHolderAndNeverTwiceWithOneKey) {
  const AgreementKey anna = AgreementKey::generate().value(), bert = AgreementKey::generate().value();
  HolderSealer sealer;
  const Bytes text = to_bytes(as_byte_view("secret"));
  const auto ephemeral_of = [](const Bytes& box) { return Bytes(box.begin(), box.begin() + 32); };
  std::set<Bytes> of_anna;
  for (int round = 0; round < 4; ++round) {
    const Bytes box = sealer.seal(anna.public_key(), "p", {}, text).value();
    EXPECT_EQ(open_as_holder(anna, "p", {}, box).value(), text);
    EXPECT_FALSE(open_as_holder(bert, "p", {}, box));
    EXPECT_FALSE(open_as_holder(anna, "other", {}, box));
    EXPECT_TRUE(of_anna.insert(ephemeral_of(box)).second) << "a key that sealed two texts";
  }
  const Bytes other = sealer.seal(bert.public_key(), "p", {}, text).value();
  EXPECT_EQ(open_as_holder(bert, "p", {}, other).value(), text);
  EXPECT_FALSE(open_as_holder(anna, "p", {}, other));
}

TEST(HolderSealer, ForgetsItsKeyAfterASecond) {
  HolderSealer sealer;
  const auto ephemeral_for_new_holder = [&] {
    const AgreementKey holder = AgreementKey::generate().value();
    const Bytes box = sealer.seal(holder.public_key(), "p", {}, {}).value();
    return Bytes(box.begin(), box.begin() + 32);
  };
  const Bytes first = ephemeral_for_new_holder();
  std::this_thread::sleep_for(HolderSealer::kLifetime);
  EXPECT_NE(ephemeral_for_new_holder(), first);
}

}  // namespace
}  // namespace casemate::crypto
