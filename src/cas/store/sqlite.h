// As much of SQLite as the store uses, as objects that release themselves and as Results. Private to cas/store.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "crypto/bytes.h"

struct sqlite3;
struct sqlite3_stmt;

namespace casemate::cas::internal {

using crypto::Bytes;
using crypto::ByteView;

// A prepared statement. Parameters are numbered from 1, columns from 0. Bound bytes must live until step() or run().
// Threads: one at a time. Requires: its Database outlives it.
class Statement {
 public:
  Statement() = default;

  void bind(int index, std::uint64_t value);  // below 2^63
  void bind(int index, ByteView bytes);
  void bind(int index, const std::string& text);

  // Whether there is a row. Errors: kSystem; kExhausted when the disk is full; kFormat for a damaged file.
  Result<bool> step();
  // For statements without rows; ready to be bound again afterwards.
  Result<void> run();
  // Ready to be bound again.
  void reset();

  std::uint64_t number(int column) const;
  ByteView blob(int column) const;  // valid until the next step
  std::string text(int column) const;

 private:
  friend class Database;
  struct Finalizer {
    void operator()(sqlite3_stmt* statement) const;
  };
  std::unique_ptr<sqlite3_stmt, Finalizer> statement_;
};

enum class DatabaseAccess { kReadWrite, kCreate, kReadOnly };

// Threads: one at a time; several Databases may have one file open.
class Database {
 public:
  // Write-ahead log, and every commit on the disk when it returns. Errors: as Statement::step.
  static Result<Database> open(const std::string& path, DatabaseAccess access);

  Result<Statement> prepare(const std::string& text);
  Result<void> execute(const std::string& text);
  // Moves what the write-ahead log has into the database file.
  Result<void> checkpoint();

 private:
  struct Closer {
    void operator()(sqlite3* handle) const;
  };
  std::unique_ptr<sqlite3, Closer> handle_;
};

}  // namespace casemate::cas::internal
