// One region of the program's view: a path and what stands behind it.
#pragma once

#include <sys/sysmacros.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "keeper/description.h"
#include "keeper/file_anchor.h"
#include "keeper/host_store.h"
#include "volume/volume.h"

namespace casemate::keeper {

// Immutable once the keeper serves, but for what the volume itself does, and the root of a file that is exchanged
// (Service::replace_file).
struct Region {
  std::uint32_t index = 0;
  RegionKind kind = RegionKind::kHost;
  RegionAccess access = RegionAccess::kReadWrite;
  std::string path;    // as in RegionDescription
  std::string source;  // host: directory of the host, without '/' at its end ("" for the root)

  std::unique_ptr<HostStore> store;
  std::shared_ptr<NotingAnchor> anchor;
  std::unique_ptr<volume::Volume> owned_volume;
  volume::Volume* volume = nullptr;  // null for host regions; several regions may share one
  // What appears at `path`; for kFile no directory.
  std::atomic<volume::InodeNumber> root = volume::kRootInode;
  // The region whose mount of the volume this one uses: itself, unless several show parts of one volume. Nodes, store
  // and anchor are the owner's.
  const Region* owner = this;
  bool writes_volume = false;  // the mount, whatever this region's own access is; encrypted regions only
  Freshness freshness = Freshness::kLocal;
  std::uint64_t bound_milliseconds = 0;

  bool is_host() const { return kind == RegionKind::kHost; }
  bool is_read_only() const { return access == RegionAccess::kReadOnly; }
  // Contents are written to the volume only when memory is short: there is nothing durable behind it.
  bool is_volatile() const { return kind != RegionKind::kEncrypted; }
  // st_dev of its files: a number that no device has.
  std::uint64_t device() const { return makedev(0, 0xc5000 + owner->index); }
};

// Names a node among all regions.
struct NodeKey {
  std::uint32_t region = 0;
  volume::InodeNumber inode = 0;
  friend bool operator==(const NodeKey&, const NodeKey&) = default;
};

inline NodeKey key_of(const Region& region, volume::InodeNumber inode) { return {region.owner->index, inode}; }

struct NodeKeyHash {
  std::size_t operator()(const NodeKey& key) const {
    return static_cast<std::size_t>((key.inode + (std::uint64_t{key.region} << 48)) * 0x9e3779b97f4a7c15);
  }
};

}  // namespace casemate::keeper
