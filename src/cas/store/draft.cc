// Applying has two steps: everything that can fail is prepared first, then taken over. So a refused change leaves no
// trace, although the draft's row trees are changed in place.
#include "cas/store/draft.h"

#include <algorithm>

namespace casemate::cas::internal {
namespace {

constexpr std::size_t kLargestKey = 4096, kLargestValue = std::size_t{16} << 20;

Error conflict(const std::string& key) {
  return Error(ErrorCategory::kUsage, "'" + key + "' was changed by somebody else meanwhile", kConflictCode);
}

void exclusive_or(Digest& target, const Digest& other) {
  for (std::size_t i = 0; i < target.size(); ++i) target[i] ^= other[i];
}

}  // namespace

struct Draft::Prepared {
  explicit Prepared(std::uint64_t first_version) : next_version(first_version) {}

  std::uint64_t next_version;
  std::vector<RowWrite> rows;
  std::set<std::pair<TableNumber, RowId>> touched;
  std::map<RowId, std::shared_ptr<Sealer>> new_domains;
  std::vector<LogRow> entries;  // their nodes follow when they are taken over
};

void BatchNodes::add(const std::vector<Digest>& finished) {
  levels.resize(std::max(levels.size(), finished.size()));
  for (std::size_t level = 0; level < finished.size(); ++level) levels[level].push_back(finished[level]);
}

Result<Digest> BatchNodes::read(unsigned level, std::uint64_t index) const {
  const std::uint64_t first_new = level < 64 ? before.size() >> level : 0;
  if (index >= first_new && level < levels.size() && index - first_new < levels[level].size()) {
    return levels[level][static_cast<std::size_t>(index - first_new)];
  }
  if (const auto peak = before.peak(level); peak && index + 1 == first_new) return *peak;
  return Error(ErrorCategory::kUsage, "not a node of this batch");
}

Draft::Draft(const State& base, std::shared_ptr<KeySet> keys, const TreePeaks& tree, std::uint64_t time)
    : next_(base),
      keys_(std::move(keys)),
      tree_(tree),
      time_(time),
      epoch_(base.head.head.epoch),
      nodes_(std::make_shared<BatchNodes>()) {
  ++next_.batch;
  nodes_->before = tree;
}

Result<void> Draft::check(const Change& change) const {
  const auto version_of = [&](TableNumber table, const std::string& key) {
    const Row* row = next_.tables[table].find(keys_->id_of(table, key));
    return row != nullptr ? row->version : kAbsent;
  };
  for (const RowCheck& wanted : change.checks) {
    if (wanted.table >= kTableCount) return Error(ErrorCategory::kUsage, "there is no such table");
    if (version_of(wanted.table, wanted.key) != wanted.expected_version) return conflict(wanted.key);
  }
  for (const RowChange& row : change.rows) {
    if (row.table == kKeyringTable || row.table >= kTableCount) {
      return Error(ErrorCategory::kUsage, "there is no such table");
    }
    if (row.key.size() > kLargestKey || (row.value && row.value->size() > kLargestValue)) {
      return Error(ErrorCategory::kUsage, "a row's key may have 4 KiB and its value 16 MiB");
    }
    if (row.expected_version && version_of(row.table, row.key) != *row.expected_version) return conflict(row.key);
  }
  return {};
}

Result<RowWrite> Draft::prepare_wrapping_key(const RowId& domain, const std::string& session, std::uint64_t version) {
  const auto key = CASEMATE_TRY(SealingKey::random());
  auto row = CASEMATE_TRY(
      keys_->seal_row(kKeyringTable, keyring_name(session), RowId{}, version, key.expose(), *keys_->store_sealer()));
  static_cast<void>(CASEMATE_TRY(keys_->adopt(domain, version, key)));
  return RowWrite{kKeyringTable, domain, std::move(row)};
}

Result<void> Draft::prepare_row(const RowChange& row, Prepared& prepared) {
  const RowId id = keys_->id_of(row.table, row.key);
  if (!prepared.touched.insert({row.table, id}).second) {
    return Error(ErrorCategory::kUsage, "one change writes '" + row.key + "' twice");
  }
  if (!row.value) {
    prepared.rows.push_back({row.table, id, nullptr});
    return {};
  }
  const RowId domain = keys_->domain_of(row.session);
  auto& sealer = prepared.new_domains[domain];
  if (!sealer && !row.session.empty() && next_.tables[kKeyringTable].find(domain) == nullptr) {
    const std::uint64_t version = prepared.next_version++;
    prepared.rows.push_back(CASEMATE_TRY(prepare_wrapping_key(domain, row.session, version)));
    RowTree with_key;
    with_key.put(prepared.rows.back().row, 1);
    sealer = CASEMATE_TRY(keys_->sealer_of(domain, with_key));
  } else if (!sealer) {
    sealer = CASEMATE_TRY(keys_->sealer_of(domain, next_.tables[kKeyringTable]));
  }
  auto sealed =
      CASEMATE_TRY(keys_->seal_row(row.table, row.key, domain, prepared.next_version++, row.value->expose(), *sealer));
  prepared.rows.push_back({row.table, id, std::move(sealed)});
  return {};
}

Result<void> Draft::prepare_entry(EntryBody body, Prepared& prepared) {
  LogRow row;
  row.disclosed.entry = CASEMATE_TRY(encode_entry({time_, epoch_, std::move(body)}));
  if (auto drawn = crypto::random_bytes(row.disclosed.salt); !drawn) return drawn;
  prepared.entries.push_back(std::move(row));
  return {};
}

void Draft::write_row(RowWrite write) {
  RowTree& tree = next_.tables[write.table];
  if (const Row* old = tree.find(write.id); old != nullptr) {
    exclusive_or(next_.rows_digest, keys_->digest_of(write.table, *old));
  }
  if (write.row) {
    exclusive_or(next_.rows_digest, keys_->digest_of(write.table, *write.row));
    tree.put(write.row, next_.batch);
  } else {
    tree.remove(write.id, next_.batch);
  }
  writes_.rows.push_back(std::move(write));
}

LoggedEntries Draft::take(Prepared prepared) {
  next_.next_version = std::max(next_.next_version, prepared.next_version);
  for (RowWrite& write : prepared.rows) write_row(std::move(write));
  LoggedEntries logged{tree_.size(), {}};
  for (LogRow& row : prepared.entries) {
    row.finished = tree_.append(leaf_hash(row.disclosed.salt, row.disclosed.entry));
    nodes_->add(row.finished);
    // Sealed in finish(), where a failure fails the whole batch.
    writes_.log.push_back({tree_.size() - 1, encode_log_row(row)});
    logged.entries.push_back(std::move(row.disclosed));
  }
  return logged;
}

Result<LoggedEntries> Draft::apply(const Change& change) {
  if (auto fits = check(change); !fits) return fits.error();
  Prepared prepared(next_.next_version);
  for (const RowChange& row : change.rows) {
    if (auto done = prepare_row(row, prepared); !done) return done.error();
  }
  for (const EntryMaker& make : change.entries) {
    if (auto done = prepare_entry(make(tree_.size() + prepared.entries.size()), prepared); !done) return done.error();
  }
  return take(std::move(prepared));
}

Result<LoggedEntries> Draft::log(EntryBody body) {
  Prepared prepared(next_.next_version);
  if (auto done = prepare_entry(std::move(body), prepared); !done) return done.error();
  return take(std::move(prepared));
}

Result<LoggedEntries> Draft::rotate_log_key() {
  KeySecrets secrets = keys_->secrets().duplicate();
  ++secrets.generation;
  secrets.log_seed = CASEMATE_TRY(SealingKey::random());
  auto fresh = CASEMATE_TRY(KeySet::make(std::move(secrets)));
  const LogKey new_key = log_key_of(fresh->log_key());
  const KeyStep step = CASEMATE_TRY(sign_key_step(next_.head.head.log_id, tree_.size(), new_key, keys_->log_key()));
  KeyRotation rotation{"log", "", fresh->secrets().generation, new_key, step.signature};
  auto logged = CASEMATE_TRY(log(std::move(rotation)));
  keys_ = std::move(fresh);
  keys_changed_ = true;
  next_.log_keys.steps.push_back(step);
  return logged;
}

Result<void> Draft::seal_again(const RowId& domain, Sealer& sealer, Prepared& prepared) {
  for (TableNumber table = 1; table < kTableCount; ++table) {
    std::vector<const Row*> rows;
    next_.tables[table].for_each([&](const Row& row) {
      if (row.domain == domain) rows.push_back(&row);
    });
    for (const Row* row : rows) {
      const OpenedRow opened = CASEMATE_TRY(keys_->open_row(table, *row, next_.tables[kKeyringTable]));
      auto sealed = CASEMATE_TRY(
          keys_->seal_row(table, opened.key, domain, prepared.next_version++, opened.value.expose(), sealer));
      prepared.rows.push_back({table, row->id, std::move(sealed)});
    }
  }
  return {};
}

Result<LoggedEntries> Draft::rotate_session_key(const std::string& session) {
  const RowId domain = keys_->domain_of(session);
  if (session.empty() || next_.tables[kKeyringTable].find(domain) == nullptr) {
    return Error(ErrorCategory::kNotFound, "session '" + session + "' has no key");
  }
  Prepared prepared(next_.next_version);
  const std::uint64_t version = prepared.next_version++;
  const auto key = CASEMATE_TRY(SealingKey::random());
  const auto sealer = CASEMATE_TRY(Sealer::create(key));
  if (auto done = seal_again(domain, *sealer, prepared); !done) return done.error();
  auto row = CASEMATE_TRY(
      keys_->seal_row(kKeyringTable, keyring_name(session), RowId{}, version, key.expose(), *keys_->store_sealer()));
  prepared.rows.push_back({kKeyringTable, domain, std::move(row)});
  if (auto done = prepare_entry(KeyRotation{"wrapping", session, version, std::nullopt, {}}, prepared); !done) {
    return done.error();
  }
  return take(std::move(prepared));
}

Result<LoggedEntries> Draft::forget_session_key(const std::string& session) {
  const RowId domain = keys_->domain_of(session);
  if (session.empty() || next_.tables[kKeyringTable].find(domain) == nullptr) {
    return Error(ErrorCategory::kNotFound, "session '" + session + "' has no key");
  }
  Prepared prepared(next_.next_version);
  prepared.rows.push_back({kKeyringTable, domain, nullptr});
  if (auto done = prepare_entry(Administration{"session key forgotten", session, {}, {}}, prepared); !done) {
    return done.error();
  }
  return take(std::move(prepared));
}

Result<LoggedEntries> Draft::replace_root(const RootKey& root, std::vector<UnsealSlot> slots) {
  KeySecrets secrets = keys_->secrets().duplicate();
  ++secrets.generation;
  auto fresh = CASEMATE_TRY(KeySet::make(std::move(secrets)));
  Bytes sealed = CASEMATE_TRY(fresh->seal(root));
  auto logged = CASEMATE_TRY(log(KeyRotation{"root", "", fresh->secrets().generation, std::nullopt, {}}));
  writes_.keys = std::move(sealed);
  writes_.slots = std::move(slots);
  keys_ = std::move(fresh);
  return logged;
}

void Draft::install(std::vector<UnsealSlot> slots) {
  writes_.slots = std::move(slots);
  keys_changed_ = true;
}

Result<LoggedEntries> Draft::begin_epoch(const EpochCause& cause) {
  ++epoch_;
  auto logged = log(EpochBegun{cause.cause, tree_.size(), tree_.root(), cause.approvals});
  if (!logged) --epoch_;
  return logged;
}

Result<void> Draft::finish(const RootKey& root) {
  next_.head =
      CASEMATE_TRY(sign_head({next_.head.head.log_id, tree_.size(), tree_.root(), time_, epoch_}, keys_->log_key()));
  nodes_->keys = next_.log_keys;
  nodes_->head = next_.head;
  for (LogRowWrite& write : writes_.log) {
    write.sealed = CASEMATE_TRY(keys_->seal_labelled(kLogRowLabel, write.index, write.sealed));
  }
  if (keys_changed_) writes_.keys = CASEMATE_TRY(keys_->seal(root));
  const Bytes state = encode_state(next_, keys_->secrets().generation);
  writes_.state = CASEMATE_TRY(keys_->seal_labelled(kStateLabel, 0, state));
  return {};
}

}  // namespace casemate::cas::internal
