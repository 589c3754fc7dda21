// A Volume that lives in this process' memory only: ephemeral regions, injected files, the skeleton of directories that
// lead to mount points, and the trees of authenticated regions. Tests use it in place of the encrypted engine.
//
// Nothing here is durable, so sync() and its kin have nothing to do. Contents are in plain text, as the page cache is:
// the memory of the process is protected or not by what the platform gives to all of it.
//
// Threads: as volume.h says; one mutex.
#pragma once

#include <cerrno>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "volume/volume.h"

namespace casemate::keeper {

class MemoryVolume : public volume::Volume {
 public:
  struct Options {
    std::uint64_t capacity = 0;  // bytes of data it takes; at most
    std::uint32_t root_mode = 0755, root_uid = 0, root_gid = 0;
  };
  MemoryVolume(const volume::Clock& clock, const Options& options);
  ~MemoryVolume() override;

  Result<volume::Attributes> lookup(volume::InodeNumber directory, std::string_view name) override;
  Result<volume::Attributes> create_node(volume::InodeNumber directory, std::string_view name,
                                         const volume::NodeSpecification& specification) override;
  Result<volume::Attributes> create_orphan(const volume::NodeSpecification& specification) override;
  Result<void> link(volume::InodeNumber inode, volume::InodeNumber directory, std::string_view name) override;
  Result<volume::Attributes> unlink(volume::InodeNumber directory, std::string_view name) override;
  Result<volume::Attributes> remove_directory(volume::InodeNumber directory, std::string_view name) override;
  Result<std::optional<volume::Attributes>> rename(volume::InodeNumber from_directory, std::string_view from_name,
                                                   volume::InodeNumber to_directory, std::string_view to_name,
                                                   volume::RenameMode mode) override;
  Result<void> release_orphan(volume::InodeNumber inode) override;
  Result<std::vector<volume::DirectoryEntry>> read_directory(volume::InodeNumber directory, std::uint64_t cookie,
                                                             std::size_t maximum_count) override;
  Result<std::string> read_link(volume::InodeNumber inode) override;
  Result<volume::InodeNumber> parent(volume::InodeNumber directory) override;
  Result<std::string> name_in_parent(volume::InodeNumber directory) override;

  Result<volume::Attributes> attributes(volume::InodeNumber inode) override;
  Result<volume::Attributes> set_attributes(volume::InodeNumber inode, const volume::AttributeChange& change) override;
  Result<std::vector<std::byte>> extended_attribute(volume::InodeNumber inode, std::string_view name) override;
  Result<void> set_extended_attribute(volume::InodeNumber inode, std::string_view name,
                                      std::span<const std::byte> value, int flags) override;
  Result<void> remove_extended_attribute(volume::InodeNumber inode, std::string_view name) override;
  Result<std::vector<std::string>> extended_attribute_names(volume::InodeNumber inode) override;

  Result<std::size_t> read(volume::InodeNumber inode, std::uint64_t offset, std::span<std::byte> out) override;
  Result<void> write(volume::InodeNumber inode, std::uint64_t offset, std::span<const std::byte> data) override;
  Result<void> punch_hole(volume::InodeNumber inode, std::uint64_t offset, std::uint64_t size) override;
  Result<void> allocate(volume::InodeNumber inode, std::uint64_t offset, std::uint64_t size,
                        volume::AllocateMode mode) override;
  Result<void> collapse_range(volume::InodeNumber inode, std::uint64_t offset, std::uint64_t size) override;
  Result<void> insert_range(volume::InodeNumber inode, std::uint64_t offset, std::uint64_t size) override;
  Result<std::uint64_t> seek(volume::InodeNumber inode, std::uint64_t offset, volume::SeekTarget target) override;

  Result<volume::Position> sync() override { return volume::Position{}; }
  volume::Position position() const override { return {}; }
  void acknowledge(const volume::Position&) override {}
  Result<void> checkpoint() override { return {}; }
  bool wants_checkpoint() const override { return false; }
  Result<void> close() override { return {}; }

  Result<volume::Statistics> statistics() override;
  volume::Information information() const override { return {}; }

  Result<volume::VerifyReport> verify(const std::function<void(std::uint64_t, std::uint64_t)>& progress) override;
  Result<std::array<std::byte, 32>> seal() override;
  Result<void> grow(std::uint64_t maximum_size) override;
  Result<std::uint64_t> compact(const std::function<void(std::uint64_t, std::uint64_t)>& progress) override;

 protected:
  // For trees whose contents are elsewhere (AuthenticatedTree): what attributes() shows as size.
  void set_size(volume::InodeNumber inode, std::uint64_t size);

 private:
  struct Page;
  struct Node;
  struct Entry {
    volume::InodeNumber inode;
    std::uint64_t cookie;
  };

  Node* find(volume::InodeNumber inode);
  Result<Node*> find_directory(volume::InodeNumber inode);
  Result<Node*> find_regular(volume::InodeNumber inode);
  Result<Entry> find_entry(Node& directory, std::string_view name);
  Result<void> check_new_name(Node& directory, std::string_view name);
  Node& add_node(const volume::NodeSpecification& specification);
  void add_entry(Node& directory, std::string_view name, Node& node);
  void remove_entry(Node& directory, std::string_view name);
  bool is_below(volume::InodeNumber directory, volume::InodeNumber ancestor);
  Result<void> check_replacement(Node& moved, Node& replaced);
  Result<std::optional<volume::Attributes>> exchange(Node& from, std::string_view from_name, Node& to,
                                                     std::string_view to_name);
  void drop_pages(Node& node, std::uint64_t first_page, std::uint64_t end_page);
  void cut(Node& node, std::uint64_t size);
  void touch(Node& node);

  mutable std::mutex mutex_;
  const volume::Clock& clock_;
  std::uint64_t capacity_pages_;
  std::uint64_t used_pages_ = 0;
  volume::InodeNumber next_inode_ = volume::kRootInode;
  std::uint64_t next_cookie_ = 1;
  std::unordered_map<volume::InodeNumber, std::unique_ptr<Node>> nodes_;
};

}  // namespace casemate::keeper
