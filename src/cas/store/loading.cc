#include "cas/store/loading.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <thread>
#include <vector>

#include "cas/store/draft.h"

namespace casemate::cas::internal {

namespace {

constexpr unsigned kBranches = 256 / RowTree::kBytesPerBranch;
constexpr std::uint64_t kBytesWorthAThread = 4 << 20;

void exclusive_or(Digest& target, const Digest& other) {
  for (std::size_t i = 0; i < target.size(); ++i) target[i] ^= other[i];
}

// Rows whose ids lie in branches [first, end).
Result<LoadedRows> load_branches(const std::string& directory, const KeySet& keys, std::uint64_t batch, unsigned first,
                                 unsigned end) {
  StoreDatabase database = CASEMATE_TRY(open_database(directory, DatabaseAccess::kReadOnly));
  LoadedRows loaded;
  RowDigester digester(keys.secrets());
  auto done = database.for_each_row(first * RowTree::kBytesPerBranch, end * RowTree::kBytesPerBranch,
                                    [&](TableNumber table, Row row) -> Result<void> {
                                      exclusive_or(loaded.digest, digester.of(table, row));
                                      loaded.tables[table].put(std::make_shared<const Row>(std::move(row)), batch);
                                      return {};
                                    });
  if (!done) return done.error();
  return loaded;
}

unsigned useful_threads(const std::string& directory) {
  struct stat status = {};
  if (::stat(database_path(directory).c_str(), &status) != 0) return 1;
  const std::uint64_t wanted = 1 + static_cast<std::uint64_t>(status.st_size) / kBytesWorthAThread;
  const std::uint64_t most = std::clamp(std::thread::hardware_concurrency(), 1U, kBranches);
  return static_cast<unsigned>(std::min(wanted, most));
}

}  // namespace

std::string database_path(const std::string& directory) { return directory + "/cas.db"; }

Error damaged_store(const std::string& what) {
  return Error(ErrorCategory::kFormat, "the CAS database was changed outside of the CAS, or is damaged: " + what +
                                           "; restore a backup (`casemate cas restore`)");
}

Result<StoreDatabase> open_database(const std::string& directory, DatabaseAccess access) {
  const std::string path = database_path(directory);
  if (::access(path.c_str(), F_OK) != 0) {
    return Error(ErrorCategory::kNotFound, "there is no CAS store in " + directory);
  }
  return StoreDatabase::open(path, access);
}

Result<RootKey> unseal_root(StoreDatabase& database, UnsealMethod& method) {
  const auto slots = CASEMATE_TRY(database.slots());
  // The first batch writes them, so there is no state either.
  if (slots.empty()) {
    return Error(ErrorCategory::kFormat,
                 "the CAS store was never completed: remove its directory and make the store again");
  }
  std::string kinds;
  std::optional<Error> refusal;
  for (const UnsealSlot& slot : slots) {
    kinds += (kinds.empty() ? "" : ", ") + slot.kind;
    if (slot.kind != method.kind()) continue;
    auto root = method.recover(slot);
    if (root) return root;
    refusal = root.error();
  }
  if (refusal) return *refusal;
  return Error(ErrorCategory::kUsage,
               std::string("this store is not unsealed by ") + method.kind() + ", but by " + kinds);
}

Result<LoadedState> load_state(StoreDatabase& database, const RootKey& root) {
  LoadedState loaded;
  const Bytes sealed_keys = CASEMATE_TRY(database.meta("keys"));
  auto keys = KeySet::open(root, sealed_keys);
  if (!keys) return damaged_store("its keys do not open");
  loaded.keys = std::move(keys).value();
  const Bytes sealed_state = CASEMATE_TRY(database.meta("state"));
  const auto opened = loaded.keys->open_labelled(kStateLabel, 0, sealed_state);
  if (!opened) return damaged_store("its state does not open");
  std::uint64_t generation = 0;
  loaded.state = std::make_shared<State>(CASEMATE_TRY(decode_state(opened.value().expose(), generation)));
  const State& state = *loaded.state;
  if (generation != loaded.keys->secrets().generation) return damaged_store("keys and state are of different times");
  if (auto done = verify_head(state.head, state.log_keys); !done) return damaged_store(done.error().message());
  if (log_key_of(loaded.keys->log_key()) != key_for_size(state.log_keys, state.head.head.size)) {
    return damaged_store("the log key is not the one that signed the newest head");
  }
  return loaded;
}

Result<LoadedRows> load_rows(const std::string& directory, const KeySet& keys, std::uint64_t batch) {
  const unsigned count = useful_threads(directory);
  std::vector<std::optional<Result<LoadedRows>>> parts(count);
  const auto load_part = [&](unsigned part) {
    parts[part].emplace(
        load_branches(directory, keys, batch, kBranches * part / count, kBranches * (part + 1) / count));
  };
  std::vector<std::thread> others;
  for (unsigned part = 1; part < count; ++part) others.emplace_back(load_part, part);
  load_part(0);
  for (std::thread& other : others) other.join();
  LoadedRows whole;
  for (auto& part : parts) {
    LoadedRows rows = CASEMATE_TRY(std::move(*part));
    exclusive_or(whole.digest, rows.digest);
    for (std::size_t table = 0; table < kTableCount; ++table)
      whole.tables[table].take_over(std::move(rows.tables[table]));
  }
  return whole;
}

}  // namespace casemate::cas::internal
