// The store as its server uses it: rows, conflicts, groups, reopening, keys, anchors, backup.
#include "cas/store/store.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <filesystem>
#include <fstream>
#include <latch>
#include <thread>

#include "cas/store/testing/temporary_directory.h"

namespace casemate::cas {
namespace {

constexpr TableNumber kTable = 3, kOtherTable = 4;

Digest digest_of(std::string_view text) { return crypto::sha256(crypto::as_byte_view(text)); }

std::string text_of(const StoredRow& row) { return std::string(crypto::as_text(row.value.expose())); }

RowChange put(const std::string& key, const std::string& value, const std::string& session = "",
              std::optional<std::uint64_t> expected = std::nullopt) {
  return {kTable, key, session, SecretValue::copy_of(value), expected};
}
RowChange removal(const std::string& key) { return {kTable, key, "", std::nullopt, std::nullopt}; }

Change change_of(RowChange row) {
  Change change;
  change.rows.push_back(std::move(row));
  return change;
}

// An anchor that the test moves.
class MemoryAnchor final : public FreshnessAnchor {
 public:
  const char* kind() const override { return "memory"; }
  const char* promise() const override { return "test"; }
  Result<std::uint64_t> read() override { return value.load(); }
  Result<void> advance(std::uint64_t next) override {
    if (refuses) return Error(ErrorCategory::kSystem, "the anchor is away", EIO);
    EXPECT_GT(next, value.load());
    value = next;
    return {};
  }
  std::atomic<std::uint64_t> value{0};
  std::atomic<bool> refuses{false};
};

class StoreTest : public testing::Test {
 protected:
  StoreTest() : method_(unseal_with_new_key_file(directory_.path() + "/key").value()) {
    options_.directory = directory_.path() + "/store";
  }
  void create() { store_ = Store::create(options_, {method_.get()}).value(); }
  Result<std::unique_ptr<Store>> open() { return Store::open(options_, *method_); }
  void reopen() {
    store_.reset();
    auto opened = open();
    ASSERT_TRUE(opened) << opened.error().message();
    store_ = std::move(opened).value();
  }
  std::string get(const std::string& key) {
    const auto row = store_->snapshot().find(kTable, key);
    if (!row) return "error: " + row.error().message();
    return row.value() ? text_of(*row.value()) : "absent";
  }
  std::string database() const { return options_.directory + "/cas.db"; }
  // What a hostile disk does while the store is closed.
  void alter(const std::string& sql) {
    sqlite3* handle = nullptr;
    ASSERT_EQ(sqlite3_open(database().c_str(), &handle), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(handle, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(handle);
    EXPECT_GT(sqlite3_total_changes(handle), 0) << sql;
    sqlite3_close(handle);
  }
  void copy_store(const std::string& to) {
    std::filesystem::copy(options_.directory, to, std::filesystem::copy_options::recursive);
  }
  void put_back(const std::string& from) {
    std::filesystem::remove_all(options_.directory);
    std::filesystem::copy(from, options_.directory, std::filesystem::copy_options::recursive);
  }

  testing_support::TemporaryDirectory directory_;
  StoreOptions options_;
  std::unique_ptr<UnsealMethod> method_;
  MemoryAnchor anchor_;  // outlives the store
  std::unique_ptr<Store> store_;
};

TEST_F(StoreTest, KeepsRowsAndLogOverAReopening) {
  create();
  Change change;
  change.rows.push_back(put("system", "value 1"));
  change.rows.push_back(put("owned", "value 2", "prod/db"));
  change.log(SecretRotation{"prod/db", "password", 1, "test"});
  const auto committed = store_->commit(std::move(change));
  ASSERT_TRUE(committed) << committed.error().message();
  EXPECT_EQ(committed.value().first_index(), 1U);
  EXPECT_EQ(get("system"), "value 1");
  EXPECT_EQ(get("owned"), "value 2");
  const SignedHead head = store_->snapshot().head();
  reopen();
  EXPECT_EQ(get("system"), "value 1");
  EXPECT_EQ(get("owned"), "value 2");
  EXPECT_EQ(get("never"), "absent");
  EXPECT_EQ(store_->snapshot().head().head.root, head.head.root);
  EXPECT_EQ(store_->snapshot().count(kTable), 2U);
  EXPECT_TRUE(store_->commit(change_of(removal("system"))));
  EXPECT_EQ(get("system"), "absent");
  reopen();
  EXPECT_EQ(get("system"), "absent");
}

TEST_F(StoreTest, ShowsASnapshotUnchangedWhileOthersWrite) {
  create();
  ASSERT_TRUE(store_->commit(change_of(put("key", "before"))));
  const Snapshot snapshot = store_->snapshot();
  ASSERT_TRUE(store_->commit(change_of(put("key", "after"))));
  ASSERT_TRUE(store_->commit(change_of(put("more", "rows"))));
  EXPECT_EQ(text_of(*snapshot.find(kTable, "key").value()), "before");
  EXPECT_EQ(snapshot.count(kTable), 1U);
  EXPECT_EQ(get("key"), "after");
}

TEST_F(StoreTest, RefusesAChangeThatReliesOnAnotherVersionAndLeavesNoTrace) {
  create();
  ASSERT_TRUE(store_->commit(change_of(put("key", "one", "", kAbsent))));
  const std::uint64_t version = store_->snapshot().version_of(kTable, "key");
  const std::uint64_t size = store_->snapshot().head().head.size;

  Change late = change_of(put("key", "two", "", kAbsent));
  late.log(SecretRotation{"s", "x", 1, ""});
  const auto refused = store_->commit(std::move(late));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().system_code(), kConflictCode);

  Change with_check = change_of(put("other", "two"));
  with_check.checks.push_back({kTable, "key", version + 1});
  EXPECT_EQ(store_->commit(std::move(with_check)).error().system_code(), kConflictCode);
  EXPECT_EQ(get("key"), "one");
  EXPECT_EQ(get("other"), "absent");
  EXPECT_EQ(store_->snapshot().head().head.size, size);

  Change right = change_of(put("key", "two", "", version));
  right.checks.push_back({kTable, "other", kAbsent});
  EXPECT_TRUE(store_->commit(std::move(right)));
  EXPECT_EQ(get("key"), "two");
}

TEST_F(StoreTest, NeverGivesAVersionTwice) {
  create();
  ASSERT_TRUE(store_->commit(change_of(put("key", "one"))));
  const std::uint64_t version = store_->snapshot().version_of(kTable, "key");
  ASSERT_TRUE(store_->commit(change_of(removal("key"))));
  ASSERT_TRUE(store_->commit(change_of(put("key", "one"))));
  EXPECT_GT(store_->snapshot().version_of(kTable, "key"), version);
}

TEST_F(StoreTest, RefusesWhatDoesNotFit) {
  create();
  EXPECT_FALSE(store_->commit(change_of({0, "key", "", SecretValue(), std::nullopt})));
  EXPECT_FALSE(store_->commit(change_of({kTableCount, "key", "", SecretValue(), std::nullopt})));
  EXPECT_FALSE(store_->commit(change_of(put(std::string(5000, 'k'), "x"))));
  Change twice = change_of(put("key", "x"));
  twice.rows.push_back(put("key", "y"));
  EXPECT_FALSE(store_->commit(std::move(twice)));
  Change unloggable = change_of(put("key", "x"));
  unloggable.log(SecretRotation{"a\nb", "", 1, ""});
  EXPECT_FALSE(store_->commit(std::move(unloggable)));
  EXPECT_EQ(get("key"), "absent");
  EXPECT_TRUE(store_->commit(change_of(put("key", "x"))));
}

TEST_F(StoreTest, GivesReceiptsThatVerify) {
  create();
  const Digest id = store_->log_id();
  for (int round = 0; round < 20; ++round) {
    Change change;
    for (int i = 0; i <= round % 4; ++i) change.log(SecretRotation{"prod/db", "password", 1, std::to_string(round)});
    change.entries.push_back([](std::uint64_t index) {
      return Release{"prod/db", "server", digest_of("session"), index - 1, {"password@1"}, {}, digest_of("key")};
    });
    const auto committed = store_->commit(std::move(change)).value();
    for (std::size_t i = 0; i < committed.entry_count(); ++i) {
      const auto receipt = committed.receipt(i);
      ASSERT_TRUE(receipt) << receipt.error().message();
      const auto entry = verify_receipt(parse_receipt(to_text(receipt.value())).value(), id);
      ASSERT_TRUE(entry) << entry.error().message();
    }
    const auto last = verify_receipt(committed.receipt(committed.entry_count() - 1).value(), id).value();
    EXPECT_EQ(std::get<Release>(last.body).verdict, committed.first_index() + committed.entry_count() - 2);
  }
  for (std::uint64_t index = 0; index < store_->snapshot().head().head.size; ++index) {
    EXPECT_TRUE(verify_receipt(store_->log_receipt(index).value(), id)) << index;
  }
  EXPECT_FALSE(store_->log_receipt(store_->snapshot().head().head.size));
}

TEST_F(StoreTest, CommitsOfManyThreadsAllStayAndTheLogHasEachOnce) {
  constexpr int kThreads = 8, kChanges = 40;
  create();
  const SignedHead first = store_->snapshot().head();
  std::vector<std::thread> writers;
  std::atomic<bool> ends{false};
  std::thread reader([&] {
    while (!ends) {
      const Snapshot snapshot = store_->snapshot();
      std::uint64_t seen = 0;
      EXPECT_TRUE(snapshot.for_each(kTable, [&](const std::string&, const StoredRow&) -> Result<void> {
        ++seen;
        return {};
      }));
      EXPECT_EQ(seen, snapshot.count(kTable));
      // Each change writes two rows: a snapshot never shows half of one.
      EXPECT_EQ(seen % 2, 0U);
    }
  });
  std::atomic<int> answered{0};
  for (int thread = 0; thread < kThreads; ++thread) {
    writers.emplace_back([&, thread] {
      for (int i = 0; i < kChanges; ++i) {
        const std::string name = std::to_string(thread) + "/" + std::to_string(i);
        Change change = change_of(put(name + "/a", name, "session" + std::to_string(i % 5)));
        change.rows.push_back(put(name + "/b", name));
        change.log(SecretRotation{"s", name, 1, ""});
        const auto committed = store_->commit(std::move(change));
        ASSERT_TRUE(committed) << committed.error().message();
        EXPECT_TRUE(verify_receipt(committed.value().receipt(0).value(), store_->log_id()));
        ++answered;
      }
    });
  }
  for (auto& writer : writers) writer.join();
  ends = true;
  reader.join();
  EXPECT_EQ(answered, kThreads * kChanges);
  const auto log = store_->export_log([](const Entry&) { return true; });
  ASSERT_TRUE(log) << log.error().message();
  EXPECT_TRUE(verify_export(log.value(), store_->log_id()));
  EXPECT_TRUE(verify_continues(log.value(), first));
  std::set<std::string> names;
  for (const auto& leaf : log.value().leaves) {
    const Entry entry = decode_entry(leaf.disclosed->entry).value();
    if (const auto* rotation = std::get_if<SecretRotation>(&entry.body)) names.insert(rotation->secret);
  }
  EXPECT_EQ(names.size(), static_cast<std::size_t>(kThreads * kChanges));
  reopen();
  EXPECT_EQ(store_->snapshot().count(kTable), static_cast<std::size_t>(2 * kThreads * kChanges));
}

TEST_F(StoreTest, TimeNeverFallsBelowTheNewestLogged) {
  std::uint64_t time = 5'000'000;
  options_.clock = [&time] { return time; };
  create();
  time = 1000;  // the host's clock jumps back
  Change change;
  change.log(SecretRotation{"s", "x", 1, ""});
  ASSERT_TRUE(store_->commit(std::move(change)));
  EXPECT_EQ(store_->snapshot().head().head.time, 5'000'000U);
  store_.reset();
  store_ = open().value();
  EXPECT_EQ(store_->snapshot().head().head.time, 5'000'000U);
}

// --- what a hostile disk does ------------------------------------------------------------------------------------

TEST_F(StoreTest, NeverWritesASecretWhereAPlainDatabaseWould) {
  const std::string marker = "MARKER-4711-secret-value", name_marker = "MARKER-4712-row-name";
  create();
  for (int i = 0; i < 50; ++i) {
    Change change = change_of(put(name_marker + std::to_string(i), marker, i % 2 == 0 ? "MARKER-4713-session" : ""));
    change.log(SecretRotation{"MARKER-4713-session", "MARKER-4714-entry", 1, ""});
    ASSERT_TRUE(store_->commit(std::move(change)));
  }
  ASSERT_TRUE(store_->rotate_session_key("MARKER-4713-session"));
  const auto holders = std::vector{crypto::AgreementKey::generate().value().public_key(),
                                   crypto::AgreementKey::generate().value().public_key()};
  ASSERT_TRUE(store_->back_up(directory_.path() + "/backup", holders, 2));
  // Open: with its write-ahead log and shared memory still there.
  EXPECT_EQ(directory_.files_with("MARKER"), std::vector<std::string>());
  store_.reset();
  EXPECT_EQ(directory_.files_with("MARKER"), std::vector<std::string>());
  EXPECT_GE(directory_.file_count(), 4U);

  // The control: an unsealed row would have been found.
  alter("UPDATE item SET sealed = CAST('" + marker + "' AS BLOB)");
  EXPECT_FALSE(directory_.files_with("MARKER").empty());
}

struct Damage {
  const char* what;
  const char* sql;
};

class DamagedStore : public StoreTest, public testing::WithParamInterface<Damage> {};

TEST_P(DamagedStore, IsRefused) {
  create();
  for (int i = 0; i < 20; ++i) {
    Change change = change_of(put("key" + std::to_string(i), "value", i % 2 == 0 ? "s" : ""));
    change.rows.push_back({kOtherTable, "key" + std::to_string(i), "", SecretValue::copy_of("value"), std::nullopt});
    change.log(SecretRotation{"s", "x", 1, ""});
    ASSERT_TRUE(store_->commit(std::move(change)));
  }
  store_.reset();
  alter(GetParam().sql);
  const auto opened = open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().category(), ErrorCategory::kFormat) << opened.error().message();
}

INSTANTIATE_TEST_SUITE_P(
    EveryPart, DamagedStore,
    testing::Values(
        Damage{"row_removed", "DELETE FROM item WHERE id = (SELECT min(id) FROM item)"},
        Damage{"row_changed", "UPDATE item SET sealed = randomblob(80) WHERE id = (SELECT max(id) FROM item)"},
        Damage{"version_changed", "UPDATE item SET version = version + 1 WHERE id = (SELECT max(id) FROM item)"},
        Damage{"rows_swapped",
               "UPDATE item SET sealed = (SELECT sealed FROM item i WHERE i.id <> item.id LIMIT 1) WHERE table_number "
               "= 3"},
        Damage{"row_in_another_table", "UPDATE item SET table_number = 5 WHERE id = (SELECT max(id) FROM item)"},
        Damage{"row_added",
               "INSERT INTO item SELECT table_number, randomblob(16), domain, version, sealed FROM item LIMIT 1"},
        Damage{"row_of_an_unknown_table",
               "INSERT INTO item SELECT 32, randomblob(16), domain, version, sealed FROM item LIMIT 1"},
        Damage{"row_of_a_negative_table",
               "INSERT INTO item SELECT -1, randomblob(16), domain, version, sealed FROM item LIMIT 1"},
        Damage{"short_id", "INSERT INTO item SELECT 3, X'00', domain, version, sealed FROM item LIMIT 1"},
        Damage{"long_id",
               "INSERT INTO item SELECT 3, X'FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF', domain, version, sealed FROM item "
               "LIMIT 1"},
        Damage{"domain_changed", "UPDATE item SET domain = randomblob(16) WHERE id = (SELECT max(id) FROM item)"},
        Damage{"keys_changed", "UPDATE meta SET sealed = randomblob(100) WHERE name = 'keys'"},
        Damage{"state_changed", "UPDATE meta SET sealed = randomblob(100) WHERE name = 'state'"},
        Damage{"state_removed", "DELETE FROM meta WHERE name = 'state'"},
        Damage{"slot_changed", "UPDATE slot SET wrapped = randomblob(72)"},
        Damage{"newest_log_entry_removed", "DELETE FROM log WHERE number = (SELECT max(number) FROM log)"},
        Damage{"log_entries_swapped",
               "UPDATE log SET sealed = (SELECT sealed FROM log l WHERE l.number = 1) WHERE number = 15"},
        Damage{"other_format", "UPDATE slot SET number = number + 1; PRAGMA user_version = 2"}),
    [](const auto& damage) { return std::string(damage.param.what); });

// Large enough to be loaded by several threads.
class LargeStore : public StoreTest {
 protected:
  static constexpr int kRows = 20'000;
  static std::string key_of(int number) { return "key" + std::to_string(number); }
  void fill() {
    create();
    for (int number = 0; number < kRows;) {
      Change change;
      for (int i = 0; i < 2000; ++i, ++number) {
        change.rows.push_back(put(key_of(number), std::to_string(number) + std::string(600, 'v')));
      }
      ASSERT_TRUE(store_->commit(std::move(change)));
    }
  }
};

TEST_F(LargeStore, HasEveryRowAfterAReopening) {
  fill();
  reopen();
  EXPECT_EQ(store_->snapshot().count(kTable), std::uint64_t{kRows});
  for (int number = 0; number < kRows; number += 7) {
    ASSERT_EQ(get(key_of(number)), std::to_string(number) + std::string(600, 'v'));
  }
  ASSERT_TRUE(store_->commit(change_of(removal(key_of(5)))));
  EXPECT_EQ(get(key_of(5)), "absent");
  reopen();
  EXPECT_EQ(get(key_of(5)), "absent");
  EXPECT_EQ(store_->snapshot().count(kTable), std::uint64_t{kRows - 1});
}

TEST_F(LargeStore, IsRefusedWhenAnyPartHasAnOlderRow) {
  fill();
  // One row in every sixteenth of the ids: each thread's part is changed once.
  for (int sixteenth = 0; sixteenth < 16; sixteenth += 5) {
    store_.reset();
    copy_store(directory_.path() + "/kept" + std::to_string(sixteenth));
    alter(
        "UPDATE item SET version = version - 1 WHERE table_number = 3 AND id = (SELECT min(id) FROM item WHERE "
        "table_number = 3 AND id >= X'" +
        std::string(1, "0123456789abcdef"[sixteenth]) + "0')");
    const auto opened = open();
    ASSERT_FALSE(opened) << sixteenth;
    EXPECT_EQ(opened.error().category(), ErrorCategory::kFormat);
    put_back(directory_.path() + "/kept" + std::to_string(sixteenth));
  }
}

TEST_F(StoreTest, RefusesAnOlderRowAmongNewerOnes) {
  create();
  ASSERT_TRUE(store_->commit(change_of(put("password", "leaked"))));
  store_.reset();
  alter("CREATE TABLE kept AS SELECT * FROM item; UPDATE kept SET id = id");
  store_ = open().value();
  ASSERT_TRUE(store_->commit(change_of(put("password", "replaced"))));
  store_.reset();
  alter("DELETE FROM item WHERE table_number = 3; INSERT INTO item SELECT * FROM kept WHERE table_number = 3");
  const auto opened = open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().category(), ErrorCategory::kFormat);
}

TEST_F(StoreTest, NoticesALogEntryChangedUnderneathWhenItIsRead) {
  create();
  for (int i = 0; i < 8; ++i) {
    Change change;
    change.log(SecretRotation{"s", "x", 1, ""});
    ASSERT_TRUE(store_->commit(std::move(change)));
  }
  alter("UPDATE log SET sealed = randomblob(300) WHERE number = 2");
  EXPECT_FALSE(store_->log_entry(2));
  EXPECT_FALSE(store_->log_receipt(2));
  EXPECT_FALSE(store_->export_log([](const Entry&) { return true; }));
  EXPECT_TRUE(store_->log_entry(5));
}

// --- anchors -----------------------------------------------------------------------------------------------------

TEST_F(StoreTest, RefusesARolledBackDatabaseWithInstructions) {
  options_.anchor = &anchor_;
  create();
  ASSERT_TRUE(store_->commit(change_of(put("key", "old"))));
  store_.reset();
  const std::string old_copy = directory_.path() + "/old";
  copy_store(old_copy);
  reopen();
  ASSERT_TRUE(store_->commit(change_of(put("key", "new"))));
  store_.reset();
  put_back(old_copy);
  const auto opened = open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().system_code(), kRolledBackCode);
  EXPECT_NE(opened.error().message().find("casemate cas restore"), std::string::npos) << opened.error().message();

