// Checkpoints: the tree as it is after one record is written to free units, then the superblock is turned over to it.
//
// Order, and why each step may be the last one before the power fails:
//   record (if something is staged), flush   as any sync
//   nodes and inline units, flush            nobody refers to them yet; inline units: the journal still has them
//   superblock, flush                        either slot is whole: the old tree with its journal, or the new tree
//   only then: journal space, superseded nodes and overlaid units are free
#include <algorithm>
#include <cerrno>

#include "volume/engine.h"

namespace casemate::volume {
namespace {

constexpr std::size_t kSaltsToSpill = 64;
constexpr std::size_t kWritePiece = 64;  // units

}  // namespace

bool Engine::wants_checkpoint() const {
  const std::lock_guard lock(mutex_);
  if (access_ == Access::kReadOnly || failure_ || closed_) return false;
  return journal_.head() - superblock_.journal_begin > journal_.size() / 2 ||
         metadata_.tree().dirty_count() > kDirtyNodesWanted;
}

Result<void> Engine::checkpoint() {
  if (access_ == Access::kReadOnly) return {};
  return checkpoint_as(State::kOpen);
}

// The journal keeps what the anchor has not seen. When that fills it, writes wait for the anchor here.
Result<void> Engine::push_anchor_when_full() {
  Position newest;
  {
    const Lock lock(mutex_);
    if (anchor_ == nullptr || journal_.used() <= journal_.size() / 2 || acknowledged_.sequence >= durable_.sequence) {
      return {};
    }
    newest = durable_;
  }
  if (auto stored = anchor_->store(newest); !stored) {
    return stored.error().with_context("the journal is full and the anchor cannot be reached");
  }
  acknowledge(newest);
  return {};
}

Result<void> Engine::checkpoint_as(State state) {
  const std::lock_guard serial(checkpoint_mutex_);
  VOLUME_CHECK(push_anchor_when_full());
  Lock lock(mutex_);
  committed_.wait(lock, [&] { return !committing_ || failure_; });
  VOLUME_CHECK(usable());
  if (state == State::kOpen && is_checkpointed()) return {};
  superblock_changed_ = false;
  std::optional<PendingRecord> record;
  if (!staged_.is_empty()) {
    auto prepared = prepare_record(Journal::Use::kCheckpoint);
    if (!prepared) return fail(prepared.error());
    if (!prepared.value()) return fail(refused(ENOSPC, "the journal has no room for a checkpoint"));
    record = std::move(*std::move(prepared).value());
  }
  auto planned = plan_checkpoint(state);
  if (!planned) return fail(planned.error());
  CheckpointPlan plan = std::move(planned).value();
  const std::uint64_t journal_begin = journal_.head();
  if (record) {
    committing_ = true;
    lock.unlock();
    const Result<void> written = write_record(*record);
    lock.lock();
    committing_ = false;
    if (!written) return fail(written.error());
    finish_record(*record);
  }
  plan.superblock.tree_position = durable_;
  plan.superblock.journal_begin = journal_begin;
  fill_superblock(plan.superblock);
  lock.unlock();
  Result<void> written = write_plan(plan);
  lock.lock();
  if (!written) return fail(written.error());
  finish_checkpoint(plan);
  return {};
}

bool Engine::is_checkpointed() const {
  return staged_.is_empty() && !superblock_changed_ && metadata_.tree().dirty_count() == 0 &&
         superblock_.journal_begin == journal_.head() &&
         (superblock_.retained_begin == superblock_.journal_begin ||
          acknowledged_.sequence <= superblock_.retained_position.sequence);
}

Result<CheckpointPlan> Engine::plan_checkpoint(State state) {
  CheckpointPlan plan;
  plan.superblock = superblock_;
  plan.superblock.state = state;
  VOLUME_CHECK(spill_salts(plan));
  VOLUME_CHECK(metadata_.store_space());
  std::vector<SealedNode> nodes = CASEMATE_TRY(metadata_.tree().seal_dirty(superblock_.epoch, node_counter_));
  plan.units.insert(plan.units.end(), nodes.begin(), nodes.end());
  plan.frees = metadata_.take_stored_frees();
  for (const auto& [unit, contents] : metadata_.inline_units()) {
    plan.inline_units.emplace_back(unit, contents);
    checkpoint_units_.insert(unit);
  }
  plan.superblock.root = metadata_.tree().root();
  if (state == State::kSealed) plan.superblock.root_tag = root_tag(plan.superblock);
  plan.superblock.next_inode = metadata_.next_inode;
  plan.superblock.inode_count = metadata_.inode_count;
  plan.superblock.reserved_count = metadata_.reserved_count;
  plan.superblock.store_units = metadata_.space().capacity();
  return plan;
}

// The superblock has room for the salts of some mounts; older ones move to a page of their own.
Result<void> Engine::spill_salts(CheckpointPlan& plan) {
  std::vector<MountSalt>& salts = plan.superblock.salts;
  if (salts.size() < kSaltsToSpill) return {};
  const std::optional<Run> run = metadata_.space().take_node();
  if (!run) return full();
  metadata_.space().confirm(*run);
  const SaltPage page{{salts.begin(), salts.end() - 1}, plan.superblock.salt_pages};
  SealedNode& sealed = plan.units.emplace_back();
  sealed.unit = run->first;
  plan.superblock.salt_pages = CASEMATE_TRY(seal_salt_page(page, run->first, keyring_, sealed.bytes));
  salts.erase(salts.begin(), salts.end() - 1);
  return {};
}

// What the anchor may name: from the last acknowledged record on, if there is an anchor.
void Engine::fill_superblock(Superblock& superblock) {
  superblock.generation = superblock_.generation + 1;
  superblock.retained_position = superblock.tree_position;
  superblock.retained_begin = superblock.journal_begin;
  if (anchor_ == nullptr || acknowledged_.sequence >= superblock.tree_position.sequence) return;
  superblock.retained_position = acknowledged_;
  superblock.retained_begin = superblock_.retained_begin;
  for (const RecordPlace& record : records_) {
    if (record.position.sequence <= acknowledged_.sequence) superblock.retained_begin = record.end;
  }
}

Result<void> Engine::write_plan(const CheckpointPlan& plan) {
  std::vector<std::pair<Unit, ByteView>> writes;
  for (const SealedNode& node : plan.units) writes.emplace_back(node.unit, node.bytes);
  for (const auto& [unit, contents] : plan.inline_units) writes.emplace_back(unit, *contents);
  std::sort(writes.begin(), writes.end(), [](const auto& left, const auto& right) { return left.first < right.first; });
  Bytes piece;
  for (std::size_t first = 0, end = 0; first < writes.size(); first = end) {
    piece.clear();
    for (end = first; end < writes.size() && end - first < kWritePiece; ++end) {
      if (writes[end].first != writes[first].first + (end - first)) break;
      piece.insert(piece.end(), writes[end].second.begin(), writes[end].second.end());
    }
    VOLUME_CHECK(store_.write(writes[first].first * kUnitSize, piece));
  }
  if (!writes.empty()) VOLUME_CHECK(store_.flush());
  return flip(plan.superblock);
}

// Compares both slots with what we know to be there: another mount writes its own, with a newer epoch.
Result<void> Engine::check_slots() {
  const std::lock_guard lock(slots_mutex_);
  for (std::size_t index = 0; index < 2; ++index) {
    std::array<std::byte, kSuperblockHeaderSize> header;
    VOLUME_CHECK(store_.read(kSuperblockUnits[index] * kUnitSize, header));
    if (std::equal(header.begin(), header.end(), slots_[index].begin())) continue;
    SuperblockSlot slot;
    VOLUME_CHECK(store_.read(kSuperblockUnits[index] * kUnitSize, slot));
    const std::optional<Superblock> other = CASEMATE_TRY(open_superblock(slot, keyring_));
    if (other && other->epoch > superblock_.epoch) {
      return refused(ESTALE, "the volume was mounted elsewhere meanwhile (epoch " + std::to_string(other->epoch) +
                                 " after our " + std::to_string(superblock_.epoch) + "): this mount stops writing");
    }
    return damaged("superblock " + std::to_string(index) + " was changed while the volume was mounted");
  }
  return {};
}

Result<void> Engine::flip(const Superblock& superblock) {
  const SuperblockSlot slot = CASEMATE_TRY(seal_superblock(superblock, keyring_));
  VOLUME_CHECK(check_slots());
  {
    const std::lock_guard lock(slots_mutex_);
    const std::size_t index = superblock.generation % 2;
    VOLUME_CHECK(store_.write(kSuperblockUnits[index] * kUnitSize, slot));
    slots_[index] = slot;
  }
  return store_.flush();
}

void Engine::finish_checkpoint(const CheckpointPlan& plan) {
  superblock_ = plan.superblock;
  journal_.free_until(superblock_.retained_begin);
  while (!records_.empty() && records_.front().position.sequence <= superblock_.retained_position.sequence) {
    records_.pop_front();
  }
  for (const Run& run : plan.frees) metadata_.space().drop(run);
  auto& inline_units = metadata_.inline_units();
  for (const auto& [unit, contents] : plan.inline_units) {
    const auto kept = inline_units.find(unit);
    if (kept != inline_units.end() && kept->second == contents) inline_units.erase(kept);
  }
  checkpoint_units_.clear();
  for (const Run& run : std::exchange(checkpoint_frees_, {})) metadata_.space().drop(run);
  metadata_.tree().finish_checkpoint();
}

Result<void> Engine::close() {
  {
    const Lock lock(mutex_);
    VOLUME_CHECK(usable());
    closing_ = true;
    if (access_ == Access::kReadOnly) {
      closed_ = true;
      return {};
    }
  }
  VOLUME_CHECK(checkpoint_as(State::kClean));
  Position newest;
  {
    const Lock lock(mutex_);
    closed_ = true;
    newest = durable_;
  }
  if (anchor_ == nullptr) return {};
  if (auto stored = anchor_->store(newest); !stored)
    return stored.error().with_context("cannot anchor the closed volume");
  return {};
}

}  // namespace casemate::volume
