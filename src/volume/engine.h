// The mounted volume: locks, transactions, commits and checkpoints over Metadata and Journal.
//
// Lock order:
//   inode lock (data operations of one file; striped)
//     checkpoint_mutex_ (one checkpoint at a time)
//       mutex_ (all state below that does not say otherwise; never held while a flush runs)
//         slots_mutex_ (writing and comparing superblocks)
//
// A call that changes something runs under mutex_: it first reads all it needs (a failure changes nothing), then
// applies its changes to Metadata and notes them in staged_. If applying fails half way, memory no longer agrees with
// any durable state: the engine stops for good (fail()) and the next mount finds everything that was synced.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <set>

#include "volume/check.h"
#include "volume/errors.h"
#include "volume/inode.h"
#include "volume/journal.h"
#include "volume/metadata.h"
#include "volume/superblock.h"
#include "volume/transaction.h"
#include "volume/volume.h"

namespace casemate::volume {

// So many changed nodes make the engine ask for a checkpoint; four times as many force one.
inline constexpr std::size_t kDirtyNodesWanted = 4096;

template <typename Value>
Result<void> without_value(const Result<Value>& result) {
  return result ? Result<void>() : Result<void>(result.error());
}

// A record on its way to the store.
struct PendingRecord {
  Transaction transaction;
  RecordHeader header;
  Bytes payload;
  std::uint64_t begin = 0, size = 0;
};

// What a checkpoint writes, fixed at one moment.
struct CheckpointPlan {
  State state = State::kOpen;
  std::vector<SealedNode> units;
  std::vector<std::pair<Unit, std::shared_ptr<const UnitContents>>> inline_units;
  std::vector<Run> frees;  // units that only the superseded superblock reaches
  Superblock superblock;
};

// What a change may need at most. kReleasing: calls that free space or replace data one for one; they may use a part of
// the reserve, so that a full volume can be emptied.
enum class Purpose { kGrowing, kReleasing };
struct Need {
  std::uint64_t units = 0;
  Purpose purpose = Purpose::kGrowing;
  std::uint64_t promised = 0;  // of these units, by allocate()
};

class Engine final : public Volume {
 public:
  // Everything a mount found out. See mount.cc.
  struct Start {
    std::array<SuperblockSlot, 2> slots;
    Position durable;
    std::uint64_t journal_head = 0;
    std::deque<RecordPlace> records;
  };

  Engine(ByteStore& store, const Clock& clock, const VolumeKey& key, const MountOptions& options,
         const Superblock& superblock);

  // --- names (engine_names.cc, engine_rename.cc)
  Result<Attributes> lookup(InodeNumber directory, std::string_view name) override;
  Result<Attributes> create_node(InodeNumber directory, std::string_view name, const NodeSpecification&) override;
  Result<Attributes> create_orphan(const NodeSpecification&) override;
  Result<void> link(InodeNumber inode, InodeNumber directory, std::string_view name) override;
  Result<Attributes> unlink(InodeNumber directory, std::string_view name) override;
  Result<Attributes> remove_directory(InodeNumber directory, std::string_view name) override;
  Result<std::optional<Attributes>> rename(InodeNumber from_directory, std::string_view from_name,
                                           InodeNumber to_directory, std::string_view to_name, RenameMode) override;
  Result<void> release_orphan(InodeNumber inode) override;
  Result<std::vector<DirectoryEntry>> read_directory(InodeNumber directory, std::uint64_t cookie,
                                                     std::size_t maximum_count) override;
  Result<std::string> read_link(InodeNumber inode) override;
  Result<InodeNumber> parent(InodeNumber directory) override;
  Result<std::string> name_in_parent(InodeNumber directory) override;

  // --- attributes (engine_attributes.cc)
  Result<Attributes> attributes(InodeNumber inode) override;
  Result<Attributes> set_attributes(InodeNumber inode, const AttributeChange&) override;
  Result<std::vector<std::byte>> extended_attribute(InodeNumber inode, std::string_view name) override;
  Result<void> set_extended_attribute(InodeNumber inode, std::string_view name, std::span<const std::byte> value,
                                      int flags) override;
  Result<void> remove_extended_attribute(InodeNumber inode, std::string_view name) override;
  Result<std::vector<std::string>> extended_attribute_names(InodeNumber inode) override;

