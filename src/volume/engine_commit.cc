// Records: what is staged becomes one sealed record, one write, one flush. The caller that finds no commit under way
// leads; others wait and are served by the same flush, or lead the next one.
#include <algorithm>

#include "volume/engine.h"

namespace casemate::volume {

Result<Position> Engine::sync() {
  Lock lock(mutex_);
  VOLUME_CHECK(usable());
  if (access_ == Access::kReadOnly) return durable_;
  const std::uint64_t in_flight = committing_ ? last_sequence_ : durable_.sequence;
  const std::uint64_t target = staged_.is_empty() ? in_flight : last_sequence_ + 1;
  while (durable_.sequence < target) {
    VOLUME_CHECK(usable());
    if (committing_) {
      committed_.wait(lock);
    } else {
      VOLUME_CHECK(commit(lock));
    }
  }
  return durable_;
}

Result<void> Engine::commit(Lock& lock) {
  auto prepared = prepare_record(Journal::Use::kOrdinary);
  if (!prepared) return fail(prepared.error());
  if (!prepared.value()) {
    lock.unlock();
    Result<void> made_room = checkpoint();  // commits as well
    lock.lock();
    return made_room;
  }
  PendingRecord record = std::move(*std::move(prepared).value());
  committing_ = true;
  lock.unlock();
  const Result<void> written = write_record(record);
  lock.lock();
  committing_ = false;
  if (!written) return fail(written.error());
  finish_record(record);
  return {};
}

// Takes what is staged. nullopt: the journal has no room.
Result<std::optional<PendingRecord>> Engine::prepare_record(Journal::Use use) {
  const std::uint64_t size_bound = record_size(staged_.size());
  if (size_bound > journal_.maximum_record()) return damaged("the volume: a transaction is larger than any record");
  const std::optional<std::uint64_t> begin = journal_.place_for(size_bound, use);
  if (!begin) return std::optional<PendingRecord>();
  PendingRecord record;
  record.transaction = std::exchange(staged_, Transaction());
  record.payload = record.transaction.encode();
  record.begin = *begin;
  record.size = record_size(record.payload.size());
  journal_.advance(record.begin, record.size);
  record.header.epoch = superblock_.epoch;
  record.header.sequence = ++last_sequence_;
  record.header.durable_sequence = durable_.sequence;
  record.header.previous_tag = durable_.chain_tag;
  return std::optional<PendingRecord>(std::move(record));
}

Result<void> Engine::write_record(PendingRecord& record) {
  const Bytes sealed = CASEMATE_TRY(journal_.seal(record.header, record.payload));
  VOLUME_CHECK(check_slots());
  // Without data of its own in the store, the record alone must reach the disk: nobody waits for what checkpoints and
  // other writers have on the way there.
  const std::uint64_t loose_writes = loose_writes_.load();
  if (loose_writes == flushed_writes_) return journal_.write_durably(record.begin, sealed);
  VOLUME_CHECK(journal_.write(record.begin, sealed));
  VOLUME_CHECK(store_.flush());
  flushed_writes_ = loose_writes;
  return {};
}

void Engine::finish_record(const PendingRecord& record) {
  durable_ = {record.header.epoch, record.header.sequence, record.header.tag};
  records_.push_back({durable_, record.begin + record.size});
  drop_freed(record.transaction.freed());
  committed_.notify_all();
}

// A unit whose contents a checkpoint is writing to its place must not be given out before it has done so.
void Engine::drop_freed(const std::vector<Run>& runs) {
  for (const Run& run : runs) {
    if (checkpoint_units_.empty()) {
      metadata_.space().drop(run);
      continue;
    }
    for (Unit unit = run.first; unit < run.end(); ++unit) {
      if (checkpoint_units_.contains(unit)) {
        checkpoint_frees_.push_back({unit, 1});
      } else {
        metadata_.space().drop({unit, 1});
      }
    }
  }
}

Position Engine::position() const {
  const std::lock_guard lock(mutex_);
  return durable_;
}

void Engine::acknowledge(const Position& position) {
  const std::lock_guard lock(mutex_);
  if (position.sequence <= acknowledged_.sequence) return;
  const auto known = std::find_if(records_.begin(), records_.end(),
                                  [&](const RecordPlace& record) { return record.position == position; });
  if (known != records_.end()) acknowledged_ = position;
}

}  // namespace casemate::volume
