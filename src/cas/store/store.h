// The sealed store of the CAS: rows and transparency log that change together, durably, and are read without waiting.
//
// A change says which rows it writes, which it relied on (with their versions), and what it logs. Changes of many
// threads are committed in groups: one SQLite transaction with all rows and leaves, one signed head, one flush to the
// disk. Only then are the answers given, the receipts handed out and the rows shown to readers.
//
// What a hostile disk can do here -> what we answer
//   read the database            -> sealed rows; it sees how many rows tables and log have, their sizes, when they
//   change change, move, drop, add rows, or put back older ones one by one
//                                -> the state's digest of all rows does not fit: refused at the next start
//   change or drop log entries   -> the signed root does not come out; an entry is checked whenever it is read
//   put back the whole database  -> refused by the freshness anchor, within its promise and its interval
//   fill up, or fail to write    -> the change is refused, the state stays; after a failed flush nothing is accepted
//   any
//                                   more, because it is not known what the disk has
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cas/log/proof_files.h"
#include "cas/store/anchor.h"
#include "cas/store/rows.h"
#include "cas/store/secret_value.h"
#include "cas/store/unseal.h"

namespace casemate::cas {

namespace internal {
class KeySet;
class Engine;
struct BatchNodes;
}  // namespace internal

// Codes of Error::system_code(): the two refusals that callers answer in their own way.
inline constexpr int kConflictCode = 125;    // ECANCELED: a version that the change relied on is another one now
inline constexpr int kRolledBackCode = 116;  // ESTALE: the database is older than its anchor

// Absent: the version of a row that is not there.
inline constexpr std::uint64_t kAbsent = 0;

// Tables are numbered by the server (1 to kTableCount - 1; stored: never renumber). Keys have at most 4 KiB, values 16
// MiB.
struct RowChange {
  TableNumber table = 0;
  std::string key;
  // Whose wrapping key seals the row; empty: the store's own key. The wrapping key is made with the first row.
  std::string session;
  // Nothing: the row is removed.
  std::optional<SecretValue> value;
  // When given, the change is refused unless the row has this version (or is kAbsent).
  std::optional<std::uint64_t> expected_version;
};

// The change is refused unless the row still has this version, or is still kAbsent.
struct RowCheck {
  TableNumber table = 0;
  std::string key;
  std::uint64_t expected_version = kAbsent;
};

// Called by the committer with the index that the entry will have. Must be quick and must not call the store.
using EntryMaker = std::function<EntryBody(std::uint64_t index)>;

struct Change {
  std::vector<RowCheck> checks;
  std::vector<RowChange> rows;
  std::vector<EntryMaker> entries;

  void log(EntryBody body) {
    entries.push_back([body = std::move(body)](std::uint64_t) { return body; });
  }
};

// A change that is on the disk. Threads: immutable.
class Committed {
 public:
  std::uint64_t first_index() const { return first_index_; }  // of its entries
  std::size_t entry_count() const { return entries_.size(); }
  const SignedHead& head() const;
  // For the change's entry number `which`. Costs some hashes; blocks on nothing.
  Result<Receipt> receipt(std::size_t which) const;

 private:
  friend class internal::Engine;
  std::uint64_t first_index_ = 0;
  std::vector<DisclosedEntry> entries_;
  std::shared_ptr<const internal::BatchNodes> batch_;
};

using CommitAnswer = std::function<void(Result<Committed>)>;

struct StoredRow {
  std::uint64_t version = 0;
  SecretValue value;
};

// All rows as one commit left them. Threads: any number. Cheap to copy; keeps its rows alive.
class Snapshot {
 public:
  // Nothing when there is no such row. Errors: kFormat when it does not open.
  Result<std::optional<StoredRow>> find(TableNumber table, std::string_view key) const;
  // kAbsent when there is none. Opens nothing.
  std::uint64_t version_of(TableNumber table, std::string_view key) const;
  // In no useful order; stops at the first error.
  Result<void> for_each(TableNumber table,
                        const std::function<Result<void>(const std::string& key, const StoredRow& row)>& visit) const;
  std::uint64_t count(TableNumber table) const { return state_->tables[table].count(); }
  const SignedHead& head() const { return state_->head; }
  const LogKeys& log_keys() const { return state_->log_keys; }

