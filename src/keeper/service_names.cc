// Requests that make, remove, move or list names.
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "keeper/service.h"

namespace casemate::keeper {
namespace {

constexpr unsigned kRenameFlags = RENAME_NOREPLACE | RENAME_EXCHANGE;
constexpr ResolveOptions kForName = {.last_link = LastLink::kNever};
// Cookies of readdir: "." and ".." have the first two, then come the volume's, then mount points it does not have.
constexpr std::uint64_t kFirstVolumeCookie = 2;
constexpr std::uint64_t kFirstPointCookie = std::uint64_t{1} << 62;

// EINVAL and its like for names that are none.
int code_for_removing(LastComponent last, bool directory) {
  switch (last) {
    case LastComponent::kDot:
      return directory ? EINVAL : EISDIR;
    case LastComponent::kDotDot:
      return directory ? ENOTEMPTY : EISDIR;
    case LastComponent::kRoot:
      return directory ? EBUSY : EISDIR;
    case LastComponent::kName:
      break;
  }
  return 0;
}

}  // namespace

// For everything that makes a name.
int Service::check_new_name(const Resolution& place, const CallerCredentials& caller) {
  if (place.exists) return EEXIST;
  if (const int refused = check_access(caller, place.parent.attributes, kMayWrite | kMayExecute)) return refused;
  return place.parent.region->is_read_only() ? EROFS : 0;
}

Answer Service::make_node(const ParsedRequest& request) {
  const auto wanted = static_cast<std::uint32_t>(request.header.arguments[0]);
  const std::uint32_t type = (wanted & S_IFMT) == 0 ? S_IFREG : wanted & S_IFMT;
  const bool is_directory = S_ISDIR(type), is_device = S_ISCHR(type) || S_ISBLK(type);
  if (!is_directory && !is_device && !S_ISREG(type) && !S_ISFIFO(type) && !S_ISSOCK(type)) {
    return Answer::failure(EINVAL);
  }
  const ExclusiveLock lock(names_);
  Resolution place;
  if (const int code = locate(request, 0, kForName, &place)) return Answer::failure(code);
  if (place.is_host()) return host_answer(place);
  const CallerCredentials caller = request.caller();
  if (!place.exists && place.has_slash && !is_directory) return Answer::failure(ENOENT);
  if (const int code = check_new_name(place, caller)) return Answer::failure(code);
  // A whiteout (device 0,0) harms nobody.
  if (is_device && request.header.arguments[1] != 0 && !caller.is_privileged()) return Answer::failure(EPERM);
  const std::uint32_t permissions = wanted & (is_directory ? 01777 : 07777);
  auto specification = specify_new_node(caller, place.parent.attributes, type | permissions);
  if (is_device) specification.device = request.header.arguments[1];
  const auto made = place.parent.region->volume->create_node(place.parent.node, place.name, specification);
  if (!made) return fail(made.error());
  show_name_change(place);
  return {};
}

Answer Service::bind_socket(const ParsedRequest& request) {
  const ExclusiveLock lock(names_);
  Resolution place;
  if (const int code = locate(request, 0, kForName, &place)) return Answer::failure(code);
  if (place.is_host()) return host_answer(place);
  const CallerCredentials caller = request.caller();
  if (const int code = check_new_name(place, caller)) return Answer::failure(code == EEXIST ? EADDRINUSE : code);
  const auto mode = static_cast<std::uint32_t>(request.header.arguments[0]) & 0777;
  const auto made = place.parent.region->volume->create_node(
      place.parent.node, place.name, specify_new_node(caller, place.parent.attributes, S_IFSOCK | mode));
  if (!made) return fail(made.error());
  show_name_change(place);
  const auto path = special_files_.add_socket(key_of(*place.parent.region, made.value().inode),
                                              std::string(request.paths[0]), caller.uid);
  if (!path) return fail(path.error());
  Answer answer;
  answer.header.kind = protocol::ReplyKind::kHostPaths;
  answer.host_paths[0] = path.value();
  return answer;
}

Answer Service::make_symbolic_link(const ParsedRequest& request) {
  const std::string_view target = request.paths[1];
  if (target.empty()) return Answer::failure(ENOENT);
  const ExclusiveLock lock(names_);
  Resolution place;
  if (const int code = locate(request, 0, kForName, &place)) return Answer::failure(code);
  if (place.is_host()) return host_answer(place);
  if (!place.exists && place.has_slash) return Answer::failure(ENOENT);
  const CallerCredentials caller = request.caller();
  if (const int code = check_new_name(place, caller)) return Answer::failure(code);
  auto specification = specify_new_node(caller, place.parent.attributes, S_IFLNK | 0777);
  specification.target = target;
  const auto made = place.parent.region->volume->create_node(place.parent.node, place.name, specification);
  if (!made) return fail(made.error());
  show_name_change(place);
  return {};
}

Answer Service::link(const ParsedRequest& request) {
  const bool follows = (request.header.arguments[0] & AT_SYMLINK_FOLLOW) != 0;
  const ExclusiveLock lock(names_);
  Resolution from, to;
  if (const int code = locate(request, 0, {.last_link = follows ? LastLink::kFollow : LastLink::kKeep}, &from)) {
    return Answer::failure(code);
  }
  // Before anything about the new name, as in the kernel.
  if (!from.is_host() && !from.exists) return Answer::failure(ENOENT);
  if (const int code = locate(request, 1, kForName, &to)) return Answer::failure(code);
  if (from.is_host() && to.is_host()) return host_answer(from, to);
  if (from.is_host() || to.is_host()) return Answer::failure(EXDEV);
  if (to.exists) return Answer::failure(EEXIST);
  if (to.has_slash) return Answer::failure(ENOENT);
  const Region& region = *from.target.region;
  if (&region != to.parent.region) return Answer::failure(EXDEV);
  if (const int code = check_new_name(to, request.caller())) return Answer::failure(code);
  if (S_ISDIR(from.target.attributes.mode)) return Answer::failure(EPERM);
  // A file that gets its first name takes its contents along.
  if (const NodeReference node = cache_.find(key_of(region, from.target.node)); node && node->is_orphan()) {
    if (const auto written = node->write_back(); !written) return fail(written.error());
  }
  if (const auto done = region.volume->link(from.target.node, to.parent.node, to.name); !done)
    return fail(done.error());
  show_change(region, from.target.node);
  show_name_change(to);
  if (const NodeReference node = cache_.find(key_of(region, from.target.node))) {
    cache_.set_name(*node, to.parent.node, to.name);
  }
  return {};
}

Answer Service::unlink(const ParsedRequest& request) {
  const bool directory = (request.header.arguments[0] & AT_REMOVEDIR) != 0;
  const ExclusiveLock lock(names_);
  Resolution victim;
  if (const int code = locate(request, 0, kForName, &victim)) return Answer::failure(code);
  if (victim.target.point != nullptr && victim.exists) return Answer::failure(directory ? EBUSY : EISDIR);
  if (victim.is_host()) return host_answer(victim);
  if (const int code = code_for_removing(victim.last, directory)) return Answer::failure(code);
  if (!victim.exists) return Answer::failure(ENOENT);
  const Region& region = *victim.parent.region;
  if (victim.target.region != &region) return Answer::failure(EBUSY);
  const bool is_directory = S_ISDIR(victim.target.attributes.mode);
  if (victim.has_slash && !is_directory) return Answer::failure(ENOTDIR);
  if (const int code = check_removal(request.caller(), victim.parent.attributes, victim.target.attributes)) {
    return Answer::failure(code);
  }
  if (directory != is_directory) return Answer::failure(directory ? ENOTDIR : EISDIR);
  if (region.is_read_only()) return Answer::failure(EROFS);
  const auto gone = directory ? region.volume->remove_directory(victim.parent.node, victim.name)
                              : region.volume->unlink(victim.parent.node, victim.name);
  if (!gone) return fail(gone.error());
  if (directory) {
    show_change(region, gone.value());
    keep_removed(region, gone.value().inode, victim.parent.node);
  } else {
    name_gone(region, gone.value());
  }
  note_structure(victim.target.attributes);
  show_name_change(victim);
  victim.exists = false;
  keep_missing(request, victim, 0);  // asked next by whoever removes a journal
  return {};
}

namespace {

// Is the directory `above` at, or an ancestor of, `below`? Both lie in one region.
bool is_above(const Position& above, const Position& below) {
  if (!S_ISDIR(above.attributes.mode)) return false;
  volume::InodeNumber at = below.node;
  while (at != above.node) {
    const auto parent = below.region->volume->parent(at);
    if (!parent || parent.value() == at) return false;
    at = parent.value();
  }
  return true;
}

}  // namespace

int Service::check_rename(const Resolution& from, const Resolution& to, const CallerCredentials& caller,
                          unsigned flags) {
  if (from.last != LastComponent::kName) return EBUSY;
  if (to.last != LastComponent::kName) return (flags & RENAME_NOREPLACE) != 0 ? EEXIST : EBUSY;
  if (!from.exists) return ENOENT;
  if (from.target.point != nullptr || (to.exists && to.target.point != nullptr)) return EBUSY;
  if (from.parent.region != to.parent.region) return EXDEV;
  const bool is_directory = S_ISDIR(from.target.attributes.mode);
  const bool exchanges = (flags & RENAME_EXCHANGE) != 0;
  if (!is_directory && (from.has_slash || (to.has_slash && !exchanges))) return ENOTDIR;
  if (to.exists && (flags & RENAME_NOREPLACE) != 0) return EEXIST;
  if (!to.exists && exchanges) return ENOENT;
  if (to.exists && is_above(to.target, from.parent)) return exchanges ? EINVAL : ENOTEMPTY;
  if (const int code = check_removal(caller, from.parent.attributes, from.target.attributes)) return code;
  const int code = to.exists ? check_removal(caller, to.parent.attributes, to.target.attributes)
                             : check_access(caller, to.parent.attributes, kMayWrite | kMayExecute);
  if (code != 0) return code;
  // ".." of a directory that moves is written.
  if (from.parent.node != to.parent.node) {
    if (is_directory && check_access(caller, from.target.attributes, kMayWrite) != 0) return EACCES;
    const bool other_moves = exchanges && S_ISDIR(to.target.attributes.mode);
    if (other_moves && check_access(caller, to.target.attributes, kMayWrite) != 0) return EACCES;
  }
  return from.parent.region->is_read_only() ? EROFS : 0;
}

// Programs write a file anew beside the old one and rename it over, often without fsync. What the new name stands for
// after a crash must not be an empty file, so its contents join the same transaction.
void Service::settle_contents(const ParsedRequest& request) {
  NodeReference node;
  {
    const SharedLock lock(names_);
    Resolution from, to;
    if (locate(request, 0, kForName, &from) != 0 || from.is_host() || !from.exists) return;
    if (locate(request, 1, kForName, &to) != 0 || to.is_host() || !to.exists) return;
    if (from.target.region->is_volatile()) return;
    node = cache_.find(key_of(*from.target.region, from.target.node));
  }
  if (node && node->may_be_newer()) (void)node->write_back();
}

Answer Service::rename(const ParsedRequest& request) {
  const auto flags = static_cast<unsigned>(request.header.arguments[0]);
  if ((flags & ~kRenameFlags) != 0 || flags == kRenameFlags) return Answer::failure(EINVAL);
  settle_contents(request);
  const ExclusiveLock lock(names_);
  Resolution from, to;
  if (const int code = locate(request, 0, kForName, &from)) return Answer::failure(code);
  if (const int code = locate(request, 1, kForName, &to)) return Answer::failure(code);
  const bool is_busy = (from.exists && from.target.point != nullptr) || (to.exists && to.target.point != nullptr);
  if (is_busy) return Answer::failure(EBUSY);
  if (from.is_host() && to.is_host()) return host_answer(from, to);
  if (from.is_host() || to.is_host()) return Answer::failure(EXDEV);
  if (const int code = check_rename(from, to, request.caller(), flags)) return Answer::failure(code);
  const Region& region = *from.parent.region;
  const auto mode = (flags & RENAME_EXCHANGE) != 0    ? volume::RenameMode::kExchange
                    : (flags & RENAME_NOREPLACE) != 0 ? volume::RenameMode::kNoReplace
                                                      : volume::RenameMode::kReplace;
  const auto replaced = region.volume->rename(from.parent.node, from.name, to.parent.node, to.name, mode);
  if (!replaced) return fail(replaced.error());
  if (replaced.value()) name_gone(region, *replaced.value());
  show_change(region, from.target.node);
  show_name_change(from);
  show_name_change(to);
  note_structure(from.target.attributes);
  if (to.exists) {
    answers_.node_changed(key_of(region, to.target.node));
    note_structure(to.target.attributes);
  }
  if (const NodeReference node = cache_.find(key_of(region, from.target.node))) {
    cache_.set_name(*node, to.parent.node, to.name);
  }
  return {};
}

Answer Service::read_link(const ParsedRequest& request) {
  const SharedLock lock(names_);
  Resolution found;
  if (const int code = locate_existing(request, AT_SYMLINK_NOFOLLOW, &found)) return Answer::failure(code);
  if (found.is_host()) return host_answer(found);
  if (!S_ISLNK(found.target.attributes.mode)) return Answer::failure(request.paths[0].empty() ? ENOENT : EINVAL);
  const auto target = found.target.region->volume->read_link(found.target.node);
  if (!target) return fail(target.error());
  Answer answer;
  const auto bytes = std::as_bytes(std::span(target.value()));
  answer.data.assign(bytes.begin(), bytes.end());
  answer.header.result = static_cast<std::int64_t>(answer.data.size());
  return answer;
}

// --- directories ---

namespace {

// Fills a buffer with records of struct linux_dirent64.
class RecordWriter {
 public:
  explicit RecordWriter(std::size_t capacity) : capacity_(capacity) {}

