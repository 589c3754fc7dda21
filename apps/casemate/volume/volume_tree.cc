#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <string_view>

#include "casemate/volume/text.h"
#include "casemate/volume/tree.h"

namespace casemate::volume_tool {
namespace {

using volume::InodeNumber;

constexpr std::size_t kEntriesAtOnce = 1024;
constexpr int kMaximumLinks = 40;  // as the kernel's

class VolumeNode : public TreeNode {
 public:
  VolumeNode(volume::Volume& volume, const volume::Attributes& attributes) : volume_(volume) {
    attributes_ = attributes;
  }

  Result<std::vector<std::string>> child_names() override {
    std::vector<std::string> names;
    std::uint64_t cookie = 0;
    while (true) {
      const auto entries = CASEMATE_TRY(volume_.read_directory(attributes_.inode, cookie, kEntriesAtOnce));
      if (entries.empty()) break;
      for (const volume::DirectoryEntry& entry : entries) names.push_back(entry.name);
      cookie = entries.back().cookie;
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  Result<std::unique_ptr<TreeNode>> child(const std::string& name) override {
    const volume::Attributes found = CASEMATE_TRY(volume_.lookup(attributes_.inode, name));
    return std::unique_ptr<TreeNode>(std::make_unique<VolumeNode>(volume_, found));
  }

  Result<std::string> link_target() override { return volume_.read_link(attributes_.inode); }

  Result<std::size_t> read(std::uint64_t offset, std::span<std::byte> out) override {
    return volume_.read(attributes_.inode, offset, out);
  }

  Result<std::optional<DataRange>> next_data(std::uint64_t offset) override {
    const auto begin = volume_.seek(attributes_.inode, offset, volume::SeekTarget::kData);
    if (!begin.has_value() && begin.error().system_code() == ENXIO) return std::optional<DataRange>();
    if (!begin.has_value()) return begin.error();
    const std::uint64_t end = CASEMATE_TRY(volume_.seek(attributes_.inode, begin.value(), volume::SeekTarget::kHole));
    return std::optional<DataRange>({begin.value(), end});
  }

  Result<std::vector<ExtendedAttribute>> extended_attributes() override {
    std::vector<ExtendedAttribute> attributes;
    for (const std::string& name : CASEMATE_TRY(volume_.extended_attribute_names(attributes_.inode))) {
      attributes.push_back({name, CASEMATE_TRY(volume_.extended_attribute(attributes_.inode, name))});
    }
    std::sort(attributes.begin(), attributes.end(),
              [](const auto& left, const auto& right) { return left.name < right.name; });
    return attributes;
  }

 private:
  volume::Volume& volume_;
};

std::vector<std::string> components_of(std::string_view path) {
  std::vector<std::string> components;
  while (!path.empty()) {
    const std::size_t slash = std::min(path.find('/'), path.size());
    if (slash > 0 && path.substr(0, slash) != ".") components.emplace_back(path.substr(0, slash));
    path.remove_prefix(std::min(slash + 1, path.size()));
  }
  return components;
}

enum class Missing { kIsAnError, kIsMade };

// Walks one path. Links put their target's components in front of what is left.
class PathWalk {
 public:
  PathWalk(volume::Volume& volume, const std::string& path, FinalLink final_link, Missing missing)
      : volume_(volume), path_(path), final_link_(final_link), missing_(missing) {
    const auto components = components_of(path);
    left_.assign(components.begin(), components.end());
  }

  Result<InodeNumber> walk() {
    while (!left_.empty()) {
      const std::string name = std::move(left_.front());
      left_.pop_front();
      if (auto stepped = step(name); !stepped.has_value()) {
        return stepped.error().with_context(printable(path_) + " in the volume");
      }
    }
    return at_;
  }

 private:
  Result<void> step(const std::string& name) {
    const volume::Attributes here = CASEMATE_TRY(volume_.attributes(at_));
    if ((here.mode & S_IFMT) != S_IFDIR) return Error(ErrorCategory::kNotFound, "is below no directory", ENOTDIR);
    if (name == "..") {
      at_ = CASEMATE_TRY(volume_.parent(at_));
      return {};
    }
    const auto found = volume_.lookup(at_, name);
    if (!found.has_value()) return miss(name, found.error());
    if ((found.value().mode & S_IFMT) == S_IFLNK && (!left_.empty() || final_link_ == FinalLink::kFollow)) {
      return follow(found.value().inode);
    }
    at_ = found.value().inode;
    return {};
  }

  Result<void> follow(InodeNumber link) {
    if (++links_ > kMaximumLinks) return Error(ErrorCategory::kNotFound, "too many symbolic links", ELOOP);
    const std::string target = CASEMATE_TRY(volume_.read_link(link));
    const auto components = components_of(target);
    left_.insert(left_.begin(), components.begin(), components.end());
    if (target.starts_with('/')) at_ = volume::kRootInode;
    return {};
  }

  Result<void> miss(const std::string& name, const Error& error) {
    if (error.system_code() != ENOENT) return error;
    if (missing_ == Missing::kIsAnError) return Error(ErrorCategory::kNotFound, "does not exist", ENOENT);
    at_ = CASEMATE_TRY(volume_.create_node(at_, name, {.mode = S_IFDIR | 0755, .target = {}})).inode;
    return {};
  }

  volume::Volume& volume_;
  const std::string& path_;
  FinalLink final_link_;
  Missing missing_;
  std::deque<std::string> left_;
  InodeNumber at_ = volume::kRootInode;
  int links_ = 0;
};

}  // namespace

Result<std::unique_ptr<TreeNode>> open_volume_tree(volume::Volume& volume, InodeNumber inode) {
  return std::unique_ptr<TreeNode>(std::make_unique<VolumeNode>(volume, CASEMATE_TRY(volume.attributes(inode))));
}

Result<InodeNumber> find_in_volume(volume::Volume& volume, const std::string& path, FinalLink final_link) {
  return PathWalk(volume, path, final_link, Missing::kIsAnError).walk();
}

Result<InodeNumber> make_directories(volume::Volume& volume, const std::string& path) {
  const InodeNumber inode = CASEMATE_TRY(PathWalk(volume, path, FinalLink::kFollow, Missing::kIsMade).walk());
  const volume::Attributes made = CASEMATE_TRY(volume.attributes(inode));
  if ((made.mode & S_IFMT) == S_IFDIR) return inode;
  return Error(ErrorCategory::kNotFound, printable(path) + " in the volume: is no directory", ENOTDIR);
}

}  // namespace casemate::volume_tool
