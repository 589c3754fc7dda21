#include "keeper/region_opening.h"

#include <limits.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <map>

#include "keeper/authenticated_tree.h"
#include "keeper/key_file.h"
#include "keeper/memory_volume.h"
#include "keeper/mount_table.h"

namespace casemate::keeper {
namespace {

using Warn = std::function<void(const std::string&)>;

// What may take the place of an injected file; while somebody has the old one open, both are there. Only a limit.
constexpr std::uint64_t kExchangedSize = std::uint64_t{64} << 20;

class RegionOpener {
 public:
  RegionOpener(const volume::Clock& clock, std::uint64_t memory_limit, const Warn& warn)
      : clock_(clock), memory_limit_(memory_limit), warn_(warn) {}

  Result<std::unique_ptr<Region>> open(const RegionDescription& description,
                                       const std::vector<RegionDescription>& all) {
    auto region = std::make_unique<Region>();
    region->kind = description.kind;
    region->access = description.access;
    region->path = description.path;
    Result<void> opened;
    switch (description.kind) {
      case RegionKind::kHost:
        opened = open_host(*region, description);
        break;
      case RegionKind::kEncrypted:
        opened = open_encrypted(*region, description, all);
        break;
      case RegionKind::kAuthenticated:
        opened = open_authenticated(*region, description);
        break;
      case RegionKind::kEphemeral:
        opened = open_ephemeral(*region, description);
        break;
      case RegionKind::kFile:
        opened = open_file(*region, description);
        break;
      case RegionKind::kSkeleton:
        break;  // made by the mount table
    }
    if (!opened) return opened.error().with_context("region " + description.path);
    return region;
  }

 private:
  Result<void> open_host(Region& region, const RegionDescription& description) {
    char resolved[PATH_MAX];
    if (realpath(description.source.c_str(), resolved) == nullptr) {
      return Error::from_errno(description.source + ": cannot find it on the host", errno);
    }
    region.source = std::string_view(resolved) == "/" ? "" : resolved;
    return {};
  }

  // Regions of one volume share its mount.
  Result<void> open_encrypted(Region& region, const RegionDescription& description,
                              const std::vector<RegionDescription>& all) {
    region.freshness = description.freshness;
    region.bound_milliseconds = description.bound_milliseconds;
    auto known = mounted_.find(description.volume);
    if (known == mounted_.end()) {
      if (auto mounted = mount(region, description, writes_to(description.volume, all)); !mounted) return mounted;
      known = mounted_.emplace(description.volume, &region).first;
    }
    region.owner = known->second;
    region.volume = region.owner->owned_volume.get();
    region.writes_volume = region.owner->writes_volume;
    return find_root(region, description.directory);
  }

  static bool writes_to(const std::string& volume, const std::vector<RegionDescription>& all) {
    for (const RegionDescription& other : all) {
      const bool same = other.kind == RegionKind::kEncrypted && other.volume == volume;
      if (same && other.access == RegionAccess::kReadWrite) return true;
    }
    return false;
  }

