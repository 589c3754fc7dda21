// Making and opening a store: files, unsealing, and every check of what the disk gives, before the first answer.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "cas/store/engine.h"
#include "cas/store/loading.h"

namespace casemate::cas::internal {
namespace {

Error rolled_back(const std::string& what) {
  return Error(ErrorCategory::kUsage,
               what +
                   "\n  If nobody restored it on purpose, somebody put back an old copy: keep a copy of the directory"
                   " and find out who.\n  If the owner did, what happened since is lost: `casemate cas restore`"
                   " accepts this state, begins a new epoch of the log and fences other instances",
               kRolledBackCode);
}

Result<void> sync_directory(const std::string& path) {
  const UniqueFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.is_open() || ::fsync(directory.get()) != 0) return Error::from_errno(path, errno);
  return {};
}

}  // namespace

Result<void> Engine::lock_directory() {
  const std::string path = options_.directory + "/lock";
  lock_ = UniqueFd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock_.is_open()) {
    if (errno == ENOENT) return Error(ErrorCategory::kNotFound, "there is no CAS store in " + options_.directory);
    return Error::from_errno(path, errno);
  }
  if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    return Error(ErrorCategory::kUsage, "the CAS store in " + options_.directory + " is in use by another process",
                 EBUSY);
  }
  return {};
}

Result<void> Engine::open_files(DatabaseAccess access) {
  database_ = CASEMATE_TRY(access == DatabaseAccess::kCreate ? StoreDatabase::create(database_path(options_.directory))
                                                             : open_database(options_.directory, access));
  log_database_ = CASEMATE_TRY(open_database(options_.directory, DatabaseAccess::kReadOnly));
  return {};
}

Result<std::unique_ptr<Engine>> Engine::create(const StoreOptions& options, const std::vector<UnsealMethod*>& methods) {
  if (methods.empty()) return Error(ErrorCategory::kUsage, "a store needs a method that unseals it");
  if (::mkdir(options.directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return Error::from_errno(options.directory, errno);
  }
  std::unique_ptr<Engine> engine(new Engine(options));
  if (auto done = engine->lock_directory(); !done) return done.error();
  if (auto done = engine->open_files(DatabaseAccess::kCreate); !done) return done.error();
  engine->root_ = CASEMATE_TRY(RootKey::random());
  std::vector<UnsealSlot> slots;
  for (UnsealMethod* method : methods) slots.push_back(CASEMATE_TRY(method->protect(engine->root_)));

  auto secrets = CASEMATE_TRY(KeySecrets::make());
  auto keys = CASEMATE_TRY(KeySet::make(std::move(secrets)));
  State first;
  first.log_keys.first = log_key_of(keys->log_key());
  first.head.head.log_id = log_id_of(first.log_keys.first);
  first.head.head.epoch = 1;
  // An anchor that was used before: this store begins where it stands.
  if (options.anchor != nullptr) first.anchor_counter = CASEMATE_TRY(options.anchor->read());
  Draft draft(first, std::move(keys), TreePeaks(), options.clock());
  if (auto done = draft.log(LogCreated{first.log_keys.first, options.software}); !done) return done.error();
  draft.install(std::move(slots));
  if (auto done = engine->write(draft, engine->root_); !done) return done.error();
  if (auto done = sync_directory(options.directory); !done) return done.error();
  if (auto done = engine->start(nullptr); !done) return done.error();
  return engine;
}

Result<std::unique_ptr<Engine>> Engine::open(const StoreOptions& options, UnsealMethod& method,
                                             const EpochCause* new_epoch) {
  std::unique_ptr<Engine> engine(new Engine(options));
  if (auto done = engine->lock_directory(); !done) return done.error();
  if (auto done = engine->open_files(DatabaseAccess::kReadWrite); !done) return done.error();
  engine->root_ = CASEMATE_TRY(unseal_root(engine->database_, method));
  if (auto done = engine->load(); !done) return done.error();
  if (auto done = engine->check_anchor(new_epoch); !done) return done.error();
  if (auto done = engine->start(new_epoch); !done) return done.error();
  return engine;
}

Result<void> Engine::load() {
  LoadedState loaded = CASEMATE_TRY(load_state(database_, root_));
  published_.keys = std::move(loaded.keys);
  if (auto done = load_rows(*loaded.state); !done) return done;
  if (auto done = check_log(*loaded.state); !done) return done;
  published_.state = std::move(loaded.state);
  return {};
}

Result<void> Engine::load_rows(State& state) {
  LoadedRows rows = CASEMATE_TRY(internal::load_rows(options_.directory, *published_.keys, state.batch));
  if (rows.digest != state.rows_digest) {
    return damaged_store("rows were changed, removed, added or replaced by older ones");
  }
  state.tables = std::move(rows.tables);
  return {};
}

Result<void> Engine::check_log(const State& state) {
  const TreeHead& head = state.head.head;
  auto tree = TreePeaks::load(head.size, nodes(*published_.keys));
  if (!tree) return damaged_store(tree.error().message());
  if (tree.value().root() != head.root) return damaged_store("the log does not give the root that was signed");
  tree_ = std::move(tree).value();
  return {};
}

Result<void> Engine::check_anchor(const EpochCause* new_epoch) {
  if (options_.anchor == nullptr || new_epoch != nullptr) return {};
  const std::uint64_t anchored = CASEMATE_TRY(options_.anchor->read()), ours = published_.state->anchor_counter;
  const std::string numbers = " (store: " + std::to_string(ours) + ", anchor: " + std::to_string(anchored) + ")";
  if (anchored > ours) {
    return rolled_back("the CAS store in " + options_.directory + " is older than its " + options_.anchor->kind() +
                       " anchor says" + numbers + ": refused.");
  }
  if (anchored + 1 < ours) {
    return rolled_back("the " + std::string(options_.anchor->kind()) +
                       " anchor is older than the CAS store: it was set back or belongs to another store" + numbers +
                       ": refused.");
  }
  // One ahead: the process ended between the intent and the advance. This state is accepted, and from here on only it.
  if (anchored < ours) return options_.anchor->advance(ours);
  return {};
}

Result<void> Engine::start(const EpochCause* new_epoch) {
  if (new_epoch != nullptr) {
    State base = *published_.state;
    if (options_.anchor != nullptr) {
      base.anchor_counter = std::max(base.anchor_counter, CASEMATE_TRY(options_.anchor->read()));
    }
    Draft draft(base, published_.keys, tree_, now());
    if (auto done = draft.begin_epoch(*new_epoch); !done) return done.error();
    if (auto done = draft.rotate_log_key(); !done) return done.error();
    if (options_.anchor != nullptr) draft.intend_anchor(base.anchor_counter + 1);
    if (auto done = write(draft, root_); !done) return done;
    if (options_.anchor != nullptr) {
      if (auto done = options_.anchor->advance(base.anchor_counter + 1); !done) return done;
    }
  }
  if (options_.anchor != nullptr) {
    anchor_status_ = {options_.anchor->kind(), options_.anchor->promise(), 0, ""};
    if (auto done = move_anchor(); !done) return done;
    note_anchor({});
  } else {
    anchor_status_ = {"none", "nothing notices that the whole store was set back", 0, ""};
  }
  committer_ = std::thread([this] { run(); });
  return {};
}

}  // namespace casemate::cas::internal