  // The owner accepts it: a new epoch, which the log tells, and the anchor fits again.
  const SignedHead before = [&] {
    StoreOptions unanchored = options_;
    unanchored.anchor = nullptr;
    return Store::open(unanchored, *method_).value()->snapshot().head();
  }();
  auto accepted = Store::open_in_new_epoch(options_, *method_, {"accepted rollback", {}});
  ASSERT_TRUE(accepted) << accepted.error().message();
  store_ = std::move(accepted).value();
  EXPECT_EQ(get("key"), "old");
  EXPECT_EQ(store_->snapshot().head().head.epoch, before.head.epoch + 1);
  EXPECT_TRUE(verify_consistency_proof(store_->log_consistency(before).value(), store_->log_id()));
  const auto log = store_->export_log([](const Entry&) { return false; }).value();
  const auto verified = verify_export(log, store_->log_id());
  EXPECT_TRUE(verified) << verified.error().message();
  reopen();
}

TEST_F(StoreTest, RefusesACopyOfARunningStoreOnceTheAnchorMoved) {
  options_.anchor = &anchor_;
  options_.anchor_interval = std::chrono::hours(1);
  create();
  ASSERT_TRUE(store_->commit(change_of(put("key", "old"))));
  const std::string copy = directory_.path() + "/copy";
  copy_store(copy);
  ASSERT_TRUE(store_->commit(change_of(put("key", "new"))));
  ASSERT_TRUE(store_->advance_anchor());
  const std::uint64_t after = anchor_.value;
  EXPECT_EQ(store_->anchor_status().counter, after);
  store_.reset();
  EXPECT_EQ(anchor_.value, after + 1);  // a clean end
  put_back(copy);
  EXPECT_EQ(open().error().system_code(), kRolledBackCode);
}

