#include "casemate/volume/copy_out.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <map>
#include <vector>

#include "base/unique_fd.h"
#include "casemate/volume/attempt.h"
#include "casemate/volume/text.h"

namespace casemate::volume_tool {
namespace {

// After these the rest of the export would fail, too.
bool ends_everything(const Error& error) {
  constexpr int kCodes[] = {ENOSPC, EDQUOT, EROFS};
  return std::find(std::begin(kCodes), std::end(kCodes), error.system_code()) != std::end(kCodes);
}

timespec time_of(const volume::Timestamp& time) {
  return {static_cast<std::time_t>(time.seconds), static_cast<long>(time.nanoseconds)};
}

std::string path_of(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

class CopyOut {
 public:
  CopyOut(UniqueFd root, Existing existing, Progress& progress, Complaints& complaints)
      : root_(std::move(root)), existing_(existing), progress_(progress), complaints_(complaints), piece_(kPieceSize) {}

  Result<void> copy_root(TreeNode& source, const std::string& name) {
    if (source.type() != S_IFDIR) return copy_node(source, root_.get(), name, name);
    auto done = copy_children(source, root_.get(), "");
    if (done.has_value()) done = finish(source, root_.get(), ".");
    return done.has_value() ? done : judge(".", done.error());
  }

 private:
  Result<void> copy_children(TreeNode& source, int directory, const std::string& path) {
    for (const std::string& name : CASEMATE_TRY(source.child_names())) {
      const std::string child_path = path.empty() ? name : path + "/" + name;
      auto child = source.child(name);
      if (!child.has_value()) {
        complaints_.add(child_path, child.error());
        continue;
      }
      CASEMATE_ATTEMPT(copy_node(*child.value(), directory, name, child_path));
    }
    return {};
  }

  Result<void> copy_node(TreeNode& source, int directory, const std::string& name, const std::string& path) {
    if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos) {
      complaints_.add(path, Error(ErrorCategory::kFormat, "this name cannot be written to a file system"));
      return {};
    }
    progress_.add_file();
    progress_.tick();
    const bool has_more_names = source.type() != S_IFDIR && source.attributes().link_count > 1;
    const auto known = written_.find(source.identity());
    const auto done = has_more_names && known != written_.end() ? add_name(known->second, directory, name)
                                                                : make(source, directory, name, path);
    if (!done.has_value()) return judge(path, done.error());
    if (has_more_names) written_.emplace(source.identity(), path);
    return {};
  }

  Result<void> make(TreeNode& source, int directory, const std::string& name, const std::string& path) {
    switch (source.type()) {
      case S_IFDIR:
        return make_directory(source, directory, name, path);
      case S_IFREG:
        return make_file(source, directory, name, path);
      default:
        return make_special(source, directory, name, path);
    }
  }

  Result<void> make_directory(TreeNode& source, int directory, const std::string& name, const std::string& path) {
    // Nobody else looks in before mode and owner are right.
    if (mkdirat(directory, name.c_str(), 0700) != 0 && errno != EEXIST) {
      return Error::from_errno("the directory cannot be made", errno);
    }
    const UniqueFd made(openat(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!made.is_open()) return Error::from_errno("stands where a directory must be made", errno);
    CASEMATE_ATTEMPT(copy_children(source, made.get(), path));
    return finish(source, made.get(), path);
  }

  Result<void> make_file(TreeNode& source, int directory, const std::string& name, const std::string& path) {
    CASEMATE_ATTEMPT(make_room(directory, name));
    const UniqueFd made(openat(directory, name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!made.is_open()) return exists_or(errno, "cannot be created");
    auto written = write_data(source, made.get());
    if (!written.has_value()) {
      unlinkat(directory, name.c_str(), 0);  // half a file must not pass for the file
      return written;
    }
    return finish(source, made.get(), path);
  }

  Result<void> make_special(TreeNode& source, int directory, const std::string& name, const std::string& path) {
    const volume::Attributes& wanted = source.attributes();
    std::string target;
    if (source.type() == S_IFLNK) target = CASEMATE_TRY(source.link_target());
    CASEMATE_ATTEMPT(make_room(directory, name));
    const int status = source.type() == S_IFLNK ? symlinkat(target.c_str(), directory, name.c_str())
                                                : mknodat(directory, name.c_str(), source.type() | 0600, wanted.device);
    if (status != 0) return exists_or(errno, "this kind of file cannot be made");
    const UniqueFd made(openat(directory, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!made.is_open()) return Error::from_errno("cannot be opened after it was made", errno);
    return finish(source, made.get(), path);
  }

  // One more name for a file that was written under `path`, reached without following any link.
  Result<void> add_name(const std::string& path, int directory, const std::string& name) {
    open_how how = {};
    how.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
    const UniqueFd file(static_cast<int>(syscall(SYS_openat2, root_.get(), path.c_str(), &how, sizeof(how))));
    if (!file.is_open()) return Error::from_errno("its other name " + printable(path) + " is not there", errno);
    CASEMATE_ATTEMPT(make_room(directory, name));
    // A link to the descriptor itself needs a capability; through /proc anybody may.
    if (linkat(AT_FDCWD, path_of(file.get()).c_str(), directory, name.c_str(), AT_SYMLINK_FOLLOW) != 0) {
      return exists_or(errno, "the hard link cannot be made");
    }
    return {};
  }

  Result<void> make_room(int directory, const std::string& name) {
    if (existing_ == Existing::kRefuse || unlinkat(directory, name.c_str(), 0) == 0 || errno == ENOENT) return {};
    return Error::from_errno("what is there cannot be replaced", errno);
  }

  Error exists_or(int code, const char* what) {
    if (code != EEXIST) return Error::from_errno(what, code);
    return Error(ErrorCategory::kUsage, "exists already; remove it, or use --overwrite", EEXIST);
  }

  Result<void> write_data(TreeNode& source, int file) {
    std::uint64_t offset = 0;
    while (true) {
      const auto range = CASEMATE_TRY(source.next_data(offset));
      if (!range.has_value()) break;
      offset = range->begin;
      while (offset < range->end) {
        const std::uint64_t wanted = std::min<std::uint64_t>(piece_.size(), range->end - offset);
        const std::size_t size = CASEMATE_TRY(source.read(offset, std::span(piece_).first(wanted)));
        if (size == 0) break;
        CASEMATE_ATTEMPT(write_piece(file, offset, size));
        offset += size;
      }
      if (offset < range->end) break;
    }
    if (ftruncate(file, static_cast<off_t>(source.attributes().size)) != 0) {
      return Error::from_errno("its size cannot be set", errno);
    }
    return {};
  }

  Result<void> write_piece(int file, std::uint64_t offset, std::size_t size) {
    std::size_t done = 0;
    while (done < size) {
      const ssize_t part = pwrite(file, piece_.data() + done, size - done, static_cast<off_t>(offset + done));
      if (part < 0 && errno == EINTR) continue;
      if (part < 0) return Error::from_errno("cannot be written at offset " + std::to_string(offset + done), errno);
      done += static_cast<std::size_t>(part);
    }
    progress_.add_bytes(size);
    progress_.tick();
    return {};
  }

  // Owner, then mode (a new owner takes set-id bits away), then attributes, then times. Each failure is told, none ends
  // the export.
  Result<void> finish(TreeNode& source, int file, const std::string& path) {
    const volume::Attributes& wanted = source.attributes();
    const std::string name = path_of(file);
    const bool link = source.type() == S_IFLNK;
    if (geteuid() == 0 && fchownat(file, "", wanted.uid, wanted.gid, AT_EMPTY_PATH) != 0) {
      complaints_.add(path, Error::from_errno("its owner cannot be set", errno));
    }
    if (!link && chmod(name.c_str(), wanted.mode & 07777U) != 0) {
      complaints_.add(path, Error::from_errno("its mode cannot be set", errno));
    }
    for (const ExtendedAttribute& attribute : CASEMATE_TRY(source.extended_attributes())) {
      if (setxattr(name.c_str(), attribute.name.c_str(), attribute.value.data(), attribute.value.size(), 0) != 0) {
        complaints_.add(path,
                        Error::from_errno("its attribute " + printable(attribute.name) + " cannot be set", errno));
      }
    }
    const timespec times[2] = {time_of(wanted.access_time), time_of(wanted.modify_time)};
    if (utimensat(file, "", times, AT_EMPTY_PATH) != 0 && utimensat(AT_FDCWD, name.c_str(), times, 0) != 0) {
      complaints_.add(path, Error::from_errno("its times cannot be set", errno));
    }
    return {};
  }

  Result<void> judge(const std::string& path, const Error& error) {
    if (!ends_everything(error)) {
      complaints_.add(path, error);
      return {};
    }
    if (ended_) return error;  // told with its path further down
    ended_ = true;
    return error.with_context(printable(path));
  }

  UniqueFd root_;
  Existing existing_;
  Progress& progress_;
  Complaints& complaints_;
  std::vector<std::byte> piece_;
  bool ended_ = false;
  std::map<NodeIdentity, std::string> written_;  // files with several names: the first one
};

}  // namespace

Result<void> copy_out(TreeNode& source, const std::string& name, const std::string& directory, Existing existing,
                      Progress& progress, Complaints& complaints) {
  if (mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return Error::from_errno(printable(directory) + ": cannot be made", errno);
  }
  UniqueFd root(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root.is_open()) return Error::from_errno(printable(directory), errno);
  return CopyOut(std::move(root), existing, progress, complaints).copy_root(source, name);
}

}  // namespace casemate::volume_tool
