// A file system in memory that answers the calls of Volume as the interface promises, without any of the engine's code:
// the other opinion in the model test. Times are left at zero.
#pragma once

#include <map>
#include <set>

#include "volume/codec.h"
#include "volume/volume.h"

namespace casemate::volume::testing {

class Model final : public Volume {
 public:
  Model();

  Result<Attributes> lookup(InodeNumber directory, std::string_view name) override;
  Result<Attributes> create_node(InodeNumber directory, std::string_view name, const NodeSpecification&) override;
  Result<Attributes> create_orphan(const NodeSpecification&) override;
  Result<void> link(InodeNumber inode, InodeNumber directory, std::string_view name) override;
  Result<Attributes> unlink(InodeNumber directory, std::string_view name) override;
  Result<Attributes> remove_directory(InodeNumber directory, std::string_view name) override;
  Result<std::optional<Attributes>> rename(InodeNumber from_directory, std::string_view from_name,
                                           InodeNumber to_directory, std::string_view to_name, RenameMode) override;
  Result<void> release_orphan(InodeNumber inode) override;
  // All entries at once: cookies are the engine's business.
  Result<std::vector<DirectoryEntry>> read_directory(InodeNumber directory, std::uint64_t cookie,
                                                     std::size_t maximum_count) override;
  Result<std::string> read_link(InodeNumber inode) override;
  Result<InodeNumber> parent(InodeNumber directory) override;
  Result<std::string> name_in_parent(InodeNumber directory) override;
  Result<Attributes> attributes(InodeNumber inode) override;
  Result<Attributes> set_attributes(InodeNumber inode, const AttributeChange&) override;
  Result<Bytes> extended_attribute(InodeNumber inode, std::string_view name) override;
  Result<void> set_extended_attribute(InodeNumber inode, std::string_view name, ByteView value, int flags) override;
  Result<void> remove_extended_attribute(InodeNumber inode, std::string_view name) override;
  Result<std::vector<std::string>> extended_attribute_names(InodeNumber inode) override;
  Result<std::size_t> read(InodeNumber inode, std::uint64_t offset, std::span<std::byte> out) override;
  Result<void> write(InodeNumber inode, std::uint64_t offset, ByteView data) override;
  Result<void> punch_hole(InodeNumber inode, std::uint64_t offset, std::uint64_t size) override;
  Result<void> allocate(InodeNumber inode, std::uint64_t offset, std::uint64_t size, AllocateMode) override;
  Result<void> collapse_range(InodeNumber inode, std::uint64_t offset, std::uint64_t size) override;
  Result<void> insert_range(InodeNumber inode, std::uint64_t offset, std::uint64_t size) override;
  Result<std::uint64_t> seek(InodeNumber inode, std::uint64_t offset, SeekTarget) override;
  // What a mount does.
  void sweep_orphans();

  // Nothing to make durable here.
  Result<Position> sync() override { return Position{}; }
  Position position() const override { return {}; }
  void acknowledge(const Position&) override {}
  Result<void> checkpoint() override { return {}; }
  bool wants_checkpoint() const override { return false; }
  Result<void> close() override { return {}; }
  Result<Statistics> statistics() override { return Statistics{0, 0, nodes_.size()}; }
  Information information() const override { return {}; }
  Result<VerifyReport> verify(const std::function<void(std::uint64_t, std::uint64_t)>&) override {
    return VerifyReport{};
  }
  Result<std::array<std::byte, 32>> seal() override { return std::array<std::byte, 32>{}; }
  Result<void> grow(std::uint64_t) override { return {}; }
  Result<std::uint64_t> compact(const std::function<void(std::uint64_t, std::uint64_t)>&) override {
    return std::uint64_t{0};
  }

 private:
  struct Node {
    std::uint32_t mode = 0, uid = 0, gid = 0, links = 0;
    std::uint64_t device = 0, size = 0;
    std::string target;
    Bytes contents;                          // as long as size
    std::set<std::uint64_t> data, reserved;  // pages
    std::map<std::string, InodeNumber, std::less<>> entries;
    std::map<std::string, Bytes, std::less<>> extended;
    InodeNumber parent = 0;
  };

  Result<Node*> node(InodeNumber inode);
  Result<Node*> directory(InodeNumber inode);
  Result<Node*> file(InodeNumber inode);
  Result<InodeNumber> entry(InodeNumber in_directory, std::string_view name);
  Attributes describe(InodeNumber inode) const;
  Result<InodeNumber> make(const NodeSpecification& specification);
  Attributes drop_name(InodeNumber above, std::string_view name);
  bool is_inside(InodeNumber inode, InodeNumber above) const;
  static void resize(Node& node, std::uint64_t size);
  static void clear_pages(Node& node, std::uint64_t first, std::uint64_t end);
  static void move_pages(Node& node, std::uint64_t from, std::uint64_t to, std::uint64_t count);

  std::map<InodeNumber, Node> nodes_;
  InodeNumber next_ = kRootInode + 1;
};

}  // namespace casemate::volume::testing
