#include "cas/store/database.h"

#include <unistd.h>
#include <algorithm>

namespace casemate::cas::internal {
namespace {

// "CsMt", so that file(1) and people can tell what it is.
constexpr const char* kSchema =
    "BEGIN;"
    "PRAGMA application_id = 1131629940;"
    "PRAGMA user_version = 1;"
    "CREATE TABLE slot (number INTEGER PRIMARY KEY, kind TEXT NOT NULL, parameters BLOB NOT NULL,"
    "                   wrapped BLOB NOT NULL) STRICT;"
    "CREATE TABLE meta (name TEXT PRIMARY KEY, sealed BLOB NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE item (table_number INTEGER NOT NULL, id BLOB NOT NULL, domain BLOB NOT NULL,"
    "                   version INTEGER NOT NULL, sealed BLOB NOT NULL, PRIMARY KEY (table_number, id))"
    "                   STRICT, WITHOUT ROWID;"
    "CREATE TABLE log (number INTEGER PRIMARY KEY, sealed BLOB NOT NULL) STRICT;"
    "COMMIT";
constexpr std::uint64_t kFormatVersion = 1;

Error malformed(const char* what) { return Error(ErrorCategory::kFormat, std::string("the CAS database: ") + what); }

Result<RowId> id_from(ByteView bytes) {
  RowId id;
  if (bytes.size() != id.size()) return malformed("an id has the wrong size");
  std::copy(bytes.begin(), bytes.end(), id.begin());
  return id;
}

}  // namespace

Result<StoreDatabase> StoreDatabase::create(const std::string& path) {
  if (::access(path.c_str(), F_OK) == 0) return Error(ErrorCategory::kUsage, path + " exists already");
  StoreDatabase store;
  store.database_ = CASEMATE_TRY(Database::open(path, DatabaseAccess::kCreate));
  if (auto done = store.database_.execute(kSchema); !done) return done.error();
  if (auto done = store.prepare(DatabaseAccess::kCreate); !done) return done.error();
  return store;
}

Result<StoreDatabase> StoreDatabase::open(const std::string& path, DatabaseAccess access) {
  StoreDatabase store;
  store.database_ = CASEMATE_TRY(Database::open(path, access));
  Statement version = CASEMATE_TRY(store.database_.prepare("PRAGMA user_version"));
  const bool has_version = CASEMATE_TRY(version.step());
  if (!has_version || version.number(0) != kFormatVersion)
    return malformed("not a CAS store, or one of a newer Casemate");
  version.reset();
  if (auto done = store.prepare(access); !done) return done.error();
  return store;
}

Result<void> StoreDatabase::prepare(DatabaseAccess access) {
  get_log_ = CASEMATE_TRY(database_.prepare("SELECT sealed FROM log WHERE number = ?"));
  get_meta_ = CASEMATE_TRY(database_.prepare("SELECT sealed FROM meta WHERE name = ?"));
  if (access == DatabaseAccess::kReadOnly) return {};
  put_row_ = CASEMATE_TRY(database_.prepare("INSERT OR REPLACE INTO item VALUES (?, ?, ?, ?, ?)"));
  remove_row_ = CASEMATE_TRY(database_.prepare("DELETE FROM item WHERE table_number = ? AND id = ?"));
  put_log_ = CASEMATE_TRY(database_.prepare("INSERT INTO log VALUES (?, ?)"));
  put_meta_ = CASEMATE_TRY(database_.prepare("INSERT OR REPLACE INTO meta VALUES (?, ?)"));
  return {};
}

Result<std::vector<UnsealSlot>> StoreDatabase::slots() {
  Statement query = CASEMATE_TRY(database_.prepare("SELECT kind, parameters, wrapped FROM slot ORDER BY number"));
  std::vector<UnsealSlot> slots;
  while (CASEMATE_TRY(query.step())) {
    slots.push_back({query.text(0), crypto::to_bytes(query.blob(1)), crypto::to_bytes(query.blob(2))});
  }
  return slots;
}

Result<Bytes> StoreDatabase::meta(const char* name) {
  const std::string wanted = name;
  get_meta_.bind(1, wanted);
  if (!CASEMATE_TRY(get_meta_.step())) {
    get_meta_.reset();
    return malformed("a row that every store has is missing");
  }
  Bytes sealed = crypto::to_bytes(get_meta_.blob(0));
  get_meta_.reset();
  return sealed;
}

Result<void> StoreDatabase::require_known_tables() {
  // Each by one look at an end of the index, which min() and max() in one query would not be.
  for (const char* const text : {"SELECT min(table_number) FROM item", "SELECT max(table_number) FROM item"}) {
    Statement query = CASEMATE_TRY(database_.prepare(text));
    const bool has_row = CASEMATE_TRY(query.step());
    if (has_row && query.number(0) >= kTableCount) return malformed("a row is of an unknown table");
  }
  return {};
}

Result<void> StoreDatabase::for_each_row(unsigned first, unsigned end,
                                         const std::function<Result<void>(TableNumber, Row)>& visit) {
  if (auto known = require_known_tables(); !known) return known;
  const std::string text = "SELECT id, domain, version, sealed FROM item WHERE table_number = ? AND id >= ?";
  Statement query = CASEMATE_TRY(database_.prepare(end < 256 ? text + " AND id < ?" : text));
  const Bytes lower = first == 0 ? Bytes() : Bytes{static_cast<std::byte>(first)};
  const Bytes upper = {static_cast<std::byte>(end)};
  for (TableNumber table = 0; table < kTableCount; ++table) {
    query.bind(1, std::uint64_t{table});
    query.bind(2, ByteView(lower));
    if (end < 256) query.bind(3, ByteView(upper));
    while (CASEMATE_TRY(query.step())) {
      Row row;
      row.id = CASEMATE_TRY(id_from(query.blob(0)));
      row.domain = CASEMATE_TRY(id_from(query.blob(1)));
      row.version = query.number(2);
      row.sealed = crypto::to_bytes(query.blob(3));
      if (auto done = visit(table, std::move(row)); !done) return done;
    }
    query.reset();
  }
  return {};
}

Result<Bytes> StoreDatabase::log_row(std::uint64_t index) {
  get_log_.bind(1, index);
  const bool found = CASEMATE_TRY(get_log_.step());
  Bytes sealed = found ? crypto::to_bytes(get_log_.blob(0)) : Bytes();
  get_log_.reset();
  if (!found) return Error(ErrorCategory::kNotFound, "the log has no entry " + std::to_string(index));
  return sealed;
}

Result<void> StoreDatabase::write(const BatchWrites& batch) {
  if (auto begun = database_.execute("BEGIN IMMEDIATE"); !begun) return begun;
  auto done = write_inside(batch);
  if (done) done = database_.execute("COMMIT");
  if (!done) {
    // SQLite may have rolled back by itself, then this fails; either way nothing of the batch stays.
    static_cast<void>(database_.execute("ROLLBACK").has_value());
  }
  return done;
}

Result<void> StoreDatabase::write_inside(const BatchWrites& batch) {
  if (auto done = write_rows(batch); !done) return done;
  if (batch.slots) {
    if (auto done = replace_slots(*batch.slots); !done) return done;
  }
  const std::string keys = "keys", state = "state";
  if (batch.keys) {
    put_meta_.bind(1, keys);
    put_meta_.bind(2, ByteView(*batch.keys));
    if (auto done = put_meta_.run(); !done) return done;
  }
  put_meta_.bind(1, state);
  put_meta_.bind(2, ByteView(batch.state));
  return put_meta_.run();
}

Result<void> StoreDatabase::write_rows(const BatchWrites& batch) {
  for (const RowWrite& write : batch.rows) {
    Statement& statement = write.row ? put_row_ : remove_row_;
    statement.bind(1, std::uint64_t{write.table});
    statement.bind(2, ByteView(write.id));
    if (write.row) {
      statement.bind(3, ByteView(write.row->domain));
      statement.bind(4, write.row->version);
      statement.bind(5, ByteView(write.row->sealed));
    }
    if (auto done = statement.run(); !done) return done;
  }
  for (const LogRowWrite& write : batch.log) {
    put_log_.bind(1, write.index);
    put_log_.bind(2, ByteView(write.sealed));
    if (auto done = put_log_.run(); !done) return done;
  }
  return {};
}

Result<void> StoreDatabase::replace_slots(const std::vector<UnsealSlot>& slots) {
  if (auto done = database_.execute("DELETE FROM slot"); !done) return done;
  Statement put = CASEMATE_TRY(database_.prepare("INSERT INTO slot (kind, parameters, wrapped) VALUES (?, ?, ?)"));
  for (const UnsealSlot& slot : slots) {
    put.bind(1, slot.kind);
    put.bind(2, ByteView(slot.parameters));
    put.bind(3, ByteView(slot.wrapped));
    if (auto done = put.run(); !done) return done;
  }
  return {};
}

Result<void> StoreDatabase::copy_to(const std::string& path) {
  Statement copy = CASEMATE_TRY(database_.prepare("VACUUM INTO ?"));
  copy.bind(1, path);
  return copy.run();
}

}  // namespace casemate::cas::internal
