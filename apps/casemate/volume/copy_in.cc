#include "casemate/volume/copy_in.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <map>
#include <vector>

#include "casemate/volume/attempt.h"
#include "casemate/volume/text.h"

namespace casemate::volume_tool {
namespace {

using volume::Attributes;
using volume::InodeNumber;

constexpr std::uint64_t kCommitBytes = std::uint64_t{64} << 20;
constexpr std::uint64_t kCommitNodes = 4096;

// Refusals that concern one node, not the volume: the import goes on without it.
bool concerns_one_node(const Error& error) {
  constexpr int kCodes[] = {ENAMETOOLONG, EFBIG, E2BIG, ERANGE, EINVAL, EOPNOTSUPP, EMLINK, EISDIR, ENOTDIR, EEXIST};
  return std::find(std::begin(kCodes), std::end(kCodes), error.system_code()) != std::end(kCodes);
}

class CopyIn {
 public:
  CopyIn(OpenedVolume& volume, MountBorders borders, Progress& progress, Complaints& complaints)
      : opened_(volume),
        volume_(volume.engine()),
        borders_(borders),
        progress_(progress),
        complaints_(complaints),
        piece_(kPieceSize) {}

  Result<void> copy_root(TreeNode& source, InodeNumber target) {
    root_device_ = source.identity().device;
    CASEMATE_ATTEMPT(copy_children(source, target, ""));
    return finish(source, target, ".");
  }

 private:
  Result<void> copy_children(TreeNode& source, InodeNumber target, const std::string& path) {
    const auto names = source.child_names();
    if (!names.has_value()) return complain(path, names.error());
    for (const std::string& name : names.value()) {
      const std::string child_path = path.empty() ? name : path + "/" + name;
      auto child = source.child(name);
      if (!child.has_value()) {
        complaints_.add(child_path, child.error());
        continue;
      }
      CASEMATE_ATTEMPT(copy_node(*child.value(), target, name, child_path));
      CASEMATE_ATTEMPT(commit_now_and_then());
    }
    return {};
  }

  Result<void> copy_node(TreeNode& source, InodeNumber directory, const std::string& name, const std::string& path) {
    if (source.identity() == opened_.identity()) {
      return complain(path, Error(ErrorCategory::kUsage, "is the volume itself; left out"));
    }
    progress_.add_file();
    progress_.tick();
    const auto made = make_node(source, directory, name);
    if (!made.has_value()) return judge(path, made.error());
    if (!made.value().has_value()) return {};  // a further name of a file that is there already
    const InodeNumber inode = *made.value();
    if (source.type() == S_IFREG) {
      // A file that cannot be read to its end must not look as if it had been.
      const auto copied = copy_data(source, inode);
      if (!copied.has_value()) return copied.error();
      if (copied.value().has_value()) {
        CASEMATE_ATTEMPT(remove(directory, name));
        return complain(path, *copied.value());
      }
    }
    if (source.type() == S_IFDIR && may_enter(source)) CASEMATE_ATTEMPT(copy_children(source, inode, path));
    if (source.type() != S_IFDIR && source.attributes().link_count > 1) known_[source.identity()] = inode;
    return finish(source, inode, path);
  }

  bool may_enter(const TreeNode& source) const {
    return borders_ == MountBorders::kCross || source.identity().device == root_device_;
  }

  // The new or merged inode; nullopt when a hard link was all there was to do.
  Result<std::optional<InodeNumber>> make_node(TreeNode& source, InodeNumber directory, const std::string& name) {
    const auto existing = volume_.lookup(directory, name);
    if (!existing.has_value() && existing.error().system_code() != ENOENT) return existing.error();
    if (existing.has_value() && (existing.value().mode & S_IFMT) == S_IFDIR) {
      if (source.type() == S_IFDIR) return std::optional<InodeNumber>(existing.value().inode);
      return Error(ErrorCategory::kUsage, "is a directory in the volume already", EISDIR);
    }
    const Attributes& wanted = source.attributes();
    volume::NodeSpecification specification{
        .mode = wanted.mode, .uid = wanted.uid, .gid = wanted.gid, .device = wanted.device, .target = {}};
    if (source.type() == S_IFLNK) specification.target = CASEMATE_TRY(source.link_target());
    if (existing.has_value()) CASEMATE_ATTEMPT(remove(directory, name));
    const auto known = known_.find(source.identity());
    if (source.type() != S_IFDIR && wanted.link_count > 1 && known != known_.end()) {
      CASEMATE_ATTEMPT(volume_.link(known->second, directory, name));
      return std::optional<InodeNumber>();
    }
    return std::optional<InodeNumber>(CASEMATE_TRY(volume_.create_node(directory, name, specification)).inode);
  }

