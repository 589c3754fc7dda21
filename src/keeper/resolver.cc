#include "keeper/resolver.h"

#include <limits.h>
#include <linux/openat2.h>

#include <cerrno>

#include "keeper/path_walk.h"

namespace casemate::keeper {
namespace {

int code_of(const Error& error) { return error.system_code() != 0 ? error.system_code() : EIO; }

int volume_position(const Region& region, volume::InodeNumber node, const MountPoint* point, Position* out) {
  auto attributes = region.volume->attributes(node);
  if (!attributes) return code_of(attributes.error());
  *out = Position{&region, node, attributes.value(), {}, point};
  return 0;
}

}  // namespace

std::string Resolution::host_path() const {
  std::string path = exists || parent.region == nullptr ? target.host_path : join_path(parent.host_path, name);
  if (has_slash && path.back() != '/') path += '/';
  return path;
}

// --- positions ---

int Resolver::position_of(const MountPoint& point, Position* out) const {
  if (point.region != nullptr && point.region->is_host()) {
    const std::string& source = point.region->source;
    *out = Position{point.region, 0, {}, source.empty() ? "/" : source, &point};
    return 0;
  }
  if (point.region != nullptr) return volume_position(*point.region, point.region->root, &point, out);
  if (point.parent == nullptr) return volume_position(table_.skeleton(), point.skeleton, &point, out);
  Position parent;
  if (const int code = position_of(*point.parent, &parent)) return code;
  return child_point(parent, point, out);
}

// The directory for a point below `at`: a region's root, what the region of `at` has there, or a made-up one.
int Resolver::child_point(const Position& at, const MountPoint& child, Position* out) const {
  if (child.region != nullptr) return position_of(child, out);
  if (at.is_host()) {
    const std::string path = join_path(at.host_path, child.name);
    struct stat status = {};
    if (lstat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) {
      *out = Position{at.region, 0, {}, path, &child};
      return 0;
    }
  } else {
    auto found = at.region->volume->lookup(at.node, child.name);
    if (found && S_ISDIR(found.value().mode)) {
      *out = Position{at.region, found.value().inode, found.value(), {}, &child};
      return 0;
    }
  }
  return volume_position(table_.skeleton(), child.skeleton, &child, out);
}

// Real directories on the way to a mount point are few, and most descriptions have none.
const MountPoint* Resolver::point_of_node(const Region& region, volume::InodeNumber node) const {
  const MountPoint* const own = &table_.point_of(region);
  if (node == region.root && &region != &table_.skeleton()) return own;
  std::vector<const MountPoint*> candidates = {&region == &table_.skeleton() ? &table_.root() : own};
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const MountPoint* const point = candidates[i];
    Position position;
    if (point->region == nullptr && position_of(*point, &position) == 0 && position.region == &region &&
        position.node == node) {
      return point;
    }
    for (const auto& child : point->children) {
      if (child->region == nullptr || &region == &table_.skeleton()) candidates.push_back(child.get());
    }
  }
  return nullptr;
}

int Resolver::position_of_node(const Region& region, volume::InodeNumber node, Position* out) const {
  if (region.is_host()) return EINVAL;
  return volume_position(region, node, point_of_node(region, node), out);
}

int Resolver::position_of_host_path(std::string_view host_path, Position* out) const {
  std::string program_path;
  const Region* const region = table_.region_of_host_path(host_path, &program_path);
  if (region == nullptr) return EACCES;
  while (host_path.size() > 1 && host_path.back() == '/') host_path.remove_suffix(1);
  *out = Position{region, 0, {}, std::string(host_path), table_.find(program_path)};
  return 0;
}

Position Resolver::position_in_host(const Region& region, std::string_view host_path) const {
  return Position{&region, 0, {}, std::string(host_path), table_.find(MountTable::path_in(region, host_path))};
}