TEST_F(StoreTest, AcceptsTheStateBetweenIntentAndAdvanceOnce) {
  options_.anchor = &anchor_;
  create();
  anchor_.refuses = true;
  EXPECT_FALSE(store_->advance_anchor());
  EXPECT_FALSE(store_->anchor_status().failure.empty());
  store_.reset();
  const std::string copy = directory_.path() + "/copy";
  copy_store(copy);
  anchor_.refuses = false;
  reopen();
  store_.reset();
  put_back(copy);
  EXPECT_EQ(open().error().system_code(), kRolledBackCode);
}

TEST_F(StoreTest, RefusesAnAnchorThatWasSetBack) {
  options_.anchor = &anchor_;
  create();
  store_.reset();
  anchor_.value = 0;
  EXPECT_EQ(open().error().system_code(), kRolledBackCode);
}

TEST_F(StoreTest, StopsWhenAnotherInstanceMovesItsAnchor) {
  options_.anchor = &anchor_;
  create();
  ++anchor_.value;
  EXPECT_FALSE(store_->advance_anchor());
  EXPECT_FALSE(store_->commit(change_of(put("key", "value"))));
  EXPECT_EQ(get("key"), "absent");
}

TEST_F(StoreTest, MovesTheAnchorAfterTheInterval) {
  options_.anchor = &anchor_;
  options_.anchor_interval = std::chrono::milliseconds(1);
  create();
  const std::uint64_t before = anchor_.value;
  ASSERT_TRUE(store_->commit(change_of(put("key", "value"))));
  while (anchor_.value == before) std::this_thread::yield();
}

