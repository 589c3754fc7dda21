// Where the regions stand in the program's view: a tree of the names on the way to each region.
//
// Directories on the way that no region has (mount point /a/b/c in a volume without /a) are made up: they live in the
// skeleton, a read-only region in memory. Names next to them that no region names are refused.
//
// Immutable after construction.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "keeper/memory_volume.h"
#include "keeper/region.h"

namespace casemate::keeper {

// A path that is a mount point, or on the way to one.
struct MountPoint {
  std::string name;  // empty: the root
  MountPoint* parent = nullptr;
  const Region* region = nullptr;    // what is mounted here; null: only on the way
  volume::InodeNumber skeleton = 0;  // the made-up directory
  std::vector<std::unique_ptr<MountPoint>> children;

  const MountPoint* child(std::string_view child_name) const;
  std::string path() const;  // as in RegionDescription
};

class MountTable {
 public:
  // Adds the skeleton as the last region. Requires: paths are normalised and distinct.
  static Result<std::unique_ptr<MountTable>> create(std::vector<std::unique_ptr<Region>> regions,
                                                    const volume::Clock& clock);

  const std::vector<std::unique_ptr<Region>>& regions() const { return regions_; }
  const Region& skeleton() const { return *regions_.back(); }
  const MountPoint& root() const { return root_; }
  // The point with exactly this path, or null.
  const MountPoint* find(std::string_view path) const;
  // Of a region's own mount point.
  const MountPoint& point_of(const Region& region) const { return *points_[region.index]; }

  // The host region that shows this absolute path of the host, and the path as the program sees it. Null: none does.
  const Region* region_of_host_path(std::string_view host_path, std::string* program_path) const;
  // The same for a known region: `host_path` is at or below its source.
  static std::string path_in(const Region& region, std::string_view host_path);
  // True if everything below is the host's at the same place, links included (/proc, /sys, /dev).
  bool is_passed(std::string_view program_path) const;
  const std::vector<std::string>& passed_prefixes() const { return passed_; }

 private:
  Result<void> add_points();
  Result<void> make_skeleton(MountPoint& point, MemoryVolume& volume);
  void find_passed_prefixes();
  MountPoint* find_or_add(const std::string& path);
  const Region& covering(const MountPoint& point) const;

  std::vector<std::unique_ptr<Region>> regions_;
  std::vector<const MountPoint*> points_;  // by region index
  MountPoint root_;
  std::vector<std::string> passed_;
};

// "/a/b" -> "/a"; "/" -> "/".
std::string_view parent_path(std::string_view path);
std::string join_path(std::string_view directory, std::string_view name);
// `path` is `prefix` or below it. Both without '/' at the end, or "/" or "".
bool is_at_or_below(std::string_view path, std::string_view prefix);

}  // namespace casemate::keeper