  // --- contents (engine_data.cc, engine_ranges.cc)
  Result<std::size_t> read(InodeNumber inode, std::uint64_t offset, std::span<std::byte> out) override;
  Result<void> write(InodeNumber inode, std::uint64_t offset, std::span<const std::byte> data) override;
  Result<void> punch_hole(InodeNumber inode, std::uint64_t offset, std::uint64_t size) override;
  Result<void> allocate(InodeNumber inode, std::uint64_t offset, std::uint64_t size, AllocateMode) override;
  Result<void> collapse_range(InodeNumber inode, std::uint64_t offset, std::uint64_t size) override;
  Result<void> insert_range(InodeNumber inode, std::uint64_t offset, std::uint64_t size) override;
  Result<std::uint64_t> seek(InodeNumber inode, std::uint64_t offset, SeekTarget) override;

  // --- durability (engine_commit.cc, engine_checkpoint.cc)
  Result<Position> sync() override;
  Position position() const override;
  void acknowledge(const Position& position) override;
  Result<void> checkpoint() override;
  bool wants_checkpoint() const override;
  Result<void> close() override;

  Result<Statistics> statistics() override;
  Information information() const override;

  // --- offline work (verify.cc, offline.cc)
  Result<VerifyReport> verify(const std::function<void(std::uint64_t, std::uint64_t)>& progress) override;
  Result<std::array<std::byte, 32>> seal() override;
  Result<void> grow(std::uint64_t maximum_size) override;
  Result<std::uint64_t> compact(const std::function<void(std::uint64_t, std::uint64_t)>& progress) override;

  // --- mounting (mount.cc)
  Result<void> load_salts();
  Result<void> load_space();
  Metadata& metadata() { return metadata_; }
  Journal& journal() { return journal_; }
  const Keyring& keyring() const { return keyring_; }
  void start(const Start& start);
  // Raises the epoch, durably, and writes this mount's first record.
  Result<void> begin_epoch();
  Result<void> sweep_orphans();

 private:
  using Lock = std::unique_lock<std::mutex>;
  struct Slot {
    std::uint64_t index = 0;
    Entry entry;
  };

  // For calls that only read.
  Lock lock_for_reading() {
    Lock lock(mutex_);
    metadata_.tree().trim(cached_nodes_);
    return lock;
  }

  // --- conditions; all with mutex_ held
  Result<void> usable() const;
  Result<void> writable() const;
  Error fail(const Error& error);
  Result<bool> has_room(const Need& need);
  Result<bool> grow_store(std::uint64_t missing);
  // ENOSPC, with the word on what is full: the volume's own limit or the host.
  Error full() const;
  std::uint64_t node_reserve() const { return 64 + metadata_.space().group_count() / 4; }
  // Runs `body` with mutex_ held and room for what it needs; commits or checkpoints when that makes room.
  template <typename Value>
  Result<Value> change(const Need& need, const std::function<Result<Value>()>& body);
  // Without mutex_: frees what waits for durability. Gives false when there is nothing to be had.
  Result<bool> make_room(int attempt);
  // Commits when much is staged. Without mutex_, at the end of a call.
  Result<void> settle();
  template <typename Value>
  Result<Value> settled(Result<Value> result) {
    if (!result) return result;
    VOLUME_CHECK(settle());
    return result;
  }

  // --- changes, with mutex_ held: to Metadata and to staged_
  Result<void> put(const Key& key, ByteView value);
  Result<void> erase(const Key& key);
  Result<PageBalance> set_pages(const PageRun& run);
  Result<PageBalance> clear_pages(const PageRange& range);
  Result<PageBalance> reserve_pages(const PageRange& range);