 private:
  friend class Store;
  friend class internal::Engine;
  Snapshot(std::shared_ptr<const internal::State> state, std::shared_ptr<internal::KeySet> keys)
      : state_(std::move(state)), keys_(std::move(keys)) {}
  std::shared_ptr<const internal::State> state_;
  std::shared_ptr<internal::KeySet> keys_;
};

// Milliseconds since 1970.
using WallClock = std::function<std::uint64_t()>;
std::uint64_t system_time();

struct StoreOptions {
  std::string directory;
  std::string software = "casemate";  // what the log's first entry says made it
  FreshnessAnchor* anchor = nullptr;  // none: nothing notices a rollback. Must outlive the store
  std::chrono::milliseconds anchor_interval{10'000};
  WallClock clock = system_time;
};

// Why an older or foreign state may be gone on with: the owner decided so.
struct EpochCause {
  std::string cause;  // "restore", "accepted rollback"
  std::vector<Approval> approvals;
};

struct AnchorStatus {
  std::string kind, promise;
  std::uint64_t counter = 0;
  std::string failure;  // of the last advance; empty when it succeeded
};

// Threads: any number at once, except for open, create and destruction.
class Store {
 public:
  // Makes the directory (mode 0700) and an empty store whose root key `methods` can recover, and opens it. Errors:
  // kUsage when there is one; kSystem.
  static Result<std::unique_ptr<Store>> create(const StoreOptions& options, const std::vector<UnsealMethod*>& methods);
  // Errors: kNotFound, kFormat (not a store, damaged, `method` does not open it), kUsage with EBUSY (another process
  // has it), with kRolledBackCode and instructions (behind its anchor). Reads everything once.
  static Result<std::unique_ptr<Store>> open(const StoreOptions& options, UnsealMethod& method);
  // As open, but goes on with whatever state is there, in a new epoch of the log, with a new log key and the anchor set
  // to it: the owner's decision after a rollback. The epoch and its cause are logged.
  static Result<std::unique_ptr<Store>> open_in_new_epoch(const StoreOptions& options, UnsealMethod& method,
                                                          const EpochCause& cause);

  // Finishes what was submitted, anchors it and closes.
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // The newest committed state. Never waits for a commit.
  Snapshot snapshot() const;

  // Queues `change`. `answer` is called once, on the committer's thread, after the change is durable or was refused: it
  // must be quick. Errors: kUsage with kConflictCode; kUsage; kExhausted (disk full); kSystem.
  void submit(Change change, CommitAnswer answer);
  // submit and wait. Not from within an answer.
  Result<Committed> commit(Change change);

  // New keys, logged. Old log heads and receipts stay valid. Rotating a session's key seals its rows again.
  Result<Committed> rotate_log_key();
  Result<Committed> rotate_session_key(const std::string& session);
  // A new root key that exactly `methods` recover from then on.
  Result<Committed> rotate_root_key(const std::vector<UnsealMethod*>& methods);
  // Removes the wrapping key of a session, so that rows of it that are left anywhere open no more.
  Result<Committed> forget_session_key(const std::string& session);

  // --- the log. Each reads the database beside the committer.
  Digest log_id() const;
  Result<DisclosedEntry> log_entry(std::uint64_t index) const;
  Result<Receipt> log_receipt(std::uint64_t index) const;
  // From an older head, whose signature is checked, to the newest. Errors: kFormat when it is not of this log's
  // history: the caller knows more than this store, which was rolled back or is another one.
  Result<ConsistencyProof> log_consistency(const SignedHead& older) const;
  // `disclose` says which entries the reader may see; those that verification needs are always disclosed.
  Result<LogExport> export_log(const std::function<bool(const Entry&)>& disclose) const;

  // Makes a copy for the case of loss, whose root key only `threshold` of `holders` together recover, in a new file.
  Result<void> back_up(const std::string& path, const std::vector<crypto::AgreementPublicKey>& holders,
                       unsigned threshold);

  AnchorStatus anchor_status() const;
  // Now instead of at the end of the interval. Errors: kSystem.
  Result<void> advance_anchor();

 private:
  explicit Store(std::unique_ptr<internal::Engine> engine);
  std::unique_ptr<internal::Engine> engine_;
};

// The log of a store that is not opened, or that a CAS has open: reads only, checks no anchor. Errors: as Store::open.
Result<LogExport> read_log(const std::string& directory, UnsealMethod& method,
                           const std::function<bool(const Entry&)>& disclose);

// The share slot of a backup or of a store: which holders are needed. Errors: kNotFound when it has none.
Result<ShareSlot> share_slot_of(const std::string& database_path);
// Makes a store in options.directory out of a backup: under a new root key that `methods` recover, in a new epoch with
// a new log key. The instance that the backup is of is fenced: its heads are of an epoch before, and its anchor, when
// options.anchor is the same, has moved on. Errors: as Store::open and Store::create.
Result<std::unique_ptr<Store>> restore_store(const StoreOptions& options, const std::string& backup_path,
                                             UnsealMethod& shares, const std::vector<UnsealMethod*>& methods,
                                             const EpochCause& cause);

}  // namespace casemate::cas
