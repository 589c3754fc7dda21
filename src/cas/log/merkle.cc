// Proofs are made by walking the recursive definition (RFC 9162, 2.1.3.1 and 2.1.4.1) with complete subtrees read as
// stored nodes, and checked by the iterative algorithms (2.1.3.2 and 2.1.4.2).
#include "cas/log/merkle.h"

#include <bit>

namespace casemate::cas {
namespace {

constexpr std::byte kLeafPrefix{0x00}, kNodePrefix{0x01};

// The largest power of two below `count`. Requires: count > 1.
std::uint64_t split_of(std::uint64_t count) { return std::bit_floor(count - 1); }

// Leaves [begin, begin + count), as the recursion of RFC 9162 meets them: begin is a multiple of bit_ceil(count).
struct Range {
  std::uint64_t begin, count;
  Range left() const { return {begin, split_of(count)}; }
  Range right() const { return {begin + split_of(count), count - split_of(count)}; }
};

Result<Digest> hash_of(Range range, const NodeReader& nodes) {
  if (std::has_single_bit(range.count)) {
    const auto level = static_cast<unsigned>(std::countr_zero(range.count));
    return nodes(level, range.begin >> level);
  }
  const Digest left = CASEMATE_TRY(hash_of(range.left(), nodes));
  return node_hash(left, CASEMATE_TRY(hash_of(range.right(), nodes)));
}

Error outside(std::uint64_t index, std::uint64_t size) {
  return Error(ErrorCategory::kUsage,
               "the log has no " + std::to_string(index) + " in its first " + std::to_string(size) + " leaves");
}

}  // namespace

Digest leaf_hash(const LeafSalt& salt, ByteView entry) {
  crypto::Sha256 hash;
  hash.update({&kLeafPrefix, 1});
  hash.update(salt);
  hash.update(entry);
  return hash.finish();
}

Digest node_hash(const Digest& left, const Digest& right) {
  std::array<std::byte, 1 + 2 * sizeof(Digest)> input;
  input[0] = kNodePrefix;
  std::copy(left.begin(), left.end(), input.begin() + 1);
  std::copy(right.begin(), right.end(), input.begin() + 1 + sizeof(Digest));
  return crypto::sha256(input);
}

Digest empty_root() { return crypto::sha256({}); }

Result<TreePeaks> TreePeaks::load(std::uint64_t size, const NodeReader& nodes) {
  TreePeaks tree;
  tree.size_ = size;
  std::uint64_t begin = 0;
  while (begin < size) {
    const std::uint64_t count = std::bit_floor(size - begin);
    tree.peaks_.push_back(CASEMATE_TRY(hash_of({begin, count}, nodes)));
    begin += count;
  }
  return tree;
}

Digest TreePeaks::root() const {
  if (peaks_.empty()) return empty_root();
  Digest root = peaks_.back();
  for (std::size_t i = peaks_.size() - 1; i-- > 0;) root = node_hash(peaks_[i], root);
  return root;
}

std::optional<Digest> TreePeaks::peak(unsigned level) const {
  if (level >= 64 || (size_ >> level & 1) == 0) return std::nullopt;
  // Larger peaks stand in front of it: one for each higher digit.
  return peaks_[static_cast<std::size_t>(std::popcount(size_ >> level)) - 1];
}

std::vector<Digest> TreePeaks::append(const Digest& leaf) {
  std::vector<Digest> finished = {leaf};
  for (std::uint64_t rest = size_; (rest & 1) != 0; rest >>= 1) {
    finished.push_back(node_hash(peaks_.back(), finished.back()));
    peaks_.pop_back();
  }
  peaks_.push_back(finished.back());
  ++size_;
  return finished;
}

Result<Digest> root_of(std::uint64_t size, const NodeReader& nodes) {
  if (size == 0) return empty_root();
  return hash_of({0, size}, nodes);
}

Result<std::vector<Digest>> prove_inclusion(std::uint64_t index, std::uint64_t size, const NodeReader& nodes) {
  if (index >= size) return outside(index, size);
  std::vector<Digest> from_the_top;
  Range range{0, size};
  while (range.count > 1) {
    const bool goes_left = index < range.right().begin;
    from_the_top.push_back(CASEMATE_TRY(hash_of(goes_left ? range.right() : range.left(), nodes)));
    range = goes_left ? range.left() : range.right();
  }
  return std::vector<Digest>(from_the_top.rbegin(), from_the_top.rend());
}

Result<std::vector<Digest>> prove_consistency(std::uint64_t old_size, std::uint64_t new_size, const NodeReader& nodes) {
  if (old_size > new_size) return outside(old_size, new_size);
  std::vector<Digest> from_the_top;
  if (old_size == 0 || old_size == new_size) return from_the_top;
  // Down to the range that ends where the old tree ends; the verifier has that one when it is the whole old tree.
  Range range{0, new_size};
  while (range.begin + range.count != old_size) {
    const bool goes_left = old_size <= range.right().begin;
    from_the_top.push_back(CASEMATE_TRY(hash_of(goes_left ? range.right() : range.left(), nodes)));
    range = goes_left ? range.left() : range.right();
  }
  if (range.begin != 0) from_the_top.push_back(CASEMATE_TRY(hash_of(range, nodes)));
  return std::vector<Digest>(from_the_top.rbegin(), from_the_top.rend());
}

bool verify_inclusion(const Digest& leaf, std::uint64_t index, std::uint64_t size, const Digest& root,
                      const std::vector<Digest>& proof) {
  if (index >= size) return false;
  std::uint64_t node = index, last = size - 1;
  Digest hash = leaf;
  for (const Digest& sibling : proof) {
    if (last == 0) return false;
    if ((node & 1) != 0 || node == last) {
      hash = node_hash(sibling, hash);
      const int levels = std::countr_zero(node);  // node > 0 here: it is odd, or equals last > 0
      node >>= levels;
      last >>= levels;
    } else {
      hash = node_hash(hash, sibling);
    }
    node >>= 1;
    last >>= 1;
  }
  return last == 0 && hash == root;
}

bool verify_consistency(std::uint64_t old_size, const Digest& old_root, std::uint64_t new_size, const Digest& new_root,
                        const std::vector<Digest>& proof) {
  if (old_size > new_size) return false;
  if (old_size == 0) return proof.empty() && old_root == empty_root();
  if (old_size == new_size) return proof.empty() && old_root == new_root;
  // A complete old tree is a node of the new one: the proof leaves it out because the verifier has it.
  const bool is_complete = std::has_single_bit(old_size);
  if (!is_complete && proof.empty()) return false;
  Digest from_old = is_complete ? old_root : proof.front(), from_new = from_old;
  std::uint64_t node = old_size - 1, last = new_size - 1;
  const int common = std::countr_one(node);
  node >>= common;
  last >>= common;
  for (std::size_t i = is_complete ? 0 : 1; i < proof.size(); ++i) {
    if (last == 0) return false;
    if ((node & 1) != 0 || node == last) {
      from_old = node_hash(proof[i], from_old);
      from_new = node_hash(proof[i], from_new);
      const int levels = std::countr_zero(node);
      node >>= levels;
      last >>= levels;
    } else {
      from_new = node_hash(from_new, proof[i]);
    }
    node >>= 1;
    last >>= 1;
  }
  return last == 0 && from_old == old_root && from_new == new_root;
}

}  // namespace casemate::cas
