// Files of the description whose contents change while the application runs: secrets that the CAS renewed.
#include "keeper/service.h"

namespace casemate::keeper {

Result<void> Service::replace_file(Region& region, std::string_view contents) {
  const ExclusiveLock lock(names_);
  volume::Volume& volume = *region.volume;
  const volume::Attributes old = CASEMATE_TRY(volume.attributes(region.root));
  const std::string name = region.path.substr(region.path.rfind('/') + 1);
  const std::string fresh_name = name + "\n";  // beside it, for a moment; nobody sees the directory
  volume::NodeSpecification specification;
  specification.mode = old.mode;
  specification.uid = old.uid;
  specification.gid = old.gid;
  const volume::Attributes fresh = CASEMATE_TRY(volume.create_node(volume::kRootInode, fresh_name, specification));
  Result<void> written = volume.write(fresh.inode, 0, std::as_bytes(std::span(contents)));
  if (!written) {
    static_cast<void>(volume.unlink(volume::kRootInode, fresh_name).has_value());
    static_cast<void>(volume.release_orphan(fresh.inode).has_value());
    return written;
  }
  const auto replaced = CASEMATE_TRY(
      volume.rename(volume::kRootInode, fresh_name, volume::kRootInode, name, volume::RenameMode::kReplace));
  region.root = fresh.inode;
  if (replaced) name_gone(region, *replaced);
  answers_.structure_changed();  // a path leads elsewhere now
  return {};
}

}  // namespace casemate::keeper
