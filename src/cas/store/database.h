// The store's tables in SQLite: reading all of them once at start, and writing one batch as one transaction. Knows
// nothing of keys: everything in it is sealed. Private to cas/store.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cas/store/rows.h"
#include "cas/store/sqlite.h"
#include "cas/store/unseal.h"

namespace casemate::cas::internal {

// One write to a row; null: removed.
struct RowWrite {
  TableNumber table = 0;
  RowId id{};
  RowPointer row;
};

struct LogRowWrite {
  std::uint64_t index = 0;
  Bytes sealed;
};

// What one transaction writes.
struct BatchWrites {
  std::vector<RowWrite> rows;
  std::vector<LogRowWrite> log;
  Bytes state;
  std::optional<Bytes> keys;                     // when they change
  std::optional<std::vector<UnsealSlot>> slots;  // all of them, when they change
};

// Threads: one at a time. Errors of everything: as Statement::step.
class StoreDatabase {
 public:
  // Makes the file and its tables. Errors: kUsage when it exists.
  static Result<StoreDatabase> create(const std::string& path);
  static Result<StoreDatabase> open(const std::string& path, DatabaseAccess access);

  Result<std::vector<UnsealSlot>> slots();
  // The rows "keys" and "state".
  Result<Bytes> meta(const char* name);
  // Rows whose id begins with a byte in [first, end), in the order of table and id; end is at most 256, which has no
  // upper limit. kFormat for rows of tables that no store has.
  Result<void> for_each_row(unsigned first, unsigned end, const std::function<Result<void>(TableNumber, Row)>& visit);
  // kNotFound when there is none.
  Result<Bytes> log_row(std::uint64_t index);

  // All or nothing, and on the disk when it returns. After an error nothing was written, unless the error is of the
  // commit itself with code EIO: then it is unknown.
  Result<void> write(const BatchWrites& batch);
  Result<void> checkpoint() { return database_.checkpoint(); }
  // A consistent copy of everything, in a new file.
  Result<void> copy_to(const std::string& path);
  // What was there is overwritten, not only unlinked.
  Result<void> replace_slots(const std::vector<UnsealSlot>& slots);
  // Several reads see one state until end_read().
  Result<void> begin_read() { return database_.execute("BEGIN"); }
  Result<void> end_read() { return database_.execute("COMMIT"); }

 private:
  Result<void> prepare(DatabaseAccess access);
  Result<void> require_known_tables();
  Result<void> write_inside(const BatchWrites& batch);
  Result<void> write_rows(const BatchWrites& batch);

  Database database_;
  Statement put_row_, remove_row_, put_log_, get_log_, put_meta_, get_meta_;
};

}  // namespace casemate::cas::internal