  // --- inodes and entries, with mutex_ held
  Result<Inode> load_inode(InodeNumber number);
  Result<Inode> load_directory(InodeNumber number);
  Result<Inode> load_file(InodeNumber number);
  Result<void> store_inode(const Inode& inode);
  Result<Attributes> update_inode(InodeNumber number, const std::function<void(Inode&)>& edit);
  Result<std::optional<Slot>> find_entry(InodeNumber directory, std::string_view name);
  Result<Slot> require_entry(InodeNumber directory, std::string_view name);
  Result<std::uint64_t> free_entry_index(InodeNumber directory, std::string_view name);
  Result<void> put_entry(InodeNumber directory, std::uint64_t index, const Entry& entry);
  Result<bool> is_empty_directory(InodeNumber directory);
  Result<Inode> make_inode(const NodeSpecification& specification);
  Result<void> put_target(InodeNumber inode, const std::string& target);
  Result<Attributes> remove_link(InodeNumber inode);
  Result<void> touch_directory(InodeNumber directory, std::int32_t link_change);
  Result<Attributes> remove_entry(InodeNumber directory, const Slot& slot);
  Result<void> require_not_inside(InodeNumber inode, InodeNumber directory);
  Result<void> move_entry(InodeNumber from_directory, const Slot& from, InodeNumber to_directory,
                          std::uint64_t to_index, std::string_view to_name);
  Result<void> exchange_entries(InodeNumber from_directory, const Slot& from, InodeNumber to_directory, const Slot& to);
  Result<void> check_replaceable(const Slot& from, const Slot& to);
  Result<void> erase_all(InodeNumber inode, ItemType type);
  Result<void> release_inode(InodeNumber inode);
  struct AttributeSlot {
    std::uint64_t index = 0;
    ExtendedAttribute attribute;
  };
  Result<std::optional<AttributeSlot>> find_attribute(InodeNumber inode, std::string_view name);
  Result<void> erase_attribute(InodeNumber inode, const AttributeSlot& slot);

  // --- contents
  struct PlacedPages {
    std::vector<Run> runs;
    std::size_t count = 0;  // pages
    std::uint64_t counter = 0;
    bool is_inline = false;
  };
  std::mutex& inode_lock(InodeNumber inode) { return inode_locks_[inode % inode_locks_.size()]; }
  Result<void> write_pages(InodeNumber inode, std::uint64_t first_page, std::span<const std::byte> pages,
                           std::uint64_t end_of_data);
  Result<PlacedPages> place_pages(InodeNumber inode, std::uint64_t first_page, std::size_t count);
  Result<void> store_pages(const PlacedPages& placed, std::span<const std::byte> sealed) const;
  Result<void> apply_pages(InodeNumber inode, std::uint64_t first_page, const PlacedPages& placed,
                           const std::vector<Tag>& tags, std::span<const std::byte> sealed, std::uint64_t end_of_data);
  void cancel_pages(const PlacedPages& placed);
  void cancel_locked(const PlacedPages& placed);
  Result<std::vector<Tag>> seal_pages(InodeNumber inode, std::uint64_t first_page, const PlacedPages& placed,
                                      std::span<const std::byte> pages, std::span<std::byte> sealed) const;
  Result<std::vector<PageSlot>> page_slots(InodeNumber inode, std::uint64_t first_page, std::size_t count);
  using WaitingPages = std::vector<std::shared_ptr<const UnitContents>>;
  Result<void> read_slots(const std::vector<PageSlot>& slots, const WaitingPages& waiting,
                          std::span<std::byte> out) const;
  Result<void> open_slots(InodeNumber inode, std::uint64_t first_page, const std::vector<PageSlot>& slots,
                          std::span<std::byte> out) const;
  Result<void> read_pages(InodeNumber inode, std::uint64_t first_page, std::span<std::byte> out);
  Result<void> fill_edges(InodeNumber inode, std::uint64_t offset, std::span<const std::byte> data, std::uint64_t size,
                          std::span<std::byte> pages);
  Result<void> write_locked(InodeNumber inode, std::uint64_t offset, std::span<const std::byte> data);
  Result<void> zero_within(InodeNumber inode, std::uint64_t offset, std::uint64_t end);
  Result<Attributes> resize_file(InodeNumber inode, const AttributeChange& change_wanted);
  void apply_change(Inode& inode, const AttributeChange& wanted);
  Result<void> clear_range(InodeNumber inode, const PageRange& range);
  Result<void> move_pages(InodeNumber inode, std::uint64_t from, std::uint64_t to, std::uint64_t count);

