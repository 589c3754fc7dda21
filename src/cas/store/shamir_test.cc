#include "cas/store/shamir.h"

#include <gtest/gtest.h>

#include "cas/store/unseal.h"

namespace casemate::cas {
namespace {

std::vector<SecretShare> pick(const std::vector<SecretShare>& shares, unsigned mask) {
  std::vector<SecretShare> picked;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    if ((mask >> i & 1) != 0) picked.push_back({shares[i].number, shares[i].value.duplicate()});
  }
  return picked;
}

bool same(const SharedSecret& left, const SharedSecret& right) {
  return crypto::equal_in_constant_time(left.expose(), right.expose());
}

TEST(Shamir, EverySetOfEnoughSharesGivesTheSecretAndNoSmallerOneDoes) {
  const auto secret = SharedSecret::random().value();
  for (unsigned count = 2; count <= 6; ++count) {
    for (unsigned threshold = 2; threshold <= count; ++threshold) {
      const auto shares = split_secret(secret, threshold, count).value();
      for (unsigned mask = 1; mask < 1U << count; ++mask) {
        const auto picked = pick(shares, mask);
        const auto combined = combine_shares(picked);
        ASSERT_TRUE(combined);
        EXPECT_EQ(same(combined.value(), secret), picked.size() >= threshold) << threshold << " of " << count;
      }
    }
  }
}

// Two points of the line secret + c * x in GF(2^8), worked out by hand: with secret 0x42 and c = 0x02, the share at 1
// is 0x42 ^ 0x02 = 0x40 and the one at 0x80 is 0x42 ^ (0x02 * 0x80 = 0x1B) = 0x59.
TEST(Shamir, UsesTheDocumentedField) {
  SecretShare one{1, {}}, other{0x80, {}};
  one.value.expose_for_writing()[0] = std::byte{0x40};
  other.value.expose_for_writing()[0] = std::byte{0x59};
  std::vector<SecretShare> shares;
  shares.push_back(std::move(one));
  shares.push_back(std::move(other));
  EXPECT_EQ(combine_shares(shares).value().expose()[0], std::byte{0x42});
}

TEST(Shamir, RefusesWhatCannotBe) {
  const auto secret = SharedSecret::random().value();
  EXPECT_FALSE(split_secret(secret, 1, 3));
  EXPECT_FALSE(split_secret(secret, 4, 3));
  EXPECT_FALSE(split_secret(secret, 2, 256));
  EXPECT_TRUE(split_secret(secret, 2, 255));
  const auto shares = split_secret(secret, 2, 3).value();
  auto twice = pick(shares, 1);
  twice.push_back({shares[0].number, shares[0].value.duplicate()});
  EXPECT_FALSE(combine_shares(twice));
  EXPECT_FALSE(combine_shares({}));
}

TEST(UnsealSlot, OfSharesSurvivesReadingAndRefusesDamage) {
  const auto holder = crypto::AgreementKey::generate().value(), other = crypto::AgreementKey::generate().value();
  const auto root = RootKey::random().value();
  const auto slot = split_among_holders({holder.public_key(), other.public_key()}, 2)->protect(root).value();
  const auto read = read_share_slot(slot).value();
  std::vector<SecretShare> shares;
  shares.push_back(open_share(read.shares[0], holder).value());
  shares.push_back(open_share(read.shares[1], other).value());
  const auto method = unseal_with_shares(std::move(shares));
  EXPECT_TRUE(same(method->recover(slot).value(), root));
  for (std::size_t i = 0; i < slot.parameters.size(); ++i) {
    UnsealSlot changed = slot;
    changed.parameters[i] ^= std::byte{1};
    EXPECT_FALSE(method->recover(changed)) << i;
    changed.parameters.resize(i);
    EXPECT_FALSE(read_share_slot(changed)) << i;
  }
}

}  // namespace
}  // namespace casemate::cas