  // False when it does not fit. `next` is the cookie of what follows.
  bool add(std::string_view name, std::uint64_t inode, std::uint32_t type, std::uint64_t next) {
    constexpr std::size_t kFixed = 19;  // d_ino, d_off, d_reclen, d_type
    const std::size_t size = (kFixed + name.size() + 1 + 7) / 8 * 8;
    if (size > capacity_ - bytes.size()) return false;
    const std::size_t at = bytes.size();
    bytes.resize(at + size);
    const auto record_size = static_cast<std::uint16_t>(size);
    const auto kind = static_cast<std::uint8_t>((type & S_IFMT) >> 12);
    std::memcpy(&bytes[at], &inode, 8);
    std::memcpy(&bytes[at + 8], &next, 8);
    std::memcpy(&bytes[at + 16], &record_size, 2);
    std::memcpy(&bytes[at + 18], &kind, 1);
    std::memcpy(&bytes[at + kFixed], name.data(), name.size());
    next_cookie = next;
    return true;
  }
  std::size_t room() const { return capacity_ - bytes.size(); }

  std::vector<std::byte> bytes;
  std::uint64_t next_cookie = 0;

 private:
  std::size_t capacity_;
};

constexpr std::size_t kSmallestRecord = 24;

// False when the buffer is full.
Result<bool> add_volume_entries(const Position& directory, std::uint64_t cookie, RecordWriter& writer) {
  for (;;) {
    const std::size_t count = std::clamp<std::size_t>(writer.room() / kSmallestRecord, 1, 512);
    const auto entries =
        CASEMATE_TRY(directory.region->volume->read_directory(directory.node, cookie - kFirstVolumeCookie, count));
    for (const volume::DirectoryEntry& entry : entries) {
      const std::uint64_t next = entry.cookie + kFirstVolumeCookie;
      const bool is_point = directory.point != nullptr && directory.point->child(entry.name) != nullptr;
      if (!writer.add(entry.name, entry.inode, is_point ? S_IFDIR : entry.type, next)) return false;
      cookie = next;
    }
    if (entries.size() < count) return true;
  }
}

// Mount points that the directory itself does not have.
bool add_points(const Position& directory, std::uint64_t cookie, RecordWriter& writer) {
  if (directory.point == nullptr) return true;
  const auto& children = directory.point->children;
  for (std::uint64_t i = cookie > kFirstPointCookie ? cookie - kFirstPointCookie : 0; i < children.size(); ++i) {
    const MountPoint& child = *children[static_cast<std::size_t>(i)];
    if (directory.region->volume->lookup(directory.node, child.name)) continue;
    const bool is_file = child.region != nullptr && child.region->kind == RegionKind::kFile;
    if (!writer.add(child.name, child.skeleton, is_file ? S_IFREG : S_IFDIR, kFirstPointCookie + i + 1)) return false;
  }
  return true;
}

}  // namespace

Answer Service::read_directory(const ParsedRequest& request) {
  const SharedLock lock(names_);
  Position root, directory, parent;
  if (request.header.base[0].kind != protocol::PlaceKind::kSlot) return Answer::failure(EBADF);
  if (const int code = root_of(request, &root)) return Answer::failure(code);
  if (const int code = slot_position(request.header.base[0].node, &directory)) return Answer::failure(code);
  if (!S_ISDIR(directory.attributes.mode)) return Answer::failure(ENOTDIR);
  if (resolver_.parent_of(directory, root, &parent) != 0) return Answer::failure(ENOENT);  // removed
  const std::size_t most = protocol::kMessageCapacity - sizeof(protocol::Reply);
  RecordWriter writer(std::min<std::size_t>(request.header.arguments[1], most));
  std::uint64_t cookie = request.header.arguments[0];
  writer.next_cookie = cookie;
  bool fits = true;
  if (cookie == 0) fits = writer.add(".", directory.node, S_IFDIR, 1);
  if (fits && cookie <= 1) fits = writer.add("..", parent.node, S_IFDIR, kFirstVolumeCookie);
  cookie = std::max(cookie, kFirstVolumeCookie);
  if (fits && cookie < kFirstPointCookie) {
    const auto added = add_volume_entries(directory, cookie, writer);
    if (!added) return fail(added.error());
    fits = added.value();
  }
  if (fits) fits = add_points(directory, cookie, writer);
  if (!fits && writer.bytes.empty()) return Answer::failure(EINVAL);  // not even one fits
  Answer answer;
  answer.header.result = static_cast<std::int64_t>(writer.bytes.size());
  answer.header.arguments[0] = writer.next_cookie;
  answer.data = std::move(writer.bytes);
  return answer;
}

}  // namespace casemate::keeper
