#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/unique_fd.h"
#include "casemate/volume/text.h"
#include "casemate/volume/tree.h"

namespace casemate::volume_tool {
namespace {

constexpr std::size_t kMaximumAttributeSize = 65536;  // XATTR_SIZE_MAX and XATTR_LIST_MAX of Linux

volume::Timestamp timestamp(const statx_timestamp& time) { return {time.tv_sec, time.tv_nsec}; }

// The name by which calls that take paths reach an open descriptor, also one opened with O_PATH.
std::string path_of(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

class HostNode : public TreeNode {
 public:
  static Result<std::unique_ptr<TreeNode>> open(int directory, const std::string& name, int link_flag) {
    auto node = std::make_unique<HostNode>();
    node->handle_.reset(openat(directory, name.c_str(), O_PATH | O_CLOEXEC | link_flag));
    if (!node->handle_.is_open()) return Error::from_errno("cannot be opened", errno);
    if (auto known = node->load_attributes(); !known.has_value()) return known.error();
    return std::unique_ptr<TreeNode>(std::move(node));
  }

  Result<std::vector<std::string>> child_names() override {
    if (auto ready = open_contents(O_DIRECTORY); !ready.has_value()) return ready.error();
    DIR* const stream = fdopendir(dup(contents_.get()));
    if (stream == nullptr) return Error::from_errno("cannot be listed", errno);
    rewinddir(stream);
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = readdir(stream)) {
      if (std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0) names.push_back(entry->d_name);
    }
    const int failure = errno;
    closedir(stream);
    if (failure != 0) return Error::from_errno("cannot be listed", failure);
    std::sort(names.begin(), names.end());
    return names;
  }

  Result<std::unique_ptr<TreeNode>> child(const std::string& name) override {
    return open(handle_.get(), name, O_NOFOLLOW);
  }

  Result<std::string> link_target() override {
    char target[4096];
    const ssize_t size = readlinkat(handle_.get(), "", target, sizeof(target));
    if (size < 0) return Error::from_errno("the link cannot be read", errno);
    return std::string(target, static_cast<std::size_t>(size));
  }

  Result<std::size_t> read(std::uint64_t offset, std::span<std::byte> out) override {
    if (auto ready = open_contents(0); !ready.has_value()) return ready.error();
    std::size_t done = 0;
    while (done < out.size()) {
      const ssize_t size =
          pread(contents_.get(), out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
      if (size < 0 && errno == EINTR) continue;
      if (size < 0) return Error::from_errno("cannot be read at offset " + std::to_string(offset + done), errno);
      if (size == 0) break;
      done += static_cast<std::size_t>(size);
    }
    return done;
  }

  Result<std::optional<DataRange>> next_data(std::uint64_t offset) override {
    if (auto ready = open_contents(0); !ready.has_value()) return ready.error();
    const off_t begin = lseek(contents_.get(), static_cast<off_t>(offset), SEEK_DATA);
    if (begin < 0 && errno == ENXIO) return std::optional<DataRange>();
    const off_t end = begin < 0 ? -1 : lseek(contents_.get(), begin, SEEK_HOLE);
    // File systems that cannot tell: everything is data.
    if (end < 0) return std::optional<DataRange>({offset, attributes_.size});
    return std::optional<DataRange>({static_cast<std::uint64_t>(begin), static_cast<std::uint64_t>(end)});
  }

  Result<std::vector<ExtendedAttribute>> extended_attributes() override {
    const std::string path = path_of(handle_.get());
    std::string list(kMaximumAttributeSize, '\0');
    const ssize_t size = listxattr(path.c_str(), list.data(), list.size());
    if (size < 0 && errno == ENOTSUP) return std::vector<ExtendedAttribute>();
    if (size < 0) return Error::from_errno("its extended attributes cannot be listed", errno);
    list.resize(static_cast<std::size_t>(size));
    std::vector<ExtendedAttribute> attributes;
    for (std::size_t at = 0; at < list.size(); at = list.find('\0', at) + 1) {
      ExtendedAttribute attribute{list.c_str() + at, std::vector<std::byte>(kMaximumAttributeSize)};
      const ssize_t length =
          getxattr(path.c_str(), attribute.name.c_str(), attribute.value.data(), attribute.value.size());
      if (length < 0 && errno == ENODATA) continue;
      if (length < 0) {
        return Error::from_errno("its extended attribute " + printable(attribute.name) + " cannot be read", errno);
      }
      attribute.value.resize(static_cast<std::size_t>(length));
      attributes.push_back(std::move(attribute));
    }
    std::sort(attributes.begin(), attributes.end(),
              [](const auto& left, const auto& right) { return left.name < right.name; });
    return attributes;
  }

 private:
  Result<void> load_attributes() {
    struct statx status = {};
    if (statx(handle_.get(), "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &status) != 0) {
      return Error::from_errno("its attributes cannot be read", errno);
    }
    attributes_ = {.inode = status.stx_ino,
                   .mode = status.stx_mode,
                   .uid = status.stx_uid,
                   .gid = status.stx_gid,
                   .link_count = status.stx_nlink,
                   .device = makedev(status.stx_rdev_major, status.stx_rdev_minor),
                   .size = status.stx_size,
                   .allocated_size = status.stx_blocks * 512,
                   .access_time = timestamp(status.stx_atime),
                   .modify_time = timestamp(status.stx_mtime),
                   .change_time = timestamp(status.stx_ctime),
                   .birth_time = timestamp(status.stx_btime)};
    file_system_ = makedev(status.stx_dev_major, status.stx_dev_minor);
    return {};
  }

  // The handle names the node only; this opens what it holds, once. Times of access stay where we may say so.
  Result<void> open_contents(int flags) {
    if (contents_.is_open()) return {};
    const std::string path = path_of(handle_.get());
    contents_.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOATIME | flags));
    if (!contents_.is_open() && errno == EPERM) contents_.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC | flags));
    if (!contents_.is_open()) return Error::from_errno("cannot be opened for reading", errno);
    return {};
  }

  UniqueFd handle_, contents_;
};

}  // namespace

std::uint32_t TreeNode::type() const { return attributes_.mode & S_IFMT; }

Result<std::unique_ptr<TreeNode>> open_host_tree(const std::string& path) {
  auto node = HostNode::open(AT_FDCWD, path, 0);
  if (!node.has_value()) return node.error().with_context(printable(path));
  if (node.value()->type() != S_IFDIR) {
    return Error(ErrorCategory::kNotFound, printable(path) + ": is no directory", ENOTDIR);
  }
  return node;
}

}  // namespace casemate::volume_tool
