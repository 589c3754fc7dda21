// The walk in host regions: the host's links are expanded in the program's view, except in the kernel's own trees.
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/unique_fd.h"
#include "keeper/path_walk.h"

namespace casemate::keeper {
namespace {

// A descriptor for looking, if no component before the last is a link. The last may be one.
UniqueFd open_without_links(const std::string& path) {
  open_how how = {};
  how.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_NO_SYMLINKS;
  return UniqueFd(static_cast<int>(syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof(how))));
}

bool read_link(int directory, const char* path, std::string* target) {
  char text[PATH_MAX];
  const ssize_t size = readlinkat(directory, path, text, sizeof(text));
  if (size < 0) return false;
  target->assign(text, static_cast<std::size_t>(size));
  return true;
}

}  // namespace

int PathWalk::step_in_host(const Component& component, bool* done) {
  if (component.name == "." || component.name == "..") return step_up(component, done);
  if (const MountPoint* const point = at_.point != nullptr ? at_.point->child(component.name) : nullptr) {
    return enter(component, *point, done);
  }
  asked_host_ = true;
  const std::string path = join_path(at_.host_path, component.name);
  if (resolver_.table_.is_passed(MountTable::path_in(*at_.region, path))) return finish_passed(done);
  const std::string_view segment = segment_without_up();
  const std::size_t end = static_cast<std::size_t>(segment.data() - rest_.data()) + segment.size();
  const bool is_whole = rest_.find_first_not_of('/', end) == std::string::npos;
  return walk_host_quickly(segment, is_whole, is_whole && end < rest_.size(), done);
}

// From here to the end of the path or before the next "..", without slashes at its ends.
std::string_view PathWalk::segment_without_up() const {
  const std::size_t start = rest_.find_first_not_of('/', offset_);
  std::size_t end = start;
  for (std::size_t at = start; at < rest_.size();) {
    const std::size_t stop = std::min(rest_.find('/', at), rest_.size());
    const std::string_view name = std::string_view(rest_).substr(at, stop - at);
    if (name == "..") break;
    if (!name.empty()) end = stop;
    at = stop + 1;
  }
  return std::string_view(rest_).substr(start, end - start);
}

int PathWalk::walk_host_quickly(std::string_view segment, bool is_whole, bool has_slash, bool* done) {
  std::string path = join_path(at_.host_path, segment);
  const std::size_t behind = static_cast<std::size_t>(segment.data() - rest_.data()) + segment.size();
  const UniqueFd file = open_without_links(path);
  struct stat status = {};
  if (file.is_open() && fstat(file.get(), &status) == 0) {
    const Component last = {segment, behind, is_whole, has_slash};
    std::string target;
    if (S_ISLNK(status.st_mode) && follows(last)) {
      if (!read_link(file.get(), "", &target)) return errno;
      at_ = Position{at_.region, 0, {}, std::string(parent_path(path)), nullptr};
      return expand(last, target);
    }
    if (is_whole) {
      end_in_host(std::move(path), has_slash, true);
      *done = true;
      return 0;
    }
    if (!S_ISDIR(status.st_mode)) return ENOTDIR;
    offset_ = behind;
    at_ = resolver_.position_in_host(*at_.region, path);
    return 0;
  }
  if (errno == ELOOP || errno == EPERM || errno == ENOSYS || errno == EXDEV) {
    Component component;
    next(&component);
    return walk_host_component(component, done);
  }
  if (!is_whole) return errno;
  end_in_host(std::move(path), has_slash, false);  // the member's call gives the error, or makes the file
  *done = true;
  return 0;
}

int PathWalk::walk_host_component(const Component& component, bool* done) {
  const std::string path = join_path(at_.host_path, component.name);
  std::string target;
  if (follows(component) && read_link(AT_FDCWD, path.c_str(), &target)) return expand(component, target);
  if (component.is_last) {
    end_in_host(path, component.has_slash, true);
    *done = true;
    return 0;
  }
  offset_ = component.end;
  at_ = resolver_.position_in_host(*at_.region, path);
  return 0;
}

// Below /proc and its like the kernel follows links, as only it knows where they lead. ".." is taken out of the path
// first: it must not leave the tree unseen.
int PathWalk::finish_passed(bool* done) {
  std::string path = at_.host_path;
  Component component;
  bool has_slash = false;
  while (next(&component)) {
    if (component.name == "..") {
      offset_ = component.end;
      const std::string outside(parent_path(path));
      if (!resolver_.table_.is_passed(MountTable::path_in(*at_.region, outside))) {
        at_ = resolver_.position_in_host(*at_.region, path);
        return step_up(component, done);
      }
      path = outside;
      has_slash = component.has_slash;
      continue;
    }
    if (component.name != ".") path = join_path(path, component.name);
    has_slash = component.has_slash;
    offset_ = component.end;
  }
  end_in_host(std::move(path), has_slash, true);
  *done = true;
  return 0;
}

void PathWalk::end_in_host(std::string path, bool has_slash, bool exists) {
  *out_ = Resolution();
  out_->name = path.substr(path.rfind('/') + 1);
  out_->has_slash = has_slash;
  out_->parent = Position{at_.region, 0, {}, std::string(parent_path(path)), nullptr};
  out_->exists = exists;
  out_->target = Position{at_.region, 0, {}, std::move(path), nullptr};
}

}  // namespace casemate::keeper