int Resolver::parent_of(const Position& at, const Position& root, Position* out) const {
  if (at.is_same(root)) {
    *out = at;
    return 0;
  }
  if (at.point != nullptr) return position_of(at.point->parent != nullptr ? *at.point->parent : *at.point, out);
  if (at.is_host()) {
    *out = position_in_host(*at.region, parent_path(at.host_path));
    return 0;
  }
  const auto removed = removed_.find(key_of(*at.region, at.node));
  if (removed != removed_.end()) return position_of_node(*at.region, removed->second, out);
  auto parent = at.region->volume->parent(at.node);
  if (!parent) return code_of(parent.error());
  return position_of_node(*at.region, parent.value(), out);
}

int Resolver::path_of(const Position& at, const Position& root, std::string* out) const {
  std::string path;
  Position here = at;
  Position top;
  if (const int code = this->root(&top)) return code;
  while (!here.is_same(root)) {
    if (here.is_same(top)) return ENOENT;  // not below the caller's root
    std::string name;
    if (here.is_host()) {
      if (here.point == nullptr && root.is_same(top)) {
        *out = MountTable::path_in(*here.region, here.host_path) + path;
        return 0;
      }
      name = here.point != nullptr ? here.point->name : here.host_path.substr(here.host_path.rfind('/') + 1);
    } else if (here.point != nullptr) {
      name = here.point->name;
    } else {
      auto found = here.region->volume->name_in_parent(here.node);
      if (!found) return code_of(found.error());
      name = found.value();
    }
    path.insert(0, "/" + name);
    Position parent;
    if (const int code = parent_of(here, root, &parent)) return code;
    here = std::move(parent);
  }
  *out = path.empty() ? "/" : path;
  return 0;
}

void Resolver::warn_unnamed(const std::string& path) const {
  if (warn_ && warnings_left_.fetch_sub(1) > 0) warn_(path + ": refused, no region of the run description names it");
}

int Resolver::resolve(const Position& start, const Position& root, std::string_view path,
                      const CallerCredentials& caller, const ResolveOptions& options, Resolution* out) const {
  const bool confined = (options.flags & (RESOLVE_IN_ROOT | RESOLVE_BENEATH)) != 0;
  PathWalk walk(*this, confined ? start : root, caller, options, out);
  const int code = walk.run(start, path);
  out->asked_host = walk.asked_host();
  return code;
}

// --- the walk in volumes ---

int PathWalk::run(const Position& start, std::string_view path) {
  if (path.empty()) return ENOENT;
  if (path.size() >= PATH_MAX) return ENAMETOOLONG;
  rest_ = path;
  at_ = start;
  if (rest_.front() == '/') {
    if (const int code = restart_at_root()) return code;
  }
  Component component;
  while (next(&component)) {
    bool done = false;
    if (const int code = step(component, &done)) return code;
    if (done) return 0;
  }
  // Only slashes: the root itself, or a link to it.
  *out_ = Resolution();
  out_->last = LastComponent::kRoot;
  out_->target = at_;
  out_->exists = true;
  return 0;
}

bool PathWalk::next(Component* component) const {
  const std::size_t start = rest_.find_first_not_of('/', offset_);
  if (start == std::string::npos) return false;
  const std::size_t end = std::min(rest_.find('/', start), rest_.size());
  component->name = std::string_view(rest_).substr(start, end - start);
  component->end = end;
  component->is_last = rest_.find_first_not_of('/', end) == std::string::npos;
  component->has_slash = component->is_last && end < rest_.size();
  return true;
}

int PathWalk::step(const Component& component, bool* done) {
  return at_.is_host() ? step_in_host(component, done) : step_in_volume(component, done);
}

