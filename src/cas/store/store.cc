// The public face over the engine.
#include "cas/store/store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/unique_fd.h"
#include "cas/store/engine.h"
#include "cas/store/loading.h"

namespace casemate::cas {
namespace {

Error changed_log() {
  return Error(ErrorCategory::kFormat, "the log was changed on the disk: its entries do not give the signed root");
}

// A file that is not there yet, with the contents of another.
Result<void> copy_file(const std::string& from, const std::string& to) {
  const UniqueFd source(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
  if (!source.is_open()) return Error::from_errno(from, errno);
  const UniqueFd target(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!target.is_open()) return Error::from_errno(to, errno);
  std::array<char, 64 * 1024> buffer;
  while (true) {
    const ssize_t size = ::read(source.get(), buffer.data(), buffer.size());
    if (size < 0) return Error::from_errno(from, errno);
    if (size == 0) break;
    if (::write(target.get(), buffer.data(), static_cast<std::size_t>(size)) != size)
      return Error::from_errno(to, errno);
  }
  if (::fsync(target.get()) != 0) return Error::from_errno(to, errno);
  return {};
}

using LogRows = std::function<Result<internal::LogRow>(std::uint64_t index)>;

Result<LogExport> export_rows(const internal::State& state, const LogRows& rows,
                              const std::function<bool(const Entry&)>& disclose) {
  LogExport log{state.log_keys, {}, state.head};
  TreePeaks tree;
  for (std::uint64_t index = 0; index < log.head.head.size; ++index) {
    auto row = CASEMATE_TRY(rows(index));
    const Entry entry = CASEMATE_TRY(decode_entry(row.disclosed.entry));
    ExportedLeaf leaf{leaf_hash(row.disclosed.salt, row.disclosed.entry), std::nullopt};
    tree.append(leaf.hash);
    if (is_always_disclosed(entry) || disclose(entry)) leaf.disclosed = std::move(row.disclosed);
    log.leaves.push_back(std::move(leaf));
  }
  if (tree.root() != log.head.head.root) return changed_log();
  return log;
}

}  // namespace

std::uint64_t system_time() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(since).count());
}

const SignedHead& Committed::head() const { return batch_->head; }

Result<Receipt> Committed::receipt(std::size_t which) const {
  if (which >= entries_.size()) return Error(ErrorCategory::kUsage, "the change logged fewer entries");
  Receipt receipt{batch_->keys, first_index_ + which, entries_[which].salt, entries_[which].entry, {}, batch_->head};
  const auto nodes = [this](unsigned level, std::uint64_t index) { return batch_->read(level, index); };
  receipt.path = CASEMATE_TRY(prove_inclusion(receipt.index, batch_->head.head.size, nodes));
  return receipt;
}

// --- Snapshot ------------------------------------------------------------------------------------------------------

Result<std::optional<StoredRow>> Snapshot::find(TableNumber table, std::string_view key) const {
  if (table >= kTableCount) return Error(ErrorCategory::kUsage, "there is no such table");
  const internal::Row* row = state_->tables[table].find(keys_->id_of(table, key));
  if (row == nullptr) return std::optional<StoredRow>();
  auto opened = CASEMATE_TRY(keys_->open_row(table, *row, state_->tables[internal::kKeyringTable]));
  return std::optional<StoredRow>(StoredRow{row->version, std::move(opened.value)});
}

std::uint64_t Snapshot::version_of(TableNumber table, std::string_view key) const {
  if (table >= kTableCount) return kAbsent;
  const internal::Row* row = state_->tables[table].find(keys_->id_of(table, key));
  return row != nullptr ? row->version : kAbsent;
}

Result<void> Snapshot::for_each(
    TableNumber table, const std::function<Result<void>(const std::string& key, const StoredRow& row)>& visit) const {
  if (table >= kTableCount) return Error(ErrorCategory::kUsage, "there is no such table");
  Result<void> outcome;
  state_->tables[table].for_each([&](const internal::Row& row) {
    if (!outcome) return;
    auto opened = keys_->open_row(table, row, state_->tables[internal::kKeyringTable]);
    outcome = opened ? visit(opened.value().key, StoredRow{row.version, std::move(opened.value().value)})
                     : Result<void>(opened.error());
  });
  return outcome;
}

