// The Merkle tree of the transparency log: hashing, proofs and their verification (RFC 9162, section 2.1), with
// SHA-256.
//
// A node (level, index) is the root of the complete subtree over leaves [index << level, (index + 1) << level).
// Complete subtrees never change, so a tree of n leaves is stored as its complete nodes, and appending needs only its
// peaks: the at most 64 complete subtrees that n's binary digits name.
//
// Nothing here does input or output: whoever keeps the nodes gives them through NodeReader.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "base/result.h"
#include "crypto/bytes.h"
#include "crypto/hash.h"

namespace casemate::cas {

using crypto::Bytes;
using crypto::ByteView;
using Digest = crypto::Sha256Digest;

inline constexpr std::size_t kLeafSaltSize = 32;
using LeafSalt = std::array<std::byte, kLeafSaltSize>;

// No proof is longer: two paths of a tree of 2^63 leaves.
inline constexpr std::size_t kLongestProof = 130;

// SHA-256(0x00 || salt || entry): the salt hides an entry that could be guessed from those who see only the hash.
Digest leaf_hash(const LeafSalt& salt, ByteView entry);
// SHA-256(0x01 || left || right).
Digest node_hash(const Digest& left, const Digest& right);
// Of the tree without leaves: SHA-256 of nothing.
Digest empty_root();

// The complete node (level, index), or why it cannot be had. Called for nodes inside the tree only.
using NodeReader = std::function<Result<Digest>(unsigned level, std::uint64_t index)>;

// A tree that only grows, kept as its peaks.
// Threads: one at a time. Copies are independent trees.
class TreePeaks {
 public:
  TreePeaks() = default;
  // The tree of `size` leaves. Errors: those of `nodes`.
  static Result<TreePeaks> load(std::uint64_t size, const NodeReader& nodes);

  std::uint64_t size() const { return size_; }
  // Requires: size() > 0 for a meaningful value; empty_root() otherwise.
  Digest root() const;
  // The peak of this level, when the tree has one: node (level, (size() >> level) - 1).
  std::optional<Digest> peak(unsigned level) const;
  // Appends a leaf. Returns the complete nodes that it finished, of levels 0 (the leaf itself), 1, 2, ...
  std::vector<Digest> append(const Digest& leaf);

 private:
  std::uint64_t size_ = 0;
  std::vector<Digest> peaks_;  // largest subtree first
};

// Where the node (level, index) was finished: the leaf whose append() returned it.
constexpr std::uint64_t finishing_leaf(unsigned level, std::uint64_t index) { return ((index + 1) << level) - 1; }

// Root of the first `size` leaves. Errors: those of `nodes`.
Result<Digest> root_of(std::uint64_t size, const NodeReader& nodes);
// That leaf `index` is in the tree of `size` leaves. Errors: kUsage when it is not; those of `nodes`.
Result<std::vector<Digest>> prove_inclusion(std::uint64_t index, std::uint64_t size, const NodeReader& nodes);
// That the tree of `old_size` leaves is the beginning of the one of `new_size`. Errors: kUsage when old_size >
// new_size. The proof from or to nothing, and from a tree to itself, is empty.
Result<std::vector<Digest>> prove_consistency(std::uint64_t old_size, std::uint64_t new_size, const NodeReader& nodes);

// False for anything but a proof of exactly that.
bool verify_inclusion(const Digest& leaf, std::uint64_t index, std::uint64_t size, const Digest& root,
                      const std::vector<Digest>& proof);
bool verify_consistency(std::uint64_t old_size, const Digest& old_root, std::uint64_t new_size, const Digest& new_root,
                        const std::vector<Digest>& proof);

}  // namespace casemate::cas
