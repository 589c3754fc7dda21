// open(2) in all its forms.
#include <fcntl.h>

#include <cerrno>

#include "keeper/attributes.h"
#include "keeper/memory_file.h"
#include "keeper/service.h"

namespace casemate::keeper {
namespace {

// What the descriptor shows in F_GETFL and what the kernel does by it.
constexpr int kDescriptionFlags = O_APPEND | O_NONBLOCK | O_SYNC | O_DSYNC | O_NOATIME;
constexpr int kPathFlags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
constexpr std::uint64_t kSmallFile = 128 * 1024;  // loaded at open: the read that follows needs no request

std::uint32_t wanted_access(int flags) {
  static constexpr std::uint32_t kByMode[] = {kMayRead, kMayWrite, kMayRead | kMayWrite, kMayRead | kMayWrite};
  const std::uint32_t wanted = kByMode[flags & O_ACCMODE];
  return (flags & O_TRUNC) != 0 ? wanted | kMayWrite : wanted;
}

}  // namespace

struct Service::OpenRequest {
  int flags = 0;
  std::uint32_t mode = 0;
  ResolveOptions options;

  bool is(int flag) const { return (flags & flag) == flag; }
  bool is_path() const { return is(O_PATH); }
  bool is_unnamed() const { return is(O_TMPFILE); }
  bool creates() const { return is(O_CREAT) && !is_unnamed(); }
  bool writes() const { return (wanted_access(flags) & kMayWrite) != 0; }