// --- Store ---------------------------------------------------------------------------------------------------------

Store::Store(std::unique_ptr<internal::Engine> engine) : engine_(std::move(engine)) {}
Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::create(const StoreOptions& options, const std::vector<UnsealMethod*>& methods) {
  auto engine = CASEMATE_TRY(internal::Engine::create(options, methods));
  return std::unique_ptr<Store>(new Store(std::move(engine)));
}

Result<std::unique_ptr<Store>> Store::open(const StoreOptions& options, UnsealMethod& method) {
  auto engine = CASEMATE_TRY(internal::Engine::open(options, method, nullptr));
  return std::unique_ptr<Store>(new Store(std::move(engine)));
}

Result<std::unique_ptr<Store>> Store::open_in_new_epoch(const StoreOptions& options, UnsealMethod& method,
                                                        const EpochCause& cause) {
  auto engine = CASEMATE_TRY(internal::Engine::open(options, method, &cause));
  return std::unique_ptr<Store>(new Store(std::move(engine)));
}

Snapshot Store::snapshot() const {
  auto published = engine_->published();
  return Snapshot(std::move(published.state), std::move(published.keys));
}

void Store::submit(Change change, CommitAnswer answer) {
  // Shared, because the work's function must be copyable and secrets are not.
  auto shared = std::make_shared<const Change>(std::move(change));
  engine_->submit({[shared](internal::Draft& draft) { return draft.apply(*shared); }, std::move(answer), nullptr});
}

Result<Committed> Store::commit(Change change) {
  return engine_->commit([&change](internal::Draft& draft) { return draft.apply(change); });
}

Result<Committed> Store::rotate_log_key() {
  return engine_->commit([](internal::Draft& draft) { return draft.rotate_log_key(); });
}

Result<Committed> Store::rotate_session_key(const std::string& session) {
  return engine_->commit([&session](internal::Draft& draft) { return draft.rotate_session_key(session); });
}

Result<Committed> Store::forget_session_key(const std::string& session) {
  return engine_->commit([&session](internal::Draft& draft) { return draft.forget_session_key(session); });
}

Result<Committed> Store::rotate_root_key(const std::vector<UnsealMethod*>& methods) {
  if (methods.empty()) return Error(ErrorCategory::kUsage, "a store needs a method that unseals it");
  auto root = std::make_shared<const RootKey>(CASEMATE_TRY(RootKey::random()));
  std::vector<UnsealSlot> slots;
  for (UnsealMethod* method : methods) slots.push_back(CASEMATE_TRY(method->protect(*root)));
  return engine_->commit([&](internal::Draft& draft) { return draft.replace_root(*root, slots); }, root);
}

Digest Store::log_id() const { return engine_->published().state->head.head.log_id; }

Result<DisclosedEntry> Store::log_entry(std::uint64_t index) const {
  const auto published = engine_->published();
  if (index >= published.state->head.head.size) {
    return Error(ErrorCategory::kNotFound, "the log has no entry " + std::to_string(index));
  }
  return CASEMATE_TRY(engine_->log_row(index, *published.keys)).disclosed;
}

Result<Receipt> Store::log_receipt(std::uint64_t index) const {
  const auto published = engine_->published();
  const TreeHead& head = published.state->head.head;
  auto path = CASEMATE_TRY(prove_inclusion(index, head.size, engine_->nodes(*published.keys)));
  auto row = CASEMATE_TRY(engine_->log_row(index, *published.keys));
  const Digest leaf = leaf_hash(row.disclosed.salt, row.disclosed.entry);
  if (!verify_inclusion(leaf, index, head.size, head.root, path)) return changed_log();
  return Receipt{published.state->log_keys,      index,           row.disclosed.salt,
                 std::move(row.disclosed.entry), std::move(path), published.state->head};
}