  Result<void> mount(Region& region, const RegionDescription& description, bool writes) {
    const bool is_granted = description.granted != nullptr;
    const volume::VolumeKey key =
        is_granted ? description.granted->key.duplicate() : CASEMATE_TRY(read_key_file(description.key_file));
    HostStoreOptions store_options;
    store_options.access = writes ? StoreAccess::kReadWrite : StoreAccess::kReadOnly;
    region.store = CASEMATE_TRY(HostStore::open(description.volume, store_options));
    volume::MountOptions options;
    options.access = writes ? volume::Access::kReadWrite : volume::Access::kReadOnly;
    options.notice = [warn = warn_, path = description.path](std::string_view text) {
      if (warn) warn(path + ": " + std::string(text));
    };
    if (is_granted) {
      region.anchor = description.granted->anchor;
      options.anchor = region.anchor.get();
    } else if (description.anchor.empty()) {
      warn_(description.path + ": no \"anchor\" in the run description: an old copy of the volume would be accepted");
    } else {
      region.anchor = CASEMATE_TRY(FileAnchor::open(description.anchor, key));
      const auto anchored = CASEMATE_TRY(region.anchor->load());
      if (!anchored) {
        return Error(ErrorCategory::kNotFound,
                     description.anchor +
                         ": this anchor remembers nothing: it is missing or empty, so an old copy of the volume could "
                         "not be told from the newest. If it never existed, make it with `casemate volume anchor "
                         "--set`; if it did, find out who removed it",
                     ESTALE);
      }
      options.anchor = region.anchor.get();
    }
    auto mounted = volume::Volume::mount(*region.store, clock_, key, options);
    if (!mounted) return mounted.error().with_context(description.volume);
    region.owned_volume = std::move(mounted).value();
    region.writes_volume = writes;
    return {};
  }

  Result<void> find_root(Region& region, const std::string& directory) {
    region.root = volume::kRootInode;
    for (std::size_t at = 1; at < directory.size();) {
      const std::size_t end = std::min(directory.find('/', at), directory.size());
      const auto found = region.volume->lookup(region.root, directory.substr(at, end - at));
      if (!found || !S_ISDIR(found.value().mode)) {
        return Error(ErrorCategory::kNotFound, "the volume has no directory " + directory.substr(0, end), ENOENT);
      }
      region.root = found.value().inode;
      at = end + 1;
    }
    return {};
  }

  Result<void> open_authenticated(Region& region, const RegionDescription& description) {
    auto tree = CASEMATE_TRY(
        AuthenticatedTree::open(clock_, description.source, description.manifest, description.manifest_sha256));
    region.volume = tree.get();
    region.owned_volume = std::move(tree);
    return {};
  }

  Result<void> open_ephemeral(Region& region, const RegionDescription& description) {
    MemoryVolume::Options options;
    options.capacity = description.size != 0 ? description.size : memory_limit_ / 2;
    options.root_mode = description.mode;
    options.root_uid = description.uid;
    options.root_gid = description.gid;
    region.owned_volume = std::make_unique<MemoryVolume>(clock_, options);
    region.volume = region.owned_volume.get();
    return {};
  }

  Result<void> open_file(Region& region, const RegionDescription& description) {
    MemoryVolume::Options options;
    options.capacity = std::max<std::uint64_t>(kExchangedSize, 2 * description.text.size()) + 4 * volume::kPageSize;
    auto volume = std::make_unique<MemoryVolume>(clock_, options);
    volume::NodeSpecification specification;
    specification.mode = S_IFREG | description.mode;
    specification.uid = description.uid;
    specification.gid = description.gid;
    const std::string name = description.path.substr(description.path.rfind('/') + 1);
    region.root = CASEMATE_TRY(volume->create_node(volume::kRootInode, name, specification)).inode;
    if (auto written = volume->write(region.root, 0, std::as_bytes(std::span(description.text))); !written) {
      return written.error();
    }
    region.volume = volume.get();
    region.owned_volume = std::move(volume);
    return {};
  }

  const volume::Clock& clock_;
  std::uint64_t memory_limit_;
  const Warn& warn_;
  std::map<std::string, const Region*> mounted_;  // by volume file
};

}  // namespace

Result<std::vector<std::unique_ptr<Region>>> open_regions(const std::vector<RegionDescription>& descriptions,
                                                          const volume::Clock& clock, std::uint64_t memory_limit,
                                                          const Warn& warn) {
  RegionOpener opener(clock, memory_limit, warn);
  std::vector<std::unique_ptr<Region>> regions;
  for (const RegionDescription& description : descriptions) {
    regions.push_back(CASEMATE_TRY(opener.open(description, descriptions)));
  }
  return regions;
}

}  // namespace casemate::keeper
