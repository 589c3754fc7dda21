// Proofs against a tree computed straight from RFC 9162's recursive definition over the list of leaves.
#include "cas/log/merkle.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <span>

namespace casemate::cas {
namespace {

constexpr std::uint64_t kAllSizesTo = 300;

Digest numbered_leaf(std::uint64_t number) {
  LeafSalt salt{};
  salt[0] = static_cast<std::byte>(number);
  salt[1] = static_cast<std::byte>(number >> 8);
  salt[2] = static_cast<std::byte>(number >> 16);
  return leaf_hash(salt, {});
}

std::vector<Digest> numbered_leaves(std::uint64_t count) {
  std::vector<Digest> leaves;
  for (std::uint64_t i = 0; i < count; ++i) leaves.push_back(numbered_leaf(i));
  return leaves;
}

std::uint64_t naive_split(std::uint64_t count) {
  std::uint64_t split = 1;
  while (2 * split < count) split *= 2;
  return split;
}

// MTH of section 2.1.1.
Digest naive_root(std::span<const Digest> leaves) {
  if (leaves.empty()) return crypto::sha256({});
  if (leaves.size() == 1) return leaves.front();
  const std::uint64_t split = naive_split(leaves.size());
  return node_hash(naive_root(leaves.first(split)), naive_root(leaves.subspan(split)));
}

// PATH of section 2.1.3.1.
std::vector<Digest> naive_inclusion(std::uint64_t index, std::span<const Digest> leaves) {
  if (leaves.size() == 1) return {};
  const std::uint64_t split = naive_split(leaves.size());
  const bool left = index < split;
  auto path =
      left ? naive_inclusion(index, leaves.first(split)) : naive_inclusion(index - split, leaves.subspan(split));
  path.push_back(naive_root(left ? leaves.subspan(split) : leaves.first(split)));
  return path;
}

enum class OldTree { kWhole, kPart };

// SUBPROOF of section 2.1.4.1.
std::vector<Digest> naive_subproof(std::uint64_t old_size, std::span<const Digest> leaves, OldTree old_tree) {
  if (old_size == leaves.size()) {
    return old_tree == OldTree::kWhole ? std::vector<Digest>() : std::vector<Digest>{naive_root(leaves)};
  }
  const std::uint64_t split = naive_split(leaves.size());
  const bool left = old_size <= split;
  auto path = left ? naive_subproof(old_size, leaves.first(split), old_tree)
                   : naive_subproof(old_size - split, leaves.subspan(split), OldTree::kPart);
  path.push_back(naive_root(left ? leaves.subspan(split) : leaves.first(split)));
  return path;
}

// What a store keeps: the nodes that each append() finished.
struct GrownTree {
  TreePeaks peaks;
  std::vector<std::vector<Digest>> finished_by_leaf;