TEST_F(StoreTest, FileAnchorKeepsItsCounterAndRefusesOtherFiles) {
  const std::string path = directory_.path() + "/anchor";
  const auto anchor = make_file_anchor(path);
  EXPECT_EQ(anchor->read().value(), 0U);
  ASSERT_TRUE(anchor->advance(7));
  EXPECT_EQ(make_file_anchor(path)->read().value(), 7U);
  std::ofstream(path) << "something else\n";
  EXPECT_FALSE(anchor->read());
}

TEST_F(StoreTest, SaysThatItsLogIsBehindAHeadThatItSigned) {
  create();
  store_.reset();
  const std::string copy = directory_.path() + "/copy";
  copy_store(copy);
  store_ = open().value();
  Change change;
  change.log(SecretRotation{"s", "x", 1, ""});
  ASSERT_TRUE(store_->commit(std::move(change)));
  const SignedHead newest = store_->snapshot().head();
  store_.reset();
  put_back(copy);
  store_ = open().value();
  const auto proof = store_->log_consistency(newest);
  ASSERT_FALSE(proof);
  EXPECT_EQ(proof.error().system_code(), kRolledBackCode);
  // Also when it grew again: the histories differ.
  Change other;
  other.log(SecretRotation{"s", "y", 1, ""});
  other.log(SecretRotation{"s", "z", 1, ""});
  ASSERT_TRUE(store_->commit(std::move(other)));
  EXPECT_EQ(store_->log_consistency(newest).error().system_code(), kRolledBackCode);
}

