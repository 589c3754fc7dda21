// First steps of opening a store, for the engine and for whoever only reads. Private to cas/store.
#pragma once

#include <memory>
#include <string>

#include "cas/store/database.h"
#include "cas/store/key_set.h"

namespace casemate::cas::internal {

struct LoadedState {
  std::shared_ptr<KeySet> keys;
  std::shared_ptr<State> state;  // without rows
};

struct LoadedRows {
  std::array<RowTree, kTableCount> tables;
  Digest digest{};  // of all of them: to be compared with State::rows_digest
};

std::string database_path(const std::string& directory);
Error damaged_store(const std::string& what);

// kNotFound when there is no store.
Result<StoreDatabase> open_database(const std::string& directory, DatabaseAccess access);
// Tries the slots of the method's kind. Errors: kUsage when there is none; those of the method.
Result<RootKey> unseal_root(StoreDatabase& database, UnsealMethod& method);
// Opens the rows "keys" and "state" and verifies the newest head. Errors: kFormat.
Result<LoadedState> load_state(StoreDatabase& database, const RootKey& root);

// Every row of the database, by as many threads as the machine has processors, each with a connection of its own.
// Nobody may write to the database meanwhile. `batch`: see RowTree::put. Errors: kFormat; those of opening.
Result<LoadedRows> load_rows(const std::string& directory, const KeySet& keys, std::uint64_t batch);

}  // namespace casemate::cas::internal
