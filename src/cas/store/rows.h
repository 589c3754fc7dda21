// The rows of the store in memory, as an immutable tree per table: a reader keeps one State for as long as it likes and
// sees it unchanged, while the committer builds the next one and shares with it whatever did not change.
//
// Rows stay sealed here; they are opened when somebody asks for one. Private to cas/store.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "cas/log/head.h"
#include "crypto/bytes.h"

namespace casemate::cas {

using TableNumber = std::uint16_t;
inline constexpr TableNumber kTableCount = 32;

namespace internal {

using crypto::Bytes;
using crypto::ByteView;

// Keyed hash of table and key: names of rows do not show in the database file.
using RowId = std::array<std::byte, 16>;

struct Row {
  RowId id{};
  RowId domain{};  // the keyring row whose key seals this one; zero for the store key
  std::uint64_t version = 0;
  Bytes sealed;
};
using RowPointer = std::shared_ptr<const Row>;

// Rows by id. Copies are cheap and share structure; changing one copy leaves the others as they are.
//
// Two levels of 64 branches by the first bits of the (random) id, then a sorted list. Every node carries the number of
// the batch that made it: a batch changes its own nodes in place and copies all others.
// Threads: any number may read; a RowTree is changed by its one owner, before anybody else sees it.
class RowTree {
 public:
  // Null when there is none.
  const Row* find(const RowId& id) const;
  // In no useful order.
  void for_each(const std::function<void(const Row&)>& visit) const;
  std::uint64_t count() const { return count_; }

  // `batch`: larger than in all trees that share structure with this one and are still read.
  void put(RowPointer row, std::uint64_t batch);
  void remove(const RowId& id, std::uint64_t batch);
  // Takes all rows of a tree that nobody else sees. None of them lies in a branch that this tree
  // has rows in, and this tree is nobody else's, either: so parts of a table are built by several threads.
  void take_over(RowTree&& other);
  // Ids of different branches differ in their first byte divided by this.
  static constexpr unsigned kBytesPerBranch = 4;

 private:
  static constexpr std::size_t kBranches = 64;
  struct List {
    std::uint64_t batch = 0;
    std::vector<RowPointer> rows;  // by id
  };
  struct Middle {
    std::uint64_t batch = 0;
    std::array<std::shared_ptr<List>, kBranches> lists;
  };
  struct Top {
    std::uint64_t batch = 0;
    std::array<std::shared_ptr<Middle>, kBranches> middles;
  };
  List& list_for_change(const RowId& id, std::uint64_t batch);

  std::shared_ptr<Top> top_;
  std::uint64_t count_ = 0;
};

// Everything that one batch leaves behind it.
struct State {
  std::array<RowTree, kTableCount> tables;
  std::uint64_t batch = 0;         // counts commits
  std::uint64_t next_version = 1;  // of the next row written
  Digest rows_digest{};            // of all rows: XOR of keyed hashes
  std::uint64_t anchor_counter = 0;
  LogKeys log_keys;
  SignedHead head;
};

}  // namespace internal
}  // namespace casemate::cas