// --- keys --------------------------------------------------------------------------------------------------------

TEST_F(StoreTest, RefusesAnotherKeyMethodOrSecondProcess) {
  create();
  const auto second = open();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().system_code(), EBUSY);
  store_.reset();
  const auto other = unseal_with_new_key_file(directory_.path() + "/other").value();
  EXPECT_FALSE(Store::open(options_, *other));
  const auto passphrase = unseal_with_passphrase(SecretValue::copy_of("guess"));
  EXPECT_FALSE(Store::open(options_, *passphrase));
  EXPECT_TRUE(open());
  EXPECT_FALSE(Store::create(options_, {method_.get()}));
}

TEST_F(StoreTest, IsUnsealedByEachOfItsMethods) {
  const auto passphrase = unseal_with_passphrase(SecretValue::copy_of("correct horse"));
  store_ = Store::create(options_, {method_.get(), passphrase.get()}).value();
  ASSERT_TRUE(store_->commit(change_of(put("key", "value"))));
  store_.reset();
  store_ = Store::open(options_, *passphrase).value();
  EXPECT_EQ(get("key"), "value");
  store_.reset();
  const auto wrong = unseal_with_passphrase(SecretValue::copy_of("wrong horse"));
  EXPECT_FALSE(Store::open(options_, *wrong));
  EXPECT_TRUE(open());
}

