#include "keeper/provision/regions.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "crypto/hash.h"
#include "keeper/host_store.h"

namespace casemate::keeper {
namespace {

constexpr std::uint64_t kLargestListedFile = std::uint64_t{512} << 20;

struct HostFile {
  std::string contents;
  std::uint32_t mode = 0;
};

Result<HostFile> read_host_file(const std::string& path) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  struct stat status = {};
  if (!file.is_open() || fstat(file.get(), &status) != 0) return Error::from_errno(path + ": cannot read it", errno);
  if (!S_ISREG(status.st_mode) || static_cast<std::uint64_t>(status.st_size) > kLargestListedFile) {
    return Error(ErrorCategory::kUsage, path + ": not a regular file, or larger than 512 MiB");
  }
  HostFile result;
  result.mode = status.st_mode & 0777;
  result.contents.resize(static_cast<std::size_t>(status.st_size));
  for (std::size_t done = 0; done < result.contents.size();) {
    const ssize_t got =
        pread(file.get(), result.contents.data() + done, result.contents.size() - done, static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno(path + ": cannot read it", errno);
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return result;
}

Result<RegionDescription> listed_file(const protocol::GrantedDigest& digest) {
  HostFile file = CASEMATE_TRY(read_host_file(digest.path));
  const std::string found = crypto::to_hex(crypto::sha256(crypto::as_byte_view(file.contents)));
  if (found != digest.sha256) {
    return Error(ErrorCategory::kUsage,
                 digest.path + ": it is not the file that the session lists: its SHA-256 is " + found +
                     ", the session says " + digest.sha256 +
                     "; restore the file, or if the change is yours, put the new digest into the session");
  }
  RegionDescription region;
  region.kind = RegionKind::kFile;
  region.path = digest.path;
  region.access = RegionAccess::kReadOnly;
  region.text = std::move(file.contents);
  region.mode = file.mode;
  return region;
}

RegionDescription injected_file(const protocol::GrantedFile& file) {
  RegionDescription region;
  region.kind = RegionKind::kFile;
  region.path = file.path;
  region.access = RegionAccess::kReadOnly;
  region.text = file.content;
  region.mode = file.mode;
  region.uid = geteuid();
  region.gid = getegid();
  return region;
}

RegionDescription named_region(const protocol::GrantedRegion& granted, const protocol::StartRequest& request) {
  RegionDescription region;
  region.path = region.source = granted.path;
  switch (granted.protection) {
    case protocol::RegionProtection::kHost:
      break;
    case protocol::RegionProtection::kEphemeral:
      region.kind = RegionKind::kEphemeral;
      region.source.clear();
      region.mode = 01777;
      break;
    case protocol::RegionProtection::kAuthenticated:
      region.kind = RegionKind::kAuthenticated;
      region.access = RegionAccess::kReadOnly;
      region.manifest = request.manifests + "/" + granted.manifest + ".manifest";
      region.manifest_sha256 = granted.manifest;
      break;
  }
  return region;
}

// One file per volume, by the name of the session whose volume it is: that of another one comes as "/SESSION/NAME". A
// session's name has no other odd letters than slashes.
std::string volume_path(const protocol::StartRequest& request, const std::string& volume) {
  std::string name = volume.starts_with('/') ? volume.substr(1) : request.session + "/" + volume;
  for (std::size_t at = 0; (at = name.find('/', at)) != std::string::npos; at += 3) name.replace(at, 1, "%2F");
  return request.volumes + "/" + name + ".cmv";
}

// A fresh volume's root is user 0's; a service of an ordinary user could not write into it.
Result<void> give_to_service(HostStore& store, const SystemClock& clock, const volume::VolumeKey& key) {
  if (geteuid() == 0) return {};
  const auto volume = CASEMATE_TRY(volume::Volume::mount(store, clock, key, volume::MountOptions{}));
  volume::AttributeChange change;
  change.uid = geteuid();
  change.gid = getegid();
  if (auto changed = volume->set_attributes(volume::kRootInode, change); !changed) return changed.error();
  return volume->close();
}

Result<void> make_volume(const std::string& path, const volume::VolumeKey& key) {
  HostStoreOptions options;
  options.access = StoreAccess::kCreateNew;
  const auto store = CASEMATE_TRY(HostStore::open(path, options));
  const SystemClock clock;
  Result<void> made = volume::Volume::create(*store, clock, key, {});
  if (made) made = give_to_service(*store, clock, key);
  if (!made) unlink(path.c_str());
  return made;
}

Result<RegionDescription> granted_volume(const protocol::GrantedVolume& granted, const protocol::StartRequest& request,
                                         const std::shared_ptr<PositionReporter>& reporter) {
  auto access = std::make_shared<GrantedAccess>();
  access->key = volume::VolumeKey(granted.key);
  std::optional<volume::Position> known;
  if (!granted.is_new) known = volume::Position{granted.tag.epoch, granted.tag.sequence, granted.tag.chain_tag};
  access->anchor = std::make_shared<CasAnchor>(reporter, granted.name, known, granted.cas_loss);
  RegionDescription region;
  region.kind = RegionKind::kEncrypted;
  region.path = granted.path;
  region.volume = volume_path(request, granted.name);
  const bool exists = ::access(region.volume.c_str(), F_OK) == 0;
  if (!exists && !granted.is_new) {
    return Error(ErrorCategory::kUsage, "volume '" + granted.name + "': " + region.volume +
                                            " is missing, but the CAS knows it: put the file back, or remove the "
                                            "volume from the session if its contents are lost");
  }
  if (!exists) {
    if (auto made = make_volume(region.volume, access->key); !made) return made.error().with_context(region.volume);
  }
  region.granted = access;
  const Freshness freshness[] = {Freshness::kStrict, Freshness::kBounded, Freshness::kLocal};
  region.freshness = freshness[static_cast<std::size_t>(granted.freshness)];
  region.bound_milliseconds = granted.bound_milliseconds;
  return region;
}

}  // namespace

Result<RunDescription> describe_service(const protocol::Configuration& configuration,
                                        const protocol::StartRequest& request,
                                        const std::shared_ptr<PositionReporter>& reporter) {
  RunDescription description;
  for (const auto& region : configuration.regions) description.regions.push_back(named_region(region, request));
  for (const auto& digest : configuration.digests) description.regions.push_back(CASEMATE_TRY(listed_file(digest)));
  for (const auto& file : configuration.files) description.regions.push_back(injected_file(file));
  for (const auto& volume : configuration.volumes) {
    description.regions.push_back(CASEMATE_TRY(granted_volume(volume, request, reporter)));
  }
  return description;
}

}  // namespace casemate::keeper