Result<ConsistencyProof> Store::log_consistency(const SignedHead& older) const {
  const auto published = engine_->published();
  const SignedHead& newest = published.state->head;
  ConsistencyProof proof{published.state->log_keys, older, newest, {}};
  if (older.head.log_id != newest.head.log_id) return Error(ErrorCategory::kUsage, "this head is of another log");
  if (auto done = verify_head(older, proof.keys); !done) return done.error();
  if (older.head.size > newest.head.size || older.head.epoch > newest.head.epoch) {
    return Error(ErrorCategory::kUsage,
                 "this CAS is older than a head that it signed (" + std::to_string(newest.head.size) +
                     " entries, the head has " + std::to_string(older.head.size) +
                     "): it was set back. Stop it and restore it in a new epoch",
                 kRolledBackCode);
  }
  proof.path = CASEMATE_TRY(prove_consistency(older.head.size, newest.head.size, engine_->nodes(*published.keys)));
  if (!verify_consistency(older.head.size, older.head.root, newest.head.size, newest.head.root, proof.path)) {
    return Error(ErrorCategory::kUsage, "the log does not continue a head that it signed: its history was changed",
                 kRolledBackCode);
  }
  return proof;
}

Result<LogExport> Store::export_log(const std::function<bool(const Entry&)>& disclose) const {
  const auto published = engine_->published();
  const auto row = [&](std::uint64_t index) { return engine_->log_row(index, *published.keys); };
  return export_rows(*published.state, row, disclose);
}

Result<void> Store::back_up(const std::string& path, const std::vector<crypto::AgreementPublicKey>& holders,
                            unsigned threshold) {
  const auto shares = split_among_holders(holders, threshold);
  return engine_->back_up(path, *shares);
}

AnchorStatus Store::anchor_status() const { return engine_->anchor_status(); }
Result<void> Store::advance_anchor() { return engine_->advance_anchor(); }

Result<LogExport> read_log(const std::string& directory, UnsealMethod& method,
                           const std::function<bool(const Entry&)>& disclose) {
  auto database = CASEMATE_TRY(internal::open_database(directory, internal::DatabaseAccess::kReadOnly));
  // One state for all reads, also while a CAS goes on writing.
  if (auto begun = database.begin_read(); !begun) return begun.error();
  const RootKey root = CASEMATE_TRY(internal::unseal_root(database, method));
  const auto loaded = CASEMATE_TRY(internal::load_state(database, root));
  const auto row = [&](std::uint64_t index) -> Result<internal::LogRow> {
    const Bytes sealed = CASEMATE_TRY(database.log_row(index));
    const SecretValue opened = CASEMATE_TRY(loaded.keys->open_labelled(internal::kLogRowLabel, index, sealed));
    return internal::decode_log_row(opened.expose());
  };
  return export_rows(*loaded.state, row, disclose);
}

// --- restore -------------------------------------------------------------------------------------------------------

Result<ShareSlot> share_slot_of(const std::string& database_path) {
  auto database = CASEMATE_TRY(internal::StoreDatabase::open(database_path, internal::DatabaseAccess::kReadOnly));
  for (const UnsealSlot& slot : CASEMATE_TRY(database.slots())) {
    if (slot.kind == "shares") return read_share_slot(slot);
  }
  return Error(ErrorCategory::kNotFound, database_path + " is not unsealed by shares");
}

Result<std::unique_ptr<Store>> restore_store(const StoreOptions& options, const std::string& backup_path,
                                             UnsealMethod& shares, const std::vector<UnsealMethod*>& methods,
                                             const EpochCause& cause) {
  if (::mkdir(options.directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return Error::from_errno(options.directory, errno);
  }
  if (auto done = copy_file(backup_path, options.directory + "/cas.db"); !done) return done.error();
  auto opened = Store::open_in_new_epoch(options, shares, cause);
  if (!opened) {
    // Made here, so it can be tried again, with more shares for instance.
    for (const char* suffix : {"", "-wal", "-shm"}) ::unlink((options.directory + "/cas.db" + suffix).c_str());
    return opened.error();
  }
  auto store = std::move(opened).value();
  // The holders' shares opened the old root; from now on they open nothing.
  if (auto done = store->rotate_root_key(methods); !done) return done.error();
  return store;
}

}  // namespace casemate::cas
