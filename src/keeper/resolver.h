// Path resolution as path_resolution(7), in the program's view: through volumes, memory regions and host regions,
// component by component. Symbolic links are expanded here, wherever they lie, so neither links nor ".." cross a border
// unnoticed. For host regions the result is a host path without links, for the member to use.
//
// What a hostile host can do here -> what we answer
//   exchange files, directories and links of host regions at any time -> other files of the host are seen; it could
//   have
//                                                                        changed those, too. Never a node of a volume
//   links from host regions into volumes                             -> followed with the caller's permissions
//
// Threads: any; the caller holds the names lock, at least shared.
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "keeper/credentials.h"
#include "keeper/mount_table.h"

namespace casemate::keeper {

// A place in the program's view.
struct Position {
  const Region* region = nullptr;
  volume::InodeNumber node = 0;   // in a volume
  volume::Attributes attributes;  // in a volume
  std::string host_path;          // in a host region: absolute, without links
  // What it is in the mount table: a mount point or a directory on the way to one. Null: neither.
  const MountPoint* point = nullptr;

  bool is_host() const { return region->is_host(); }
  bool is_directory() const { return is_host() || S_ISDIR(attributes.mode); }
  bool is_same(const Position& other) const {
    return region == other.region && node == other.node && host_path == other.host_path;
  }
};

enum class LastLink {
  kFollow,
  kKeep,   // AT_SYMLINK_NOFOLLOW: not followed, unless a slash stands behind
  kNever,  // calls that make or remove names: not followed at all
};

struct ResolveOptions {
  LastLink last_link = LastLink::kFollow;
  std::uint64_t flags = 0;  // RESOLVE_* of openat2(2)
};

enum class LastComponent { kName, kDot, kDotDot, kRoot };

struct Resolution {
  LastComponent last = LastComponent::kName;
  Position parent;  // kName: the directory that has (or lacks) the name
  std::string name;
  Position target;         // if it exists
  bool exists = false;     // host regions: not known, the kernel will tell
  bool has_slash = false;  // a slash stood behind the last name
  bool asked_host = true;  // the host was looked at on the way: it may answer otherwise next time
  bool is_host() const {
    return parent.region != nullptr ? parent.is_host() && (!exists || target.is_host()) : target.is_host();
  }
  // In host regions: what the member is to use.
  std::string host_path() const;
};

class Resolver {
 public:
  // `warn` gets a line for the owner, at most once per path that no region names.
  Resolver(const MountTable& table, std::function<void(const std::string&)> warn)
      : table_(table), warn_(std::move(warn)) {}

  // 0 or an errno. `start` is used by relative paths, `root` by absolute ones and links.
  int resolve(const Position& start, const Position& root, std::string_view path, const CallerCredentials& caller,
              const ResolveOptions& options, Resolution* out) const;

  // Of the application's root, of a mount point, of a directory of a volume, of a host directory. 0 or an errno.
  int root(Position* out) const { return position_of(table_.root(), out); }
  int position_of(const MountPoint& point, Position* out) const;
  int position_of_node(const Region& region, volume::InodeNumber node, Position* out) const;
  int position_of_host_path(std::string_view host_path, Position* out) const;
  // `host_path` is at or below the region's source.
  Position position_in_host(const Region& region, std::string_view host_path) const;
  // Where `directory`, which has lost its name, stood: `..` leads there as long as this is remembered.
  void remember_removed(const Region& region, volume::InodeNumber directory, volume::InodeNumber parent) {
    removed_[key_of(region, directory)] = parent;
  }
  void forget_removed(const NodeKey& directory) { removed_.erase(directory); }
  // One up; the root stays.
  int parent_of(const Position& at, const Position& root, Position* out) const;
  // Absolute, as the program sees it. ENOENT for removed directories and those outside of `root`.
  int path_of(const Position& at, const Position& root, std::string* out) const;

  const MountTable& table() const { return table_; }

 private:
  friend class PathWalk;
  int child_point(const Position& at, const MountPoint& child, Position* out) const;
  const MountPoint* point_of_node(const Region& region, volume::InodeNumber node) const;
  void warn_unnamed(const std::string& path) const;

  const MountTable& table_;
  std::function<void(const std::string&)> warn_;
  std::unordered_map<NodeKey, volume::InodeNumber, NodeKeyHash> removed_;
  mutable std::atomic<int> warnings_left_{8};
};

}  // namespace casemate::keeper
