// A copy of a volume under another key, made through the interface that programs use: nothing of the old volume's
// ciphertext, ids or chain is in the copy.
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <unordered_map>

#include "volume/check.h"
#include "volume/errors.h"
#include "volume/volume.h"

namespace casemate::volume {
namespace {

constexpr std::size_t kPieceSize = std::size_t{1} << 20;
constexpr std::size_t kEntriesAtOnce = 256;

class Copy {
 public:
  Copy(Volume& from, Volume& to, const std::function<void(std::uint64_t, std::uint64_t)>& progress)
      : from_(from), to_(to), progress_(progress) {}

  Result<void> run() {
    const Statistics statistics = CASEMATE_TRY(from_.statistics());
    total_ = statistics.capacity_bytes - statistics.free_bytes;
    numbers_[kRootInode] = kRootInode;
    // Directories whose entries are still to be copied: no recursion, names may be nested deeply.
    std::vector<InodeNumber> waiting{kRootInode};
    std::vector<InodeNumber> directories;
    while (!waiting.empty()) {
      const InodeNumber directory = waiting.back();
      waiting.pop_back();
      directories.push_back(directory);
      VOLUME_CHECK(copy_entries(directory, waiting));
    }
    // Last, because making entries changes the times of directories.
    for (const InodeNumber directory : directories) VOLUME_CHECK(copy_attributes(directory, numbers_[directory]));
    return {};
  }

 private:
  Result<void> copy_entries(InodeNumber directory, std::vector<InodeNumber>& waiting) {
    for (std::uint64_t cookie = 0;;) {
      const std::vector<DirectoryEntry> entries = CASEMATE_TRY(from_.read_directory(directory, cookie, kEntriesAtOnce));
      if (entries.empty()) return {};
      cookie = entries.back().cookie;
      for (const DirectoryEntry& entry : entries) {
        VOLUME_CHECK(copy_entry(directory, entry));
        if (S_ISDIR(entry.type)) waiting.push_back(entry.inode);
      }
    }
  }

  Result<void> copy_entry(InodeNumber directory, const DirectoryEntry& entry) {
    const InodeNumber parent = numbers_[directory];
    if (const auto known = numbers_.find(entry.inode); known != numbers_.end()) {
      return to_.link(known->second, parent, entry.name);
    }
    const Attributes attributes = CASEMATE_TRY(from_.attributes(entry.inode));
    NodeSpecification specification{attributes.mode, attributes.uid, attributes.gid, attributes.device, {}};
    if (S_ISLNK(attributes.mode)) specification.target = CASEMATE_TRY(from_.read_link(entry.inode));
    const InodeNumber number = CASEMATE_TRY(to_.create_node(parent, entry.name, specification)).inode;
    numbers_[entry.inode] = number;
    if (S_ISREG(attributes.mode)) VOLUME_CHECK(copy_contents(attributes, number));
    return S_ISDIR(attributes.mode) ? Result<void>() : copy_attributes(entry.inode, number);
  }

  Result<void> copy_contents(const Attributes& attributes, InodeNumber number) {
    std::vector<std::byte> piece;
    for (std::uint64_t offset = 0; offset < attributes.size;) {
      const Result<std::uint64_t> data = from_.seek(attributes.inode, offset, SeekTarget::kData);
      if (!data && data.error().system_code() == ENXIO) break;
      if (!data) return data.error();
      const std::uint64_t end = CASEMATE_TRY(from_.seek(attributes.inode, data.value(), SeekTarget::kHole));
      for (offset = data.value(); offset < end;) {
        piece.resize(std::min<std::uint64_t>(kPieceSize, end - offset));
        const std::size_t size = CASEMATE_TRY(from_.read(attributes.inode, offset, piece));
        VOLUME_CHECK(to_.write(number, offset, std::span(piece).first(size)));
        offset += piece.size();
        done_ += size;
        if (progress_) progress_(std::min(done_, total_), total_);
      }
    }
    AttributeChange change;
    change.size = attributes.size;
    const Result<Attributes> sized = to_.set_attributes(number, change);
    return sized ? Result<void>() : Result<void>(sized.error());
  }

  Result<void> copy_attributes(InodeNumber from, InodeNumber to) {
    for (const std::string& name : CASEMATE_TRY(from_.extended_attribute_names(from))) {
      const std::vector<std::byte> value = CASEMATE_TRY(from_.extended_attribute(from, name));
      VOLUME_CHECK(to_.set_extended_attribute(to, name, value, 0));
    }
    const Attributes attributes = CASEMATE_TRY(from_.attributes(from));
    AttributeChange change;
    change.permissions = attributes.mode & 07777;
    change.uid = attributes.uid;
    change.gid = attributes.gid;
    change.access_time = attributes.access_time;
    change.modify_time = attributes.modify_time;
    change.change_time = attributes.change_time;
    const Result<Attributes> changed = to_.set_attributes(to, change);
    return changed ? Result<void>() : Result<void>(changed.error());
  }

  Volume& from_;
  Volume& to_;
  const std::function<void(std::uint64_t, std::uint64_t)>& progress_;
  std::unordered_map<InodeNumber, InodeNumber> numbers_;
  std::uint64_t done_ = 0, total_ = 0;
};

}  // namespace

Result<void> rekey(Volume& from, ByteStore& to, const Clock& clock, const VolumeKey& new_key,
                   const CreateOptions& options, const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  VOLUME_CHECK(Volume::create(to, clock, new_key, options));
  const std::unique_ptr<Volume> copy = CASEMATE_TRY(Volume::mount(to, clock, new_key, MountOptions{}));
  VOLUME_CHECK(Copy(from, *copy, progress).run());
  return copy->close();
}

}  // namespace casemate::volume
