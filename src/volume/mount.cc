// Creating and mounting. A mount writes nothing before it knows that the volume is whole and fresh; its first write is
// the superblock with the new epoch and salt, so nothing is ever sealed under a salt that could be forgotten.
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "crypto/random.h"
#include "volume/engine.h"
#include "volume/recovery.h"

namespace casemate::volume {
namespace {

constexpr std::uint64_t kInitialDataUnits = 256;
constexpr std::uint64_t kMinimumDataUnits = 512;
constexpr std::uint64_t kMaximumMounts = 0xfffffff0;

Result<Superblock> new_superblock(const Clock& clock, const CreateOptions& options) {
  Superblock superblock;
  superblock.generation = 1;
  superblock.state = State::kClean;
  superblock.journal_size = (options.journal_size + kUnitSize - 1) / kUnitSize * kUnitSize;
  superblock.maximum_units = options.maximum_size / kUnitSize;
  superblock.label = options.label;
  superblock.created = clock.now();
  if (superblock.journal_size < kMinimumJournalSize || superblock.journal_size > kMaximumJournalSize) {
    return refused(EINVAL, "the journal must have between 1 MiB and 4 GiB");
  }
  if (superblock.maximum_units > kMaximumUnit || options.label.size() > 64) {
    return refused(EINVAL, "volumes have at most 4 PiB, labels at most 64 bytes");
  }
  if (superblock.maximum_units < superblock.first_unit() + kMinimumDataUnits) {
    return refused(EINVAL, "the volume would be too small: journal and 2.1 MiB more are the least");
  }
  superblock.store_units = superblock.first_unit() + kInitialDataUnits;
  superblock.salts.push_back({superblock.epoch, {}});
  superblock.tree_position.epoch = superblock.epoch;
  for (const std::span<std::byte> random :
       {std::span<std::byte>(superblock.volume_id), std::span<std::byte>(superblock.salts.back().salt),
        std::span<std::byte>(superblock.tree_position.chain_tag)}) {
    VOLUME_CHECK(crypto::random_bytes(random));
  }
  superblock.retained_position = superblock.tree_position;
  return superblock;
}

Result<void> write_zeros(ByteStore& store, std::uint64_t offset, std::uint64_t size) {
  const Bytes zeros(std::size_t{1} << 20);
  for (std::uint64_t done = 0; done < size; done += zeros.size()) {
    VOLUME_CHECK(
        store.write(offset + done, std::span(zeros).first(std::min<std::uint64_t>(zeros.size(), size - done))));
  }
  return {};
}

Inode root_directory(const Timestamp& now) {
  Inode root;
  root.attributes.inode = kRootInode;
  root.attributes.mode = S_IFDIR | 0755;
  root.attributes.link_count = 2;
  root.attributes.size = kPageSize;
  root.attributes.access_time = root.attributes.modify_time = root.attributes.change_time = root.attributes.birth_time =
      now;
  return root;
}

// The tree of an empty volume: the root directory and the map of what is used.
Result<void> write_first_tree(ByteStore& store, const Keyring& keyring, Superblock& superblock) {
  Metadata metadata(store, keyring, superblock.first_unit(), Access::kReadWrite);
  metadata.space().set_capacity(superblock.store_units);
  VOLUME_CHECK(metadata.tree().start_empty());
  VOLUME_CHECK(metadata.put(inode_key(kRootInode), root_directory(superblock.created).encode()));
  VOLUME_CHECK(metadata.store_space());
  std::uint64_t counter = 0;
  for (const SealedNode& node : CASEMATE_TRY(metadata.tree().seal_dirty(superblock.epoch, counter))) {
    VOLUME_CHECK(store.write(node.unit * kUnitSize, node.bytes));
  }
  superblock.root = metadata.tree().root();
  superblock.next_inode = metadata.next_inode;
  superblock.inode_count = metadata.inode_count;
  return {};
}

Result<void> check_mountable(const ByteStore& store, const Superblock& superblock, Access access) {
  const std::uint64_t size = CASEMATE_TRY(store.size());
  if (size / kUnitSize < superblock.store_units) {
    return damaged("the volume is truncated: it has " + std::to_string(size) + " bytes of " +
                   std::to_string(superblock.store_units * kUnitSize));
  }
  if (superblock.state != State::kSealed) return {};
  if (superblock.root_tag != root_tag(superblock)) return damaged("the seal does not match the contents");
  if (access == Access::kReadWrite) return refused(EROFS, "the volume is sealed: mount it read-only");
  return {};
}

Result<void> recover(Engine& engine, ByteStore& store, const SuperblockPair& pair, const MountOptions& options) {
  Recovery recovery(store, engine.keyring(), engine.journal(), pair.newest);
  const auto notice = [&](const std::string& text) {
    if (options.notice) options.notice(text);
  };
  VOLUME_CHECK(recovery.read_journal(options.anchor != nullptr ? Recovery::From::kRetained : Recovery::From::kTree));
  if (options.anchor != nullptr) {
    options.anchor->bind(pair.newest.volume_id);
    const std::optional<Position> anchored = CASEMATE_TRY(options.anchor->load());
    if (anchored) VOLUME_CHECK(recovery.check_anchor(*anchored));
    if (!anchored) notice("the anchor is empty: older states of this volume are not detected before this mount");
  }
  if (recovery.dropped_tail()) {
    notice("dropped the newest journal record: its data was not complete (a crash before the sync was acknowledged)");
  }
  VOLUME_CHECK(engine.load_space());
  VOLUME_CHECK(recovery.replay(engine.metadata()));
  if (recovery.replayed_count() > 0) {
    notice("recovered " + std::to_string(recovery.replayed_count()) + " journal records after an unclean end");
  }
  if (options.access == Access::kReadWrite && recovery.unit_end() * kUnitSize > CASEMATE_TRY(store.size())) {
    VOLUME_CHECK(store.resize(recovery.unit_end() * kUnitSize));
  }
  engine.start({pair.slots, recovery.newest(), recovery.head(), recovery.records()});
  return {};
}

}  // namespace

Result<void> Volume::create(ByteStore& store, const Clock& clock, const VolumeKey& key, const CreateOptions& options) {
  if (CASEMATE_TRY(store.size()) != 0) return refused(EEXIST, "the store is not empty: it will not be overwritten");
  Superblock superblock = CASEMATE_TRY(new_superblock(clock, options));
  Keyring keyring(key, superblock.volume_id);
  keyring.add(superblock.salts.back());
  VOLUME_CHECK(store.resize(superblock.store_units * kUnitSize));
  // Written, not only allocated: syncs must not wait for the host's own metadata.
  VOLUME_CHECK(write_zeros(store, kJournalUnit * kUnitSize, superblock.journal_size));
  VOLUME_CHECK(write_first_tree(store, keyring, superblock));
  VOLUME_CHECK(store.flush());
  const SuperblockSlot slot = CASEMATE_TRY(seal_superblock(superblock, keyring));
  VOLUME_CHECK(store.write(kSuperblockUnits[superblock.generation % 2] * kUnitSize, slot));
  return store.flush();
}

Result<std::unique_ptr<Volume>> Volume::mount(ByteStore& store, const Clock& clock, const VolumeKey& key,
                                              const MountOptions& options) {
  const SuperblockPair pair = CASEMATE_TRY(read_superblocks(store, key));
  VOLUME_CHECK(check_mountable(store, pair.newest, options.access));
  auto engine = std::make_unique<Engine>(store, clock, key, options, pair.newest);
  VOLUME_CHECK(engine->load_salts());
  VOLUME_CHECK(recover(*engine, store, pair, options));
  if (options.access == Access::kReadWrite) {
    VOLUME_CHECK(engine->begin_epoch());
    VOLUME_CHECK(engine->sweep_orphans());
  }
  return std::unique_ptr<Volume>(std::move(engine));
}

Result<void> Engine::load_salts() {
  name_hash_key_ = CASEMATE_TRY(keyring_.name_hash_key());
  for (const MountSalt& salt : superblock_.salts) keyring_.add(salt);
  std::uint32_t oldest = superblock_.salts.front().epoch;
  for (NodePointer pointer = superblock_.salt_pages; pointer.unit != 0;) {
    std::array<std::byte, kUnitSize> bytes;
    if (pointer.unit >= superblock_.store_units) return damaged("the list of earlier mounts lies outside of the store");
    VOLUME_CHECK(store_.read(pointer.unit * kUnitSize, bytes));
    const SaltPage page = CASEMATE_TRY(open_salt_page(pointer, keyring_, bytes));
    // Ever older, so that the chain ends.
    if (page.salts.back().epoch >= oldest) return damaged("the list of earlier mounts does not follow the format");
    oldest = page.salts.front().epoch;
    for (const MountSalt& salt : page.salts) keyring_.add(salt);
    pointer = page.older;
  }
  return {};
}

Result<void> Engine::load_space() {
  Space& space = metadata_.space();
  space.set_capacity(std::min(CASEMATE_TRY(store_.size()) / kUnitSize, superblock_.maximum_units));
  metadata_.tree().start_at(superblock_.root);
  metadata_.next_inode = superblock_.next_inode;
  metadata_.inode_count = superblock_.inode_count;
  metadata_.reserved_count = superblock_.reserved_count;
  return metadata_.scan({0, ItemType::kSpace, 0}, {0, ItemType::kSpace, ~std::uint64_t{0}},
                        [&](const Item& item) -> Result<bool> {
                          VOLUME_CHECK(space.load(item.key.index, item.value));
                          return true;
                        });
}

void Engine::start(const Start& start) {
  superblock_.maximum_units = std::max(superblock_.maximum_units, metadata_.space().capacity());
  slots_ = start.slots;
  durable_ = start.durable;
  last_sequence_ = durable_.sequence;
  records_ = start.records;
  acknowledged_ = superblock_.retained_position;
  journal_.start_at(start.journal_head, superblock_.retained_begin);
}

Result<void> Engine::begin_epoch() {
  if (superblock_.epoch >= kMaximumMounts || superblock_.salts.size() >= kMaximumInlineSalts) {
    return refused(ENOSPC, "the volume was mounted too often without a checkpoint: copy it with rekey");
  }
  Superblock next = superblock_;
  ++next.generation;
  ++next.epoch;
  next.state = State::kOpen;
  next.mount_sequence = durable_.sequence;
  MountSalt salt{next.epoch, {}};
  VOLUME_CHECK(crypto::random_bytes(salt.salt));
  next.salts.push_back(salt);
  keyring_.add(salt);
  // Also makes durable what recovery has read.
  VOLUME_CHECK(flip(next));
  superblock_ = next;
  {
    Lock lock(mutex_);
    while (durable_.epoch != superblock_.epoch) VOLUME_CHECK(commit(lock));
  }
  if (anchor_ == nullptr) return {};
  if (auto stored = anchor_->store(durable_); !stored) return stored.error().with_context("cannot anchor the mount");
  acknowledge(durable_);
  return {};
}

// Inodes that lost their last name before the crash.
Result<void> Engine::sweep_orphans() {
  std::vector<InodeNumber> orphans;
  {
    const Lock lock = lock_for_reading();
    VOLUME_CHECK(metadata_.scan({0, ItemType::kOrphan, 0}, {0, ItemType::kOrphan, ~std::uint64_t{0}},
                                [&](const Item& item) -> Result<bool> {
                                  orphans.push_back(item.key.index);
                                  return true;
                                }));
  }
  for (const InodeNumber orphan : orphans) VOLUME_CHECK(release_orphan(orphan));
  if (!orphans.empty() && notice_) notice_("released " + std::to_string(orphans.size()) + " files without names");
  return wants_checkpoint() ? checkpoint() : Result<void>();
}

Result<Statistics> Engine::statistics() {
  const Lock lock(mutex_);
  VOLUME_CHECK(usable());
  const Space& space = metadata_.space();
  const std::uint64_t capacity = superblock_.maximum_units - superblock_.first_unit();
  const std::uint64_t taken = space.used_count() + metadata_.reserved_count + 2 * node_reserve();
  return Statistics{capacity * kUnitSize, (capacity - std::min(capacity, taken)) * kUnitSize, metadata_.inode_count};
}

Information Engine::information() const {
  const Lock lock(mutex_);
  Information information;
  information.volume_id = superblock_.volume_id;
  information.format_version = kFormatVersion;
  information.label = superblock_.label;
  information.maximum_size = superblock_.maximum_units * kUnitSize;
  information.store_size = metadata_.space().capacity() * kUnitSize;
  information.journal_size = superblock_.journal_size;
  information.position = durable_;
  information.created = superblock_.created;
  information.sealed = superblock_.state == State::kSealed;
  information.root_tag = superblock_.root_tag;
  return information;
}

}  // namespace casemate::volume
