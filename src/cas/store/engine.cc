// The committer.
#include "cas/store/engine.h"

#include <algorithm>
#include <cerrno>
#include <future>

namespace casemate::cas::internal {
namespace {

constexpr std::size_t kLargestBatch = 2048;  // changes: bounds how long the first of a batch waits for the last

}  // namespace

Engine::~Engine() {
  {
    const std::lock_guard lock(queue_mutex_);
    stops_ = true;
  }
  queue_changed_.notify_all();
  if (committer_.joinable()) committer_.join();
}

Published Engine::published() const {
  const std::lock_guard lock(published_mutex_);
  return published_;
}

void Engine::submit(Work work) {
  {
    const std::lock_guard lock(queue_mutex_);
    queue_.push_back(std::move(work));
  }
  queue_changed_.notify_one();
}

Result<Committed> Engine::commit(std::function<Result<LoggedEntries>(Draft&)> apply,
                                 std::shared_ptr<const RootKey> new_root) {
  // Shared: the committer is still inside set_value() when the waiting thread goes on.
  const auto promise = std::make_shared<std::promise<Result<Committed>>>();
  submit({std::move(apply), [promise](Result<Committed> answer) { promise->set_value(std::move(answer)); },
          std::move(new_root)});
  return promise->get_future().get();
}

std::uint64_t Engine::now() const { return std::max(options_.clock(), published_.state->head.head.time); }

bool Engine::is_anchor_due() const {
  return options_.anchor != nullptr && !broken_ && published_.state->batch != anchored_batch_ &&
         std::chrono::steady_clock::now() >= anchored_at_ + options_.anchor_interval;
}

// Returns nothing when it is time for the anchor or for the end.
std::vector<Work> Engine::wait_for_work() {
  std::unique_lock lock(queue_mutex_);
  const auto has_news = [&] { return stops_ || !queue_.empty() || !anchor_requests_.empty(); };
  const bool is_anchored = options_.anchor == nullptr || broken_ || published_.state->batch == anchored_batch_;
  if (is_anchored) {
    queue_changed_.wait(lock, has_news);
  } else {
    queue_changed_.wait_until(lock, anchored_at_ + options_.anchor_interval, has_news);
  }
  std::vector<Work> works;
  if (queue_.size() <= kLargestBatch) {
    works.swap(queue_);
  } else {
    const auto end = queue_.begin() + kLargestBatch;
    works.assign(std::make_move_iterator(queue_.begin()), std::make_move_iterator(end));
    queue_.erase(queue_.begin(), end);
  }
  return works;
}

void Engine::run() {
  while (true) {
    std::vector<Work> works = wait_for_work();
    const bool is_idle = works.empty();
    if (!is_idle) commit_batch(std::move(works));
    std::vector<std::function<void(Result<void>)>> requests;
    bool ends = false;
    {
      const std::lock_guard lock(queue_mutex_);
      requests.swap(anchor_requests_);
      ends = stops_ && queue_.empty();
    }
    if (!requests.empty() || is_anchor_due()) {
      const Result<void> done = move_anchor();
      note_anchor(done);
      for (const auto& answer : requests) answer(done);
    }
    if (ends) break;
  }
  // A clean end leaves only this very state acceptable.
  if (options_.anchor != nullptr && !broken_) note_anchor(move_anchor());
}

void Engine::commit_batch(std::vector<Work> works) {
  if (broken_) {
    for (const Work& work : works) work.answer(*broken_);
    return;
  }
  Draft draft(*published_.state, published_.keys, tree_, now());
  std::shared_ptr<const RootKey> new_root;
  std::vector<Result<LoggedEntries>> outcomes;
  bool has_any = false;
  for (const Work& work : works) {
    outcomes.push_back(work.apply(draft));
    if (!outcomes.back()) continue;
    has_any = true;
    if (work.new_root) new_root = work.new_root;
  }
  Result<void> written;
  if (has_any) written = write(draft, new_root ? *new_root : root_);
  if (written && new_root) root_ = new_root->duplicate();
  for (std::size_t i = 0; i < works.size(); ++i) {
    if (!outcomes[i]) {
      works[i].answer(outcomes[i].error());
    } else if (!written) {
      works[i].answer(written.error());
    } else {
      Committed committed;
      committed.first_index_ = outcomes[i].value().first_index;
      committed.entries_ = std::move(outcomes[i].value().entries);
      committed.batch_ = draft.nodes();
      works[i].answer(std::move(committed));
    }
  }
}

Result<void> Engine::write(Draft& draft, const RootKey& root) {
  if (auto done = draft.finish(root); !done) return done;
  if (auto done = database_.write(draft.writes()); !done) {
    // After a failed flush the disk may have the batch or not: only reading it again tells.
    if (done.error().system_code() == EIO) refuse_from_now_on(done.error());
    return done;
  }
  tree_ = draft.tree();
  Published fresh{std::make_shared<const State>(draft.next()), draft.keys()};
  const std::lock_guard lock(published_mutex_);
  std::swap(published_, fresh);
  return {};
}

void Engine::refuse_from_now_on(const Error& reason) {
  broken_ = Error(ErrorCategory::kSystem,
                  reason.message() + "; the CAS accepts no change any more: find the cause and start it again", EIO);
}

Result<void> Engine::write_intent(std::uint64_t counter) {
  Draft draft(*published_.state, published_.keys, tree_, now());
  draft.intend_anchor(counter);
  return write(draft, root_);
}

Result<void> Engine::move_anchor() {
  if (options_.anchor == nullptr) return {};
  if (broken_) return *broken_;
  FreshnessAnchor& anchor = *options_.anchor;
  const std::uint64_t intended = published_.state->anchor_counter;
  std::uint64_t anchored = CASEMATE_TRY(anchor.read());
  if (anchored + 1 == intended) {  // the last advance failed
    if (auto done = anchor.advance(intended); !done) return done;
    anchored = intended;
  }
  if (anchored != intended) {
    refuse_from_now_on(Error(ErrorCategory::kUsage,
                             "the anchor was moved by somebody else (" + std::to_string(anchored) + " instead of " +
                                 std::to_string(intended) + "): another instance of this CAS took over"));
    return *broken_;
  }
  if (auto done = write_intent(intended + 1); !done) return done;
  if (auto done = anchor.advance(intended + 1); !done) return done;
  anchored_batch_ = published_.state->batch;
  anchored_at_ = std::chrono::steady_clock::now();
  return {};
}

void Engine::note_anchor(const Result<void>& done) {
  // Not at once again: the next attempt is an interval away.
  if (!done) anchored_at_ = std::chrono::steady_clock::now();
  const std::lock_guard lock(published_mutex_);
  anchor_status_.counter = published_.state->anchor_counter;
  anchor_status_.failure = done ? "" : done.error().message();
}

AnchorStatus Engine::anchor_status() const {
  const std::lock_guard lock(published_mutex_);
  return anchor_status_;
}

Result<void> Engine::advance_anchor() {
  const auto promise = std::make_shared<std::promise<Result<void>>>();
  {
    const std::lock_guard lock(queue_mutex_);
    anchor_requests_.emplace_back([promise](Result<void> done) { promise->set_value(std::move(done)); });
  }
  queue_changed_.notify_one();
  return promise->get_future().get();
}

Result<LogRow> Engine::log_row(std::uint64_t index, KeySet& keys) const {
  Bytes sealed;
  {
    const std::lock_guard lock(log_mutex_);
    sealed = CASEMATE_TRY(log_database_.log_row(index));
  }
  const SecretValue opened = CASEMATE_TRY(keys.open_labelled(kLogRowLabel, index, sealed));
  return decode_log_row(opened.expose());
}

NodeReader Engine::nodes(KeySet& keys) const {
  return [this, &keys](unsigned level, std::uint64_t index) -> Result<Digest> {
    const LogRow row = CASEMATE_TRY(log_row(finishing_leaf(level, index), keys));
    if (level >= row.finished.size()) return Error(ErrorCategory::kFormat, "a row of the log lacks its hashes");
    return row.finished[level];
  };
}

Result<void> Engine::back_up(const std::string& path, UnsealMethod& shares) {
  // On the committer's thread, which owns the root key; batches wait for the copy, readers do not.
  auto done = commit([this, &path, &shares](Draft& draft) -> Result<LoggedEntries> {
    const UnsealSlot slot = CASEMATE_TRY(shares.protect(root_));
    if (auto copied = database_.copy_to(path); !copied) return copied.error();
    auto copy = CASEMATE_TRY(StoreDatabase::open(path, DatabaseAccess::kReadWrite));
    if (auto replaced = copy.replace_slots({slot}); !replaced) return replaced.error();
    if (auto settled = copy.checkpoint(); !settled) return settled.error();
    const std::uint64_t size = draft.tree().size();
    return draft.log(Administration{"backup", "of " + std::to_string(size) + " log entries", {}, {}});
  });
  if (!done) return done.error();
  return {};
}

}  // namespace casemate::cas::internal
