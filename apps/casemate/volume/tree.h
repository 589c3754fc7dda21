// A tree of files to read, wherever it is: a directory of the host or a volume. Import, export and diff are written
// against this, so that they treat both alike.
//
// What a hostile host can do here -> what we answer
//   exchange a file for a link or another type while we look -> every node is opened once, without following links, and
//                                                             only that descriptor is asked from then on
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "volume/volume.h"

namespace casemate::volume_tool {

struct ExtendedAttribute {
  std::string name;
  std::vector<std::byte> value;
  friend bool operator==(const ExtendedAttribute&, const ExtendedAttribute&) = default;
};

struct DataRange {
  std::uint64_t begin = 0, end = 0;
};

// Names one inode within its tree, so that hard links are recognised.
struct NodeIdentity {
  std::uint64_t device = 0, inode = 0;
  friend auto operator<=>(const NodeIdentity&, const NodeIdentity&) = default;
};

// One node. Symbolic links are nodes themselves and are never followed. Threads: one at a time.
class TreeNode {
 public:
  virtual ~TreeNode() = default;
  // As of when the node was opened. `inode` and `allocated_size` mean nothing outside of the tree.
  const volume::Attributes& attributes() const { return attributes_; }
  std::uint32_t type() const;
  NodeIdentity identity() const { return {file_system_, attributes_.inode}; }

  // Of a directory: sorted names without "." and "..".
  virtual Result<std::vector<std::string>> child_names() = 0;
  virtual Result<std::unique_ptr<TreeNode>> child(const std::string& name) = 0;
  virtual Result<std::string> link_target() = 0;
  // Of a regular file. Less than out.size() only at the end of the file.
  virtual Result<std::size_t> read(std::uint64_t offset, std::span<std::byte> out) = 0;
  // The first data at or behind `offset`; nullopt when only a hole follows.
  virtual Result<std::optional<DataRange>> next_data(std::uint64_t offset) = 0;
  // Sorted by name.
  virtual Result<std::vector<ExtendedAttribute>> extended_attributes() = 0;

 protected:
  volume::Attributes attributes_;
  std::uint64_t file_system_ = 0;
};

// `path` may be a link to a directory; it must be a directory. Errors: kSystem with the path.
Result<std::unique_ptr<TreeNode>> open_host_tree(const std::string& path);

// The node `inode` of `volume`, which must outlive it.
Result<std::unique_ptr<TreeNode>> open_volume_tree(volume::Volume& volume, volume::InodeNumber inode);

enum class FinalLink { kFollow, kKeep };

// Finds `path` in a volume as the kernel would with the volume's root as "/". Errors: ENOENT, ENOTDIR, ELOOP, with the
// path.
Result<volume::InodeNumber> find_in_volume(volume::Volume& volume, const std::string& path, FinalLink final_link);

// As find_in_volume, and makes the directories that are missing (mode 0755, owner root).
Result<volume::InodeNumber> make_directories(volume::Volume& volume, const std::string& path);

}  // namespace casemate::volume_tool