  explicit GrownTree(std::span<const Digest> leaves) {
    for (const Digest& leaf : leaves) finished_by_leaf.push_back(peaks.append(leaf));
  }
  NodeReader reader() const {
    return [this](unsigned level, std::uint64_t index) -> Result<Digest> {
      return finished_by_leaf.at(finishing_leaf(level, index)).at(level);
    };
  }
};

TEST(TreePeaks, HasTheRootOfTheDefinitionAtEverySize) {
  const auto leaves = numbered_leaves(kAllSizesTo);
  TreePeaks tree;
  EXPECT_EQ(tree.root(), naive_root({}));
  for (std::uint64_t size = 1; size <= leaves.size(); ++size) {
    tree.append(leaves[size - 1]);
    ASSERT_EQ(tree.root(), naive_root(std::span(leaves).first(size))) << size;
    ASSERT_EQ(tree.size(), size);
  }
}

TEST(TreePeaks, LoadsFromStoredNodesAtEverySize) {
  const auto leaves = numbered_leaves(kAllSizesTo);
  const GrownTree grown(leaves);
  for (std::uint64_t size = 0; size < leaves.size(); ++size) {
    auto loaded = TreePeaks::load(size, grown.reader());
    ASSERT_TRUE(loaded);
    ASSERT_EQ(loaded.value().root(), naive_root(std::span(leaves).first(size))) << size;
    ASSERT_EQ(loaded.value().append(leaves[size]), grown.finished_by_leaf[size]);
  }
}

TEST(Inclusion, ProofsOfAllLeavesOfAllSizesAreTheDefinitionsAndVerify) {
  const auto leaves = numbered_leaves(kAllSizesTo);
  const GrownTree grown(leaves);
  for (std::uint64_t size = 1; size <= leaves.size(); size += size < 70 ? 1 : 23) {
    const Digest root = naive_root(std::span(leaves).first(size));
    for (std::uint64_t index = 0; index < size; ++index) {
      const auto proof = prove_inclusion(index, size, grown.reader());
      ASSERT_TRUE(proof);
      ASSERT_EQ(proof.value(), naive_inclusion(index, std::span(leaves).first(size))) << index << " of " << size;
      ASSERT_TRUE(verify_inclusion(leaves[index], index, size, root, proof.value()));
    }
  }
}

TEST(Consistency, ProofsBetweenAllSizesAreTheDefinitionsAndVerify) {
  const auto leaves = numbered_leaves(kAllSizesTo);
  const GrownTree grown(leaves);
  std::vector<Digest> roots;
  for (std::uint64_t size = 0; size <= leaves.size(); ++size)
    roots.push_back(naive_root(std::span(leaves).first(size)));
  for (std::uint64_t size = 1; size <= leaves.size(); size += size < 70 ? 1 : 23) {
    for (std::uint64_t old_size = 1; old_size <= size; ++old_size) {
      const auto proof = prove_consistency(old_size, size, grown.reader());
      ASSERT_TRUE(proof);
      ASSERT_EQ(proof.value(), naive_subproof(old_size, std::span(leaves).first(size), OldTree::kWhole))
          << old_size << " to " << size;
      ASSERT_TRUE(verify_consistency(old_size, roots[old_size], size, roots[size], proof.value()));
    }
  }
}

TEST(Proofs, OfLargeTreesVerify) {
  constexpr std::uint64_t kLeaves = 100'000;
  const auto leaves = numbered_leaves(kLeaves);
  const GrownTree grown(leaves);
  std::mt19937_64 random(20261123);
  for (int round = 0; round < 400; ++round) {
    const std::uint64_t size = random() % kLeaves + 1, index = random() % size, old_size = random() % size + 1;
    const Digest root = root_of(size, grown.reader()).value(), old_root = root_of(old_size, grown.reader()).value();
    ASSERT_TRUE(
        verify_inclusion(leaves[index], index, size, root, prove_inclusion(index, size, grown.reader()).value()));
    const auto path = prove_consistency(old_size, size, grown.reader()).value();
    ASSERT_TRUE(verify_consistency(old_size, old_root, size, root, path));
    ASSERT_LE(path.size(), kLongestProof);
  }
}

std::vector<std::vector<Digest>> damaged_forms(const std::vector<Digest>& proof) {
  std::vector<std::vector<Digest>> forms;
  for (std::size_t i = 0; i < proof.size(); ++i) {
    forms.push_back(proof);
    forms.back()[i][7] ^= std::byte{1};
    forms.push_back(proof);
    forms.back().erase(forms.back().begin() + static_cast<std::ptrdiff_t>(i));
    if (i > 0) {
      forms.push_back(proof);
      std::swap(forms.back()[i], forms.back()[i - 1]);
    }
  }
  forms.push_back(proof);
  forms.back().push_back(Digest{});
  return forms;
}

TEST(Inclusion, RefusesEveryDamagedProof) {
  const auto leaves = numbered_leaves(37);
  const GrownTree grown(leaves);
  const Digest root = grown.peaks.root();
  for (std::uint64_t index = 0; index < leaves.size(); ++index) {
    const auto proof = prove_inclusion(index, leaves.size(), grown.reader()).value();
    for (const auto& damaged : damaged_forms(proof)) {
      EXPECT_FALSE(verify_inclusion(leaves[index], index, leaves.size(), root, damaged)) << index;
    }
    for (std::uint64_t other = 0; other < leaves.size() + 2; ++other) {
      if (other == index) continue;
      EXPECT_FALSE(verify_inclusion(leaves[index], other, leaves.size(), root, proof)) << index;
    }
    EXPECT_FALSE(verify_inclusion(leaves[(index + 1) % leaves.size()], index, leaves.size(), root, proof));
    EXPECT_FALSE(verify_inclusion(leaves[index], index, leaves.size(), leaves[0], proof));
  }
}

TEST(Consistency, RefusesEveryDamagedProof) {
  const auto leaves = numbered_leaves(37);
  const GrownTree grown(leaves);
  const Digest root = grown.peaks.root();
  for (std::uint64_t old_size = 1; old_size < leaves.size(); ++old_size) {
    const Digest old_root = naive_root(std::span(leaves).first(old_size));
    const auto proof = prove_consistency(old_size, leaves.size(), grown.reader()).value();
    for (const auto& damaged : damaged_forms(proof)) {
      EXPECT_FALSE(verify_consistency(old_size, old_root, leaves.size(), root, damaged)) << old_size;
    }
    EXPECT_FALSE(verify_consistency(old_size, leaves[36], leaves.size(), root, proof)) << old_size;
    EXPECT_FALSE(verify_consistency(old_size, old_root, leaves.size(), leaves[36], proof)) << old_size;
    EXPECT_FALSE(verify_consistency(leaves.size(), root, old_size, old_root, proof)) << old_size;
  }
}

TEST(Consistency, RefusesATreeWithAChangedBeginning) {
  auto leaves = numbered_leaves(64);
  const Digest old_root = naive_root(std::span(leaves).first(40));
  leaves[3] = numbered_leaf(999);
  const GrownTree changed(leaves);
  const auto proof = prove_consistency(40, 64, changed.reader()).value();
  EXPECT_FALSE(verify_consistency(40, old_root, 64, changed.peaks.root(), proof));
}

TEST(Consistency, OfNothingAndOfTheSameTreeIsEmpty) {
  const GrownTree grown(numbered_leaves(5));
  EXPECT_TRUE(
      verify_consistency(0, empty_root(), 5, grown.peaks.root(), prove_consistency(0, 5, grown.reader()).value()));
  EXPECT_TRUE(verify_consistency(5, grown.peaks.root(), 5, grown.peaks.root(), {}));
  EXPECT_FALSE(verify_consistency(5, grown.peaks.root(), 5, empty_root(), {}));
  EXPECT_FALSE(prove_consistency(6, 5, grown.reader()));
  EXPECT_FALSE(prove_inclusion(5, 5, grown.reader()));
}

TEST(LeafHash, SeparatesLeavesFromNodes) {
  // A node's input, presented as a leaf, must not hash to the node.
  const Digest left = numbered_leaf(1), right = numbered_leaf(2);
  EXPECT_NE(leaf_hash(left, right), node_hash(left, right));
}

}  // namespace
}  // namespace casemate::cas