  static OpenRequest from(const protocol::Request& header) {
    OpenRequest wanted;
    wanted.flags = static_cast<int>(header.arguments[0] & 0x7fffffff);
    if (wanted.is(O_PATH)) wanted.flags &= kPathFlags;
    wanted.mode = static_cast<std::uint32_t>(header.arguments[1]) & 07777;
    const bool exclusive = wanted.is(O_CREAT | O_EXCL) && !wanted.is(O_TMPFILE);
    wanted.options.last_link = exclusive               ? LastLink::kNever
                               : wanted.is(O_NOFOLLOW) ? LastLink::kKeep
                                                       : LastLink::kFollow;
    wanted.options.flags = header.arguments[2];
    return wanted;
  }
};

Answer Service::open(const ParsedRequest& request) {
  const OpenRequest wanted = OpenRequest::from(request.header);
  if (wanted.is_unnamed() && !wanted.writes()) return Answer::failure(EINVAL);
  if (wanted.creates() && wanted.is(O_DIRECTORY)) return Answer::failure(EINVAL);
  std::optional<SharedLock> lock(std::in_place, names_);
  Resolution found;
  if (const int code = locate(request, 0, wanted.options, &found)) return Answer::failure(code);
  if (found.is_host()) return host_answer(found);
  if (wanted.is_unnamed()) {
    if (!found.exists) return Answer::failure(ENOENT);
    return open_unnamed(wanted, found, request.caller());
  }
  if (found.exists) return open_existing(wanted, found, request.caller(), std::move(lock));
  if (!wanted.creates()) {
    if (wanted.options.last_link == LastLink::kFollow && wanted.options.flags == 0) keep_missing(request, found, 0);
    return Answer::failure(ENOENT);
  }
  lock.reset();
  return open_new(request, wanted);
}

Answer Service::open_new(const ParsedRequest& request, const OpenRequest& wanted) {
  ExclusiveLock lock(names_);
  Resolution found;
  if (const int code = locate(request, 0, wanted.options, &found)) return Answer::failure(code);
  if (found.is_host()) return host_answer(found);
  const CallerCredentials caller = request.caller();
  if (found.exists) return open_existing(wanted, found, caller, std::nullopt);  // somebody was faster
  if (found.has_slash) return Answer::failure(EISDIR);
  const Region& region = *found.parent.region;
  if (const int refused = check_access(caller, found.parent.attributes, kMayWrite | kMayExecute)) {
    return Answer::failure(refused);
  }
  if (region.is_read_only()) return Answer::failure(EROFS);
  const auto made = region.volume->create_node(
      found.parent.node, found.name, specify_new_node(caller, found.parent.attributes, S_IFREG | wanted.mode));
  if (!made) return fail(made.error());
  auto node = cache_.open(region, made.value());
  if (!node) return fail(node.error());
  cache_.set_name(*node.value(), found.parent.node, found.name);
  show_name_change(found);
  lock.unlock();
  return hand_out(wanted, std::move(node).value());
}

Answer Service::open_unnamed(const OpenRequest& wanted, const Resolution& found, const CallerCredentials& caller) {
  const Position& directory = found.target;
  if (!S_ISDIR(directory.attributes.mode)) return Answer::failure(ENOTDIR);
  if (const int refused = check_access(caller, directory.attributes, kMayWrite | kMayExecute)) {
    return Answer::failure(refused);
  }
  if (directory.region->is_read_only()) return Answer::failure(EROFS);
  const auto made =
      directory.region->volume->create_orphan(specify_new_node(caller, directory.attributes, S_IFREG | wanted.mode));
  if (!made) return fail(made.error());
  auto node = cache_.open(*directory.region, made.value());
  if (!node) return fail(node.error());
  return hand_out(wanted, std::move(node).value());
}

Answer Service::open_existing(const OpenRequest& wanted, const Resolution& found, const CallerCredentials& caller,
                              std::optional<SharedLock> lock) {
  const volume::Attributes& attributes = found.target.attributes;
  const Region& region = *found.target.region;
  const bool is_directory = S_ISDIR(attributes.mode);
  if (wanted.creates() && wanted.is(O_EXCL)) return Answer::failure(EEXIST);
  if (is_directory && (wanted.creates() || (wanted.writes() && !wanted.is_path()))) return Answer::failure(EISDIR);
  if (!is_directory && (wanted.is(O_DIRECTORY) || found.has_slash)) return Answer::failure(ENOTDIR);
  if (S_ISLNK(attributes.mode) && !wanted.is_path()) return Answer::failure(ELOOP);
  if (!wanted.is_path()) {
    const bool is_contents = S_ISREG(attributes.mode) || is_directory;
    if (is_contents && wanted.writes() && region.is_read_only()) return Answer::failure(EROFS);
    if (const int refused = check_access(caller, attributes, wanted_access(wanted.flags))) {
      return Answer::failure(refused);
    }
    if (wanted.is(O_NOATIME) && !caller.owns(attributes)) return Answer::failure(EPERM);
    if (!is_contents) return open_special(wanted, found.target);
  }
  auto node = cache_.open(region, attributes);
  if (!node) return fail(node.error());
  if (found.last == LastComponent::kName) cache_.set_name(*node.value(), found.parent.node, found.name);
  lock.reset();
  if (wanted.is(O_TRUNC) && !wanted.is_path() && S_ISREG(attributes.mode)) {
    if (const auto done = node.value()->truncate(0); !done) return fail(done.error());
  }
  return hand_out(wanted, std::move(node).value());
}

Answer Service::open_special(const OpenRequest&, const Position& target) {
  const volume::Attributes& attributes = target.attributes;
  if (S_ISSOCK(attributes.mode)) return Answer::failure(ENXIO);
  Answer answer;
  answer.header.kind = protocol::ReplyKind::kHostPaths;
  if (S_ISFIFO(attributes.mode)) {
    const auto path = special_files_.fifo_path(key_of(*target.region, target.node));
    if (!path) return fail(path.error());
    answer.host_paths[0] = path.value();
    return answer;
  }
  const auto path = SpecialFiles::device_path(attributes.mode, attributes.device);
  if (!path) return Answer::failure(EACCES);  // as on a mount with nodev
  answer.host_paths[0] = *path;
  return answer;
}

Answer Service::hand_out(const OpenRequest& wanted, NodeReference node) {
  Answer answer;
  answer.header.slot = node->slot();
  answer.header.attributes = node->status();
  if (node->is_regular() && wanted.writes() && !wanted.is_path()) note_writer(*node);
  const bool reads = !wanted.is_path() && (wanted_access(wanted.flags) & kMayRead) != 0;
  if (node->is_regular() && reads && answer.header.attributes.size <= kSmallFile) {
    const auto loaded = node->populate({0, kSmallFile / protocol::kPageSize}, protocol::PopulatePurpose::kRead);
    if (!loaded) return fail(loaded.error());
  }
  int flags = (wanted.flags & O_ACCMODE) | (wanted.flags & kDescriptionFlags);
  if (!node->is_regular()) flags = O_RDONLY | (wanted.flags & O_NONBLOCK);
  if (wanted.is_path()) {
    flags = O_PATH;
    cache_.keep_for_path_handle(*node);
  }
  UniqueFd description;
  if (node->is_regular() && wanted.is(O_DIRECT) && !wanted.is_path()) {
    description = reopen(node->memory_file(), flags | O_DIRECT);  // newer kernels take it for memory files
  }
  if (!description.is_open()) description = reopen(node->memory_file(), flags);
  if (!description.is_open()) return Answer::failure(errno == EMFILE ? ENFILE : errno);
  answer.owned_descriptors.push_back(std::move(description));
  return answer;
}

}  // namespace casemate::keeper