int PathWalk::step_in_volume(const Component& component, bool* done) {
  if (!S_ISDIR(at_.attributes.mode)) return ENOTDIR;
  if (const int refused = check_access(caller_, at_.attributes, kMayExecute)) return refused;
  if (component.name == "." || component.name == "..") return step_up(component, done);
  if (component.name.size() > NAME_MAX) return ENAMETOOLONG;
  if (const MountPoint* const point = at_.point != nullptr ? at_.point->child(component.name) : nullptr) {
    return enter(component, *point, done);
  }
  auto found = at_.region->volume->lookup(at_.node, component.name);
  if (!found) {
    const int code = code_of(found.error());
    return code == ENOENT ? miss(component, done) : code;
  }
  const volume::Attributes& attributes = found.value();
  if (S_ISLNK(attributes.mode) && follows(component)) {
    auto target = at_.region->volume->read_link(attributes.inode);
    if (!target) return code_of(target.error());
    return expand(component, target.value());
  }
  return arrive(component, Position{at_.region, attributes.inode, attributes, {}, nullptr}, done);
}

bool PathWalk::follows(const Component& component) const {
  if (!component.is_last || options_.last_link == LastLink::kFollow) return true;
  return options_.last_link == LastLink::kKeep && component.has_slash;
}

int PathWalk::step_up(const Component& component, bool* done) {
  if (component.name == "..") {
    const bool at_root = at_.is_same(root_);
    if (at_root && (options_.flags & RESOLVE_BENEATH) != 0) return EXDEV;
    Position parent;
    if (const int code = resolver_.parent_of(at_, root_, &parent)) return code;
    if (parent.region != at_.region && (options_.flags & RESOLVE_NO_XDEV) != 0) return EXDEV;
    at_ = std::move(parent);
  }
  offset_ = component.end;
  if (!component.is_last) return 0;
  *out_ = Resolution();
  out_->last = component.name == "." ? LastComponent::kDot : LastComponent::kDotDot;
  out_->target = at_;
  out_->exists = true;
  out_->has_slash = component.has_slash;
  *done = true;
  return 0;
}

int PathWalk::enter(const Component& component, const MountPoint& point, bool* done) {
  if (at_.is_host() && point.region == nullptr) asked_host_ = true;
  Position position;
  if (const int code = resolver_.child_point(at_, point, &position)) return code;
  if (position.region != at_.region && (options_.flags & RESOLVE_NO_XDEV) != 0) return EXDEV;
  return arrive(component, std::move(position), done);
}

int PathWalk::arrive(const Component& component, Position position, bool* done) {
  if (!component.is_last) {
    at_ = std::move(position);
    offset_ = component.end;
    return 0;
  }
  if (component.has_slash && !position.is_directory() && options_.last_link != LastLink::kNever) return ENOTDIR;
  *out_ = Resolution();
  out_->name = component.name;
  out_->has_slash = component.has_slash;
  out_->parent = std::move(at_);
  out_->target = std::move(position);
  out_->exists = true;
  *done = true;
  return 0;
}

int PathWalk::miss(const Component& component, bool* done) {
  if (at_.region == &resolver_.table_.skeleton()) {
    const bool known = at_.point != nullptr;
    resolver_.warn_unnamed(join_path(known ? at_.point->path() : "/", component.name));
    return EACCES;
  }
  if (!component.is_last) return ENOENT;
  *out_ = Resolution();
  out_->name = component.name;
  out_->has_slash = component.has_slash;
  out_->parent = std::move(at_);
  *done = true;
  return 0;
}

int PathWalk::restart_at_root() {
  const bool beneath = (options_.flags & RESOLVE_BENEATH) != 0;
  if (beneath) return EXDEV;
  if (at_.region != root_.region && (options_.flags & RESOLVE_NO_XDEV) != 0) return EXDEV;
  at_ = root_;
  return 0;
}

// The link's target takes the place of its name.
int PathWalk::expand(const Component& component, const std::string& target) {
  if ((options_.flags & RESOLVE_NO_SYMLINKS) != 0 || ++links_ > kMaximumLinks) return ELOOP;
  if (target.empty()) return ENOENT;
  const std::size_t behind = rest_.size() - component.end;
  if (target.size() + behind >= 16 * PATH_MAX) return ENAMETOOLONG;
  rest_ = target + rest_.substr(component.end);
  offset_ = 0;
  return rest_.front() == '/' ? restart_at_root() : 0;
}

}  // namespace casemate::keeper
