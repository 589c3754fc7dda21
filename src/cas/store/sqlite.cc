#include "cas/store/sqlite.h"

#include <sqlite3.h>

#include <cerrno>

namespace casemate::cas::internal {
namespace {

// What a reader that meets a checkpoint may wait; nothing here holds a lock for long.
constexpr int kBusyTimeoutMs = 10'000;

Error failure(sqlite3* handle, int code) {
  const std::string message =
      std::string("the CAS database: ") + (handle != nullptr ? sqlite3_errmsg(handle) : sqlite3_errstr(code));
  switch (code & 0xFF) {
    case SQLITE_FULL:
      return Error(ErrorCategory::kExhausted, message + "; nothing was changed, make room and try again", ENOSPC);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Error(ErrorCategory::kFormat, message);
    default:
      return Error(ErrorCategory::kSystem, message, EIO);
  }
}

// Statistics of memory cost a lock of the whole process for every allocation, which threads that load a store would
// wait for. Too late, and without effect, when somebody used SQLite before.
void configure_once() {
  static const int configured = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  static_cast<void>(configured);
}

}  // namespace

void Statement::Finalizer::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
void Database::Closer::operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }

void Statement::bind(int index, std::uint64_t value) {
  sqlite3_bind_int64(statement_.get(), index, static_cast<sqlite3_int64>(value));
}
void Statement::bind(int index, ByteView bytes) {
  // An empty blob is not NULL.
  sqlite3_bind_blob64(statement_.get(), index, bytes.empty() ? "" : static_cast<const void*>(bytes.data()),
                      bytes.size(), SQLITE_STATIC);
}
void Statement::bind(int index, const std::string& text) {
  sqlite3_bind_text64(statement_.get(), index, text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8);
}

Result<bool> Statement::step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  Error error = failure(sqlite3_db_handle(statement_.get()), code);
  reset();
  return error;
}

Result<void> Statement::run() {
  const auto stepped = step();
  reset();
  if (!stepped) return stepped.error();
  return {};
}

void Statement::reset() {
  sqlite3_reset(statement_.get());
  sqlite3_clear_bindings(statement_.get());
}

std::uint64_t Statement::number(int column) const {
  return static_cast<std::uint64_t>(sqlite3_column_int64(statement_.get(), column));
}
ByteView Statement::blob(int column) const {
  const auto* bytes = static_cast<const std::byte*>(sqlite3_column_blob(statement_.get(), column));
  return {bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column))};
}
std::string Statement::text(int column) const { return std::string(crypto::as_text(blob(column))); }

Result<Database> Database::open(const std::string& path, DatabaseAccess access) {
  configure_once();
  const int flags = access == DatabaseAccess::kReadOnly ? SQLITE_OPEN_READONLY
                    : access == DatabaseAccess::kCreate ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
                                                        : SQLITE_OPEN_READWRITE;
  Database database;
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &handle, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  database.handle_.reset(handle);
  if (code != SQLITE_OK) return failure(handle, code).with_context(path);
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, kBusyTimeoutMs);
  const char* settings =
      access == DatabaseAccess::kReadOnly
          ? "PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF"
          : "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY;"
            "PRAGMA trusted_schema = OFF; PRAGMA secure_delete = ON; PRAGMA wal_autocheckpoint = 4000";
  if (auto done = database.execute(settings); !done) return done.error().with_context(path);
  return database;
}

Result<Statement> Database::prepare(const std::string& text) {
  sqlite3_stmt* raw = nullptr;
  const int code = sqlite3_prepare_v3(handle_.get(), text.c_str(), -1, SQLITE_PREPARE_PERSISTENT, &raw, nullptr);
  if (code != SQLITE_OK) return failure(handle_.get(), code);
  Statement statement;
  statement.statement_.reset(raw);
  return statement;
}

Result<void> Database::execute(const std::string& text) {
  const int code = sqlite3_exec(handle_.get(), text.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return failure(handle_.get(), code);
  return {};
}

Result<void> Database::checkpoint() {
  const int code = sqlite3_wal_checkpoint_v2(handle_.get(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
  if (code != SQLITE_OK && (code & 0xFF) != SQLITE_BUSY) return failure(handle_.get(), code);
  return {};
}

}  // namespace casemate::cas::internal
