// The one writer of a store: its thread collects what was submitted, commits it as one batch and publishes the result.
// Private to cas/store.
//
// Locks: queue_mutex_ and published_mutex_ are leaves, held for moving pointers only; log_mutex_ is held while a row of
// the log is read. The members without a mutex belong to the thread that opened the engine until start(), and then to
// the committer.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/unique_fd.h"
#include "cas/store/draft.h"

namespace casemate::cas::internal {

struct Published {
  std::shared_ptr<const State> state;
  std::shared_ptr<KeySet> keys;
};

// A change of any kind, waiting.
struct Work {
  std::function<Result<LoggedEntries>(Draft&)> apply;
  CommitAnswer answer;
  std::shared_ptr<const RootKey> new_root;  // when it replaces the root key
};

class Engine {
 public:
  static Result<std::unique_ptr<Engine>> create(const StoreOptions& options, const std::vector<UnsealMethod*>& methods);
  // `new_epoch`: null for an ordinary start.
  static Result<std::unique_ptr<Engine>> open(const StoreOptions& options, UnsealMethod& method,
                                              const EpochCause* new_epoch);
  ~Engine();

  Published published() const;
  void submit(Work work);
  // submit and wait.
  Result<Committed> commit(std::function<Result<LoggedEntries>(Draft&)> apply,
                           std::shared_ptr<const RootKey> new_root = nullptr);

  // As of `state`, which must be of this engine.
  Result<LogRow> log_row(std::uint64_t index, KeySet& keys) const;
  NodeReader nodes(KeySet& keys) const;

  Result<void> back_up(const std::string& path, UnsealMethod& shares);
  AnchorStatus anchor_status() const;
  Result<void> advance_anchor();

 private:
  explicit Engine(const StoreOptions& options) : options_(options) {}
  Result<void> lock_directory();
  Result<void> open_files(DatabaseAccess access);
  Result<void> load_rows(State& state);
  Result<void> check_log(const State& state);
  Result<void> load();
  Result<void> check_anchor(const EpochCause* new_epoch);
  Result<void> start(const EpochCause* new_epoch);

  void run();
  std::vector<Work> wait_for_work();
  void commit_batch(std::vector<Work> works);
  // Writes what the draft has. Takes the draft's state over when it succeeded.
  Result<void> write(Draft& draft, const RootKey& root);
  Result<void> write_intent(std::uint64_t counter);
  Result<void> move_anchor();
  void note_anchor(const Result<void>& done);
  void refuse_from_now_on(const Error& reason);
  std::uint64_t now() const;
  bool is_anchor_due() const;

  const StoreOptions options_;
  UniqueFd lock_;
  StoreDatabase database_;
  RootKey root_;
  TreePeaks tree_;
  std::optional<Error> broken_;
  std::uint64_t anchored_batch_ = 0;
  std::chrono::steady_clock::time_point anchored_at_{};

  mutable std::mutex published_mutex_;
  Published published_;
  AnchorStatus anchor_status_;

  mutable std::mutex log_mutex_;
  mutable StoreDatabase log_database_;

  std::mutex queue_mutex_;
  std::condition_variable queue_changed_;
  std::vector<Work> queue_;
  std::vector<std::function<void(Result<void>)>> anchor_requests_;
  bool stops_ = false;
  std::thread committer_;
};

}  // namespace casemate::cas::internal