TEST_F(StoreTest, RotatesEveryKeyAndKeepsEverything) {
  create();
  const Digest id = store_->log_id();
  ASSERT_TRUE(store_->commit(change_of(put("key", "value", "prod/db"))));
  Change logged;
  logged.log(SecretRotation{"prod/db", "x", 1, ""});
  const Receipt old_receipt = store_->commit(std::move(logged)).value().receipt(0).value();
  const Snapshot before = store_->snapshot();

  ASSERT_TRUE(store_->rotate_log_key());
  ASSERT_TRUE(store_->rotate_session_key("prod/db"));
  EXPECT_FALSE(store_->rotate_session_key("never/was"));
  const auto fresh = unseal_with_new_key_file(directory_.path() + "/fresh").value();
  ASSERT_TRUE(store_->rotate_root_key({fresh.get()}));
  const auto receipt = store_->rotate_log_key().value().receipt(0);
  ASSERT_TRUE(receipt);
  EXPECT_TRUE(verify_receipt(receipt.value(), id));
  EXPECT_TRUE(verify_receipt(old_receipt, id));
  EXPECT_EQ(get("key"), "value");
  EXPECT_EQ(text_of(*before.find(kTable, "key").value()), "value");
  store_.reset();
  EXPECT_FALSE(open());
  store_ = Store::open(options_, *fresh).value();
  EXPECT_EQ(get("key"), "value");
  EXPECT_EQ(store_->snapshot().log_keys().steps.size(), 2U);
  const auto log = store_->export_log([](const Entry&) { return false; }).value();
  const auto verified = verify_export(log, id);
  EXPECT_TRUE(verified) << verified.error().message();
}

