// Conditions, room and the changes that all calls are made of.
#include "volume/engine.h"

#include <algorithm>
#include <cerrno>

namespace casemate::volume {
namespace {

constexpr std::uint64_t kLargestGrowth = (std::uint64_t{64} << 20) / kUnitSize;
constexpr std::uint64_t kSmallestGrowth = (std::uint64_t{1} << 20) / kUnitSize;

}  // namespace

Engine::Engine(ByteStore& store, const Clock& clock, const VolumeKey& key, const MountOptions& options,
               const Superblock& superblock)
    : store_(store),
      clock_(clock),
      anchor_(options.anchor),
      access_(options.access),
      cached_nodes_(std::max<std::size_t>(options.metadata_cache_size / kUnitSize, 64)),
      notice_(options.notice),
      keyring_(key, superblock.volume_id),
      metadata_(store, keyring_, superblock.first_unit(), options.access),
      journal_(store, keyring_, superblock.journal_size),
      superblock_(superblock) {}

Result<void> Engine::usable() const {
  if (closed_) return refused(EBADF, "the volume is closed");
  if (failure_) return failure_->with_context("the volume has stopped after an error");
  return {};
}

Result<void> Engine::writable() const {
  VOLUME_CHECK(usable());
  if (closing_) return refused(EBADF, "the volume is being closed");
  if (access_ == Access::kReadOnly) return refused(EROFS, "the volume is mounted read-only");
  return {};
}

Error Engine::fail(const Error& error) {
  if (!failure_) {
    failure_ = Error(error.category(), error.message(), error.system_code() == ESTALE ? ESTALE : EIO);
    if (notice_) notice_("the volume stops: " + error.message());
  }
  committed_.notify_all();
  return *failure_;
}

Result<bool> Engine::has_room(const Need& need) {
  const std::uint64_t margin = node_reserve() * (need.purpose == Purpose::kGrowing ? 2 : 1);
  const std::uint64_t promised = need.purpose == Purpose::kGrowing ? metadata_.reserved_count - need.promised : 0;
  const std::uint64_t wanted = need.units + promised + margin, free = metadata_.space().free_count();
  return free >= wanted ? Result<bool>(true) : grow_store(wanted - free);
}

// By a sixteenth, but not by less than 1 MiB or more than 64 MiB unless that much is missing.
Result<bool> Engine::grow_store(std::uint64_t missing) {
  Space& space = metadata_.space();
  const std::uint64_t room = superblock_.maximum_units - std::min(superblock_.maximum_units, space.capacity());
  host_is_full_ = false;
  const std::uint64_t step = std::clamp(space.capacity() / 16, kSmallestGrowth, kLargestGrowth);
  for (const std::uint64_t growth : {std::max(missing, step), missing}) {
    if (growth > room && missing > room) return false;
    const Unit capacity = space.capacity() + std::min(growth, room);
    const Result<void> grown = store_.resize(capacity * kUnitSize);
    if (grown) {
      loose_writes_.fetch_add(1);
      space.set_capacity(capacity);
      return true;
    }
    if (grown.error().system_code() != ENOSPC && grown.error().system_code() != EDQUOT) {
      return grown.error().with_context("cannot grow the volume");
    }
  }
  host_is_full_ = true;
  return false;
}

Error Engine::full() const {
  if (host_is_full_) {
    return refused(ENOSPC, "the volume cannot grow: the host's disk (or a quota there) is full; make room on it");
  }
  return refused(ENOSPC, "the volume is full: its limit is " + std::to_string(superblock_.maximum_units * kUnitSize) +
                             " bytes; remove files, or raise it with `casemate volume grow`");
}

Result<bool> Engine::make_room(int attempt) {
  {
    const Lock lock(mutex_);
    if (metadata_.space().held_count() == 0 || attempt > 1) return false;
  }
  // First what waits for the next record, then what waits for the next superblock.
  if (attempt == 0) {
    VOLUME_CHECK(without_value(sync()));
  } else {
    VOLUME_CHECK(checkpoint());
  }
  return true;
}

Result<void> Engine::settle() {
  bool many_nodes = false;
  {
    const Lock lock(mutex_);
    many_nodes = metadata_.tree().dirty_count() > 4 * kDirtyNodesWanted;
    if (staged_.size() < journal_.staging_limit() && !many_nodes) return {};
  }
  return many_nodes ? checkpoint() : without_value(sync());
}

// --- changes

Result<void> Engine::put(const Key& key, ByteView value) {
  if (auto done = metadata_.put(key, value); !done) return fail(done.error());
  staged_.put(key, value);
  return {};
}

Result<void> Engine::erase(const Key& key) {
  if (auto done = metadata_.erase(key); !done) return fail(done.error());
  staged_.erase(key);
  return {};
}

Result<PageBalance> Engine::set_pages(const PageRun& run) {
  auto done = metadata_.set_pages(run);
  if (!done) return fail(done.error());
  staged_.set_pages(run);
  staged_.add_freed(metadata_.freed());
  return done;
}

Result<PageBalance> Engine::clear_pages(const PageRange& range) {
  auto done = metadata_.clear_pages(range);
  if (!done) return fail(done.error());
  staged_.clear_pages(range);
  staged_.add_freed(metadata_.freed());
  return done;
}

Result<PageBalance> Engine::reserve_pages(const PageRange& range) {
  auto done = metadata_.reserve_pages(range);
  if (!done) return fail(done.error());
  staged_.reserve_pages(range);
  return done;
}

// --- inodes

Result<Inode> Engine::load_inode(InodeNumber number) {
  const std::optional<ByteView> value = CASEMATE_TRY(metadata_.find(inode_key(number)));
  if (!value || number == 0) return refused(ENOENT, "inode " + std::to_string(number) + " does not exist");
  return Inode::decode(number, *value);
}

Result<void> Engine::store_inode(const Inode& inode) { return put(inode_key(inode.attributes.inode), inode.encode()); }

Result<Attributes> Engine::update_inode(InodeNumber number, const std::function<void(Inode&)>& edit) {
  Inode inode = CASEMATE_TRY(load_inode(number));
  edit(inode);
  VOLUME_CHECK(store_inode(inode));
  return inode.attributes;
}

}  // namespace casemate::volume