  Result<void> remove(InodeNumber directory, const std::string& name) {
    const Attributes left = CASEMATE_TRY(volume_.unlink(directory, name));
    if (left.link_count > 0) return {};
    std::erase_if(known_, [&](const auto& entry) { return entry.second == left.inode; });
    return volume_.release_orphan(left.inode);
  }

  // Error: of the volume. A value: why the source could not be read.
  Result<std::optional<Error>> copy_data(TreeNode& source, InodeNumber inode) {
    std::uint64_t offset = 0;
    while (true) {
      const auto range = source.next_data(offset);
      if (!range.has_value()) return std::optional<Error>(range.error());
      if (!range.value().has_value()) break;
      offset = range.value()->begin / volume::kPageSize * volume::kPageSize;
      while (offset < range.value()->end) {
        const std::uint64_t left = range.value()->end - offset;  // what follows is a hole and stays one
        const auto size = source.read(offset, std::span(piece_).first(std::min<std::uint64_t>(piece_.size(), left)));
        if (!size.has_value()) return std::optional<Error>(size.error());
        if (size.value() == 0) return std::optional<Error>();  // it became shorter meanwhile
        CASEMATE_ATTEMPT(volume_.write(inode, offset, std::span(piece_).first(size.value())));
        offset += size.value();
        progress_.add_bytes(size.value());
        progress_.tick();
        CASEMATE_ATTEMPT(commit_now_and_then());
      }
    }
    if (offset < source.attributes().size) {
      volume::AttributeChange longer;
      longer.size = source.attributes().size;
      CASEMATE_TRY(volume_.set_attributes(inode, longer));
    }
    return std::optional<Error>();
  }

  // What comes last, because what came before changes it.
  Result<void> finish(TreeNode& source, InodeNumber inode, const std::string& path) {
    const auto extended = source.extended_attributes();
    if (!extended.has_value()) CASEMATE_ATTEMPT(complain(path, extended.error()));
    if (extended.has_value()) {
      for (const ExtendedAttribute& attribute : extended.value()) {
        const auto set = volume_.set_extended_attribute(inode, attribute.name, attribute.value, 0);
        if (!set.has_value()) CASEMATE_ATTEMPT(judge(path, set.error().with_context(printable(attribute.name))));
      }
    }
    const Attributes& wanted = source.attributes();
    volume::AttributeChange change;
    if (source.type() != S_IFLNK) change.permissions = wanted.mode & 07777U;
    change.uid = wanted.uid;
    change.gid = wanted.gid;
    change.access_time = wanted.access_time;
    change.modify_time = wanted.modify_time;
    CASEMATE_TRY(volume_.set_attributes(inode, change));
    ++nodes_since_commit_;
    return {};
  }

  Result<void> commit_now_and_then() {
    if (progress_.bytes() - bytes_at_commit_ < kCommitBytes && nodes_since_commit_ < kCommitNodes) return {};
    bytes_at_commit_ = progress_.bytes();
    nodes_since_commit_ = 0;
    return opened_.commit();
  }

  Result<void> judge(const std::string& path, const Error& error) {
    if (!concerns_one_node(error)) return error.with_context(printable(path));
    return complain(path, error);
  }

  Result<void> complain(const std::string& path, const Error& error) {
    complaints_.add(path, error);
    return {};
  }

  OpenedVolume& opened_;
  volume::Volume& volume_;
  MountBorders borders_;
  Progress& progress_;
  Complaints& complaints_;
  std::vector<std::byte> piece_;
  std::map<NodeIdentity, InodeNumber> known_;  // files with several names, by their place on the host
  std::uint64_t root_device_ = 0, bytes_at_commit_ = 0, nodes_since_commit_ = 0;
};

}  // namespace

Result<void> copy_in(OpenedVolume& volume, InodeNumber target, TreeNode& source, MountBorders borders,
                     Progress& progress, Complaints& complaints) {
  return CopyIn(volume, borders, progress, complaints).copy_root(source, target);
}

}  // namespace casemate::volume_tool