TEST_F(StoreTest, ForgottenSessionKeysOpenNothing) {
  create();
  Change change = change_of(put("a", "1", "gone"));
  change.rows.push_back(put("b", "2", "stays"));
  ASSERT_TRUE(store_->commit(std::move(change)));
  ASSERT_TRUE(store_->forget_session_key("gone"));
  EXPECT_FALSE(store_->snapshot().find(kTable, "a"));
  EXPECT_EQ(get("b"), "2");
  // A session of the same name later has another key.
  ASSERT_TRUE(store_->commit(change_of(put("a", "3", "gone"))));
  EXPECT_EQ(get("a"), "3");
}

// --- backup ------------------------------------------------------------------------------------------------------

TEST_F(StoreTest, IsRestoredByEnoughHoldersInANewEpochAndFencesTheOld) {
  options_.anchor = &anchor_;
  create();
  const Digest id = store_->log_id();
  ASSERT_TRUE(store_->commit(change_of(put("key", "value", "prod/db"))));
  std::vector<crypto::AgreementKey> holders;
  std::vector<crypto::AgreementPublicKey> public_keys;
  for (int i = 0; i < 3; ++i) {
    holders.push_back(crypto::AgreementKey::generate().value());
    public_keys.push_back(holders.back().public_key());
  }
  const std::string backup = directory_.path() + "/backup.db";
  ASSERT_TRUE(store_->back_up(backup, public_keys, 2));
  const SignedHead after_backup = store_->snapshot().head();
  ASSERT_TRUE(store_->commit(change_of(put("key", "later"))));

  const ShareSlot slot = share_slot_of(backup).value();
  EXPECT_EQ(slot.threshold, 2U);
  ASSERT_EQ(slot.shares.size(), 3U);
  EXPECT_FALSE(open_share(slot.shares[0], holders[1]));
  const auto shares_of = [&](std::initializer_list<std::size_t> who) {
    std::vector<SecretShare> shares;
    for (const std::size_t i : who) shares.push_back(open_share(slot.shares[i], holders[i]).value());
    return unseal_with_shares(std::move(shares));
  };

  StoreOptions elsewhere = options_;
  elsewhere.directory = directory_.path() + "/restored";
  const auto fresh = unseal_with_new_key_file(directory_.path() + "/fresh").value();
  EXPECT_FALSE(restore_store(elsewhere, backup, *shares_of({1}), {fresh.get()}, {"restore", {}}));
  auto restored = restore_store(elsewhere, backup, *shares_of({0, 2}), {fresh.get()}, {"restore", {}});
  ASSERT_TRUE(restored) << restored.error().message();
  EXPECT_EQ(text_of(*restored.value()->snapshot().find(kTable, "key").value()), "value");
  EXPECT_EQ(restored.value()->log_id(), id);
  EXPECT_GT(restored.value()->snapshot().head().head.epoch, after_backup.head.epoch);
  EXPECT_TRUE(verify_export(restored.value()->export_log([](const Entry&) { return true; }).value(), id));

  // The instance that it replaces notices at its anchor.
  EXPECT_FALSE(store_->advance_anchor());
  EXPECT_FALSE(store_->commit(change_of(put("key", "even later"))));
  // The shares open the restored store no more.
  restored.value().reset();
  EXPECT_FALSE(Store::open(elsewhere, *shares_of({0, 2})));
  EXPECT_TRUE(Store::open(elsewhere, *fresh));
}

}  // namespace
}  // namespace casemate::cas
