#include "keeper/mount_table.h"

#include <sys/stat.h>

#include <algorithm>

#include "keeper/host_store.h"

namespace casemate::keeper {
namespace {

// Trees that the kernel makes, whose links lead where only the kernel knows.
constexpr std::string_view kKernelTrees[] = {"/proc", "/sys", "/dev"};

template <typename Visit>
void for_each_component(std::string_view path, Visit visit) {
  for (std::size_t at = 0; at < path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    if (end > at) visit(path.substr(at, end - at));
    at = end + 1;
  }
}

}  // namespace

std::string_view parent_path(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos || slash == 0 ? std::string_view("/") : path.substr(0, slash);
}

std::string join_path(std::string_view directory, std::string_view name) {
  std::string joined(directory);
  if (joined.empty() || joined.back() != '/') joined += '/';
  return joined.append(name);
}

bool is_at_or_below(std::string_view path, std::string_view prefix) {
  if (prefix.empty() || prefix == "/") return true;
  return path.starts_with(prefix) && (path.size() == prefix.size() || path[prefix.size()] == '/');
}

const MountPoint* MountPoint::child(std::string_view child_name) const {
  for (const auto& point : children) {
    if (point->name == child_name) return point.get();
  }
  return nullptr;
}

std::string MountPoint::path() const { return parent == nullptr ? "/" : join_path(parent->path(), name); }

Result<std::unique_ptr<MountTable>> MountTable::create(std::vector<std::unique_ptr<Region>> regions,
                                                       const volume::Clock& clock) {
  std::unique_ptr<MountTable> table(new MountTable);
  table->regions_ = std::move(regions);
  for (std::uint32_t i = 0; i < table->regions_.size(); ++i) table->regions_[i]->index = i;
  if (auto added = table->add_points(); !added) return added.error();
  auto skeleton = std::make_unique<Region>();
  auto volume = std::make_unique<MemoryVolume>(clock, MemoryVolume::Options{});
  if (auto made = table->make_skeleton(table->root_, *volume); !made) return made.error();
  skeleton->index = static_cast<std::uint32_t>(table->regions_.size());
  skeleton->kind = RegionKind::kSkeleton;
  skeleton->access = RegionAccess::kReadOnly;
  skeleton->path = "/";
  skeleton->volume = volume.get();
  skeleton->owned_volume = std::move(volume);
  table->regions_.push_back(std::move(skeleton));
  table->points_.push_back(&table->root_);
  table->find_passed_prefixes();
  return table;
}

Result<void> MountTable::add_points() {
  for (const auto& region : regions_) {
    MountPoint* const point = find_or_add(region->path);
    if (point->region != nullptr) {
      return Error(ErrorCategory::kUsage, "two regions have the path " + region->path);
    }
    point->region = region.get();
    points_.push_back(point);
  }
  for (const auto& region : regions_) {
    if (region->kind == RegionKind::kFile && !point_of(*region).children.empty()) {
      return Error(ErrorCategory::kUsage, region->path + " is a file; no region can lie below it");
    }
  }
  return {};
}

MountPoint* MountTable::find_or_add(const std::string& path) {
  MountPoint* at = &root_;
  for_each_component(path, [&](std::string_view name) {
    if (const MountPoint* const known = at->child(name)) {
      at = const_cast<MountPoint*>(known);
      return;
    }
    auto fresh = std::make_unique<MountPoint>();
    fresh->name = name;
    fresh->parent = at;
    at->children.push_back(std::move(fresh));
    at = at->children.back().get();
  });
  return at;
}

const MountPoint* MountTable::find(std::string_view path) const {
  const MountPoint* at = &root_;
  for_each_component(path, [&](std::string_view name) {
    if (at != nullptr) at = at->child(name);
  });
  return at;
}

Result<void> MountTable::make_skeleton(MountPoint& point, MemoryVolume& volume) {
  if (point.parent == nullptr) point.skeleton = volume::kRootInode;
  for (const auto& child : point.children) {
    const volume::NodeSpecification directory = {.mode = S_IFDIR | 0755, .uid = 0, .gid = 0, .device = 0, .target = {}};
    child->skeleton = CASEMATE_TRY(volume.create_node(point.skeleton, child->name, directory)).inode;
    if (auto made = make_skeleton(*child, volume); !made) return made.error();
  }
  return {};
}

const Region& MountTable::covering(const MountPoint& point) const {
  const MountPoint* at = &point;
  while (at->region == nullptr && at->parent != nullptr) at = at->parent;
  return at->region != nullptr ? *at->region : skeleton();
}

void MountTable::find_passed_prefixes() {
  const bool only_root = root_.region != nullptr && root_.children.empty();
  if (only_root && root_.region->is_host() && root_.region->source.empty()) {
    passed_ = {"/"};
    return;
  }
  for (const std::string_view tree : kKernelTrees) {
    const MountPoint* const own = root_.child(tree.substr(1));
    if (own != nullptr && !own->children.empty()) continue;  // something else is mounted below
    const bool is_own_point = own != nullptr;
    const Region& region = covering(is_own_point ? *own : root_);
    const std::string expected = is_own_point ? std::string(tree) : std::string();
    if (region.is_host() && region.source == expected) passed_.push_back(std::string(tree) + "/");
  }
}

const Region* MountTable::region_of_host_path(std::string_view host_path, std::string* program_path) const {
  const Region* best = nullptr;
  for (const auto& region : regions_) {
    if (!region->is_host() || !is_at_or_below(host_path, region->source)) continue;
    if (best == nullptr || region->source.size() > best->source.size()) best = region.get();
  }
  if (best == nullptr) return nullptr;
  *program_path = path_in(*best, host_path);
  return best;
}

std::string MountTable::path_in(const Region& region, std::string_view host_path) {
  std::string_view rest = host_path.substr(std::min(host_path.size(), region.source.size()));
  while (rest.starts_with('/')) rest.remove_prefix(1);
  return rest.empty() ? region.path : join_path(region.path, rest);
}

bool MountTable::is_passed(std::string_view program_path) const {
  return std::ranges::any_of(passed_, [&](const std::string& prefix) {
    return is_at_or_below(program_path, std::string_view(prefix).substr(0, prefix.size() - 1));
  });
}

}  // namespace casemate::keeper