  // --- commits
  Result<void> commit(Lock& lock);
  Result<std::optional<PendingRecord>> prepare_record(Journal::Use use);
  Result<void> write_record(PendingRecord& record);
  void finish_record(const PendingRecord& record);
  void drop_freed(const std::vector<Run>& runs);

  // --- checkpoints
  Result<void> checkpoint_as(State state);
  Result<void> push_anchor_when_full();
  bool is_checkpointed() const;
  Result<CheckpointPlan> plan_checkpoint(State state);
  Result<void> spill_salts(CheckpointPlan& plan);
  void fill_superblock(Superblock& superblock);
  Result<void> write_plan(const CheckpointPlan& plan);
  Result<void> flip(const Superblock& superblock);
  Result<void> check_slots();
  void finish_checkpoint(const CheckpointPlan& plan);

  // --- offline work
  struct Timestamps {
    Timestamp modify_time, change_time;
  };
  Result<void> verify_data(InodeNumber inode, const std::function<void(std::size_t, const Error*)>& visit);
  Result<std::vector<InodeNumber>> all_files();
  Result<std::uint64_t> move_data_below(InodeNumber inode, Unit bound);
  Result<Timestamps> times_of(InodeNumber inode);
  Result<void> restore_times(InodeNumber inode, const Timestamps& times);
  Result<std::uint64_t> cut_store();

  ByteStore& store_;
  const Clock& clock_;
  Anchor* const anchor_;
  const Access access_;
  const std::size_t cached_nodes_;
  const std::function<void(std::string_view)> notice_;
  Keyring keyring_;
  NameHashKey name_hash_key_{};

  mutable std::mutex mutex_;
  std::condition_variable committed_;
  Metadata metadata_;
  Journal journal_;
  Transaction staged_;
  Superblock superblock_;  // the durable one
  Position durable_;       // the newest durable record
  Position acknowledged_;
  std::deque<RecordPlace> records_;  // that an anchor may name
  std::uint64_t last_sequence_ = 0;  // of the newest record, durable or being written
  bool committing_ = false;
  // Writes and growths of the store that records to come rely on; how many of them were flushed (for who commits).
  mutable std::atomic<std::uint64_t> loose_writes_{0};
  std::uint64_t flushed_writes_ = 0;
  bool closing_ = false, closed_ = false;
  bool superblock_changed_ = false;  // the next checkpoint has something to write in any case
  std::optional<Error> failure_;
  bool host_is_full_ = false;  // the last growth of the store failed for lack of space
  std::uint64_t data_counter_ = 0, node_counter_ = 0;
  std::set<Unit> checkpoint_units_;    // inline units that a checkpoint is writing to their place
  std::vector<Run> checkpoint_frees_;  // of them, freed meanwhile

  std::mutex slots_mutex_;
  std::array<SuperblockSlot, 2> slots_{};  // as they are on the store

  std::mutex checkpoint_mutex_;
  std::array<std::mutex, 64> inode_locks_;
};

template <typename Value>
Result<Value> Engine::change(const Need& need, const std::function<Result<Value>()>& body) {
  for (int attempt = 0;; ++attempt) {
    {
      const Lock lock(mutex_);
      VOLUME_CHECK(writable());
      if (CASEMATE_TRY(has_room(need))) {
        metadata_.tree().trim(cached_nodes_);
        return body();
      }
    }
    if (!CASEMATE_TRY(make_room(attempt))) return full();
  }
}

}  // namespace casemate::volume
