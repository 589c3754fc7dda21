// The next state while a batch is put together: changes are applied to it one after the other, and what the database
// has to write is collected. Nobody else sees it before it is on the disk. Private to cas/store.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <vector>

#include "cas/store/database.h"
#include "cas/store/key_set.h"
#include "cas/store/store.h"

namespace casemate::cas::internal {

// Nodes that a batch finished, and the tree before it: enough for receipts of the batch's entries.
struct BatchNodes {
  TreePeaks before;
  std::vector<std::vector<Digest>> levels;  // nodes finished by the batch, by level, consecutive
  LogKeys keys;
  SignedHead head;

  void add(const std::vector<Digest>& finished);
  Result<Digest> read(unsigned level, std::uint64_t index) const;
};

// Entries as a change logged them.
struct LoggedEntries {
  std::uint64_t first_index = 0;
  std::vector<DisclosedEntry> entries;
};

// A log row: the nodes that the leaf finished, and what the leaf is made of.
struct LogRow {
  std::vector<Digest> finished;
  DisclosedEntry disclosed;
};
inline constexpr std::string_view kLogRowLabel = "casemate cas log v1";
inline constexpr std::string_view kStateLabel = "casemate cas state v1";
Bytes encode_log_row(const LogRow& row);
Result<LogRow> decode_log_row(ByteView bytes);

Bytes encode_state(const State& state, std::uint64_t key_generation);
// All but the rows. `key_generation`: that the state was written with.
Result<State> decode_state(ByteView bytes, std::uint64_t& key_generation);

// Threads: one at a time.
class Draft {
 public:
  // `time`: not below that of the newest head.
  Draft(const State& base, std::shared_ptr<KeySet> keys, const TreePeaks& tree, std::uint64_t time);

  // Each leaves the draft as it was when it fails.
  Result<LoggedEntries> apply(const Change& change);
  Result<LoggedEntries> rotate_log_key();
  Result<LoggedEntries> rotate_session_key(const std::string& session);
  Result<LoggedEntries> forget_session_key(const std::string& session);
  Result<LoggedEntries> replace_root(const RootKey& root, std::vector<UnsealSlot> slots);
  // Of a new store: writes keys and slots for the first time.
  void install(std::vector<UnsealSlot> slots);
  Result<LoggedEntries> begin_epoch(const EpochCause& cause);
  Result<LoggedEntries> log(EntryBody body);
  void intend_anchor(std::uint64_t counter) { next_.anchor_counter = counter; }

  // Signs the head and seals the state. `root` seals the keys when they changed. Nothing is applied afterwards.
  Result<void> finish(const RootKey& root);

  const State& next() const { return next_; }
  const BatchWrites& writes() const { return writes_; }
  const std::shared_ptr<KeySet>& keys() const { return keys_; }
  const TreePeaks& tree() const { return tree_; }
  const std::shared_ptr<BatchNodes>& nodes() const { return nodes_; }

 private:
  struct Prepared;
  Result<void> check(const Change& change) const;
  Result<void> prepare_row(const RowChange& row, Prepared& prepared);
  Result<RowWrite> prepare_wrapping_key(const RowId& domain, const std::string& session, std::uint64_t version);
  Result<void> prepare_entry(EntryBody body, Prepared& prepared);
  // Rows of `domain` under `sealer`, with new versions.
  Result<void> seal_again(const RowId& domain, Sealer& sealer, Prepared& prepared);
  LoggedEntries take(Prepared prepared);
  void write_row(RowWrite write);

  State next_;
  std::shared_ptr<KeySet> keys_;
  TreePeaks tree_;
  std::uint64_t time_, epoch_;
  BatchWrites writes_;
  std::shared_ptr<BatchNodes> nodes_;
  bool keys_changed_ = false;
};

}  // namespace casemate::cas::internal
