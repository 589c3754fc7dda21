// Requests about attributes of nodes: stat(2), access(2), chmod(2), chown(2), utimensat(2), statfs(2), xattr(7).
#include <fcntl.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "keeper/attributes.h"
#include "keeper/service.h"

namespace casemate::keeper {
namespace {

constexpr std::uint32_t kKeepId = ~std::uint32_t{0};
constexpr long kVolumeMagic = 0x436d7631;  // f_type
constexpr std::size_t kLargestAttribute = 32 * 1024;

Answer with_data(std::span<const std::byte> bytes, std::uint64_t capacity) {
  Answer answer;
  answer.header.result = static_cast<std::int64_t>(bytes.size());
  if (capacity == 0) return answer;  // asks for the size
  if (bytes.size() > capacity) return Answer::failure(ERANGE);
  answer.data.assign(bytes.begin(), bytes.end());
  return answer;
}

// One of utimensat's two times. False: leave it.
bool choose_time(const timespec& given, const volume::Timestamp& now, std::optional<volume::Timestamp>* out) {
  if (given.tv_nsec == UTIME_OMIT) return true;
  if (given.tv_nsec == UTIME_NOW) {
    *out = now;
    return true;
  }
  if (given.tv_nsec < 0 || given.tv_nsec > 999'999'999) return false;
  *out = to_timestamp(given);
  return true;
}

}  // namespace

Answer Service::status(const ParsedRequest& request) {
  const std::uint64_t generation = cache_.generation();
  const SharedLock lock(names_);
  Answer answer;
  if (request.paths[0].empty()) {
    if (const NodeReference node = node_of_slot(request)) {
      answer.header.attributes = node->status();
      return answer;
    }
  }
  Resolution found;
  const std::uint64_t follow_flags = request.header.arguments[0];
  if (const int code = locate_existing(request, follow_flags, &found)) {
    if (code == ENOENT) keep_missing(request, found, follow_flags);
    return Answer::failure(code);
  }
  if (found.is_host()) return host_answer(found);
  const auto depends = answers_.dependencies(found);
  bool may_change = false;
  answer.header.attributes = status_of(*found.target.region, found.target.attributes, generation, &may_change);
  if (depends && !may_change) {
    answers_.keep(request, protocol::Operation::kStatus, follow_flags, 0, *depends, 0, &answer.header.attributes);
  }
  return answer;
}

Answer Service::access(const ParsedRequest& request) {
  const SharedLock lock(names_);
  Resolution found;
  const std::uint64_t a0 = request.header.arguments[0], a1 = request.header.arguments[1];
  const auto keep = [&](int code) {
    if (const auto depends = answers_.dependencies(found)) {
      answers_.keep(request, protocol::Operation::kAccess, a0, a1, *depends, code, nullptr);
    }
    return Answer::failure(code);
  };
  if (const int code = locate_existing(request, a1, &found)) {
    const bool is_missing = code == ENOENT && found.parent.region != nullptr && !found.is_host();
    return is_missing ? keep(code) : Answer::failure(code);
  }
  if (found.is_host()) return host_answer(found);
  const auto wanted = static_cast<std::uint32_t>(request.header.arguments[0]);
  if ((wanted & ~std::uint32_t{R_OK | W_OK | X_OK}) != 0) return Answer::failure(EINVAL);
  const volume::Attributes& attributes = found.target.attributes;
  const bool is_contents = S_ISREG(attributes.mode) || S_ISDIR(attributes.mode) || S_ISLNK(attributes.mode);
  if ((wanted & W_OK) != 0 && is_contents && found.target.region->is_read_only()) return Answer::failure(EROFS);
  return keep(check_access(request.caller(), attributes, wanted));
}

Answer Service::change_mode(const ParsedRequest& request) {
  const ExclusiveLock lock(names_);
  Resolution found;
  if (const int code = locate_existing(request, request.header.arguments[1], &found)) return Answer::failure(code);
  if (found.is_host()) return host_answer(found);
  const volume::Attributes& attributes = found.target.attributes;
  if (found.target.region->is_read_only()) return Answer::failure(EROFS);
  if (S_ISLNK(attributes.mode)) return Answer::failure(EOPNOTSUPP);
  const CallerCredentials caller = request.caller();
  if (!caller.owns(attributes)) return Answer::failure(EPERM);
  volume::AttributeChange change;
  change.permissions = permitted_mode(caller, attributes, static_cast<std::uint32_t>(request.header.arguments[0]));
  const auto changed = found.target.region->volume->set_attributes(found.target.node, change);
  if (!changed) return fail(changed.error());
  show_change(*found.target.region, changed.value());
  note_structure(changed.value());
  return {};
}

Answer Service::change_owner(const ParsedRequest& request) {
  const ExclusiveLock lock(names_);
  Resolution found;
  if (const int code = locate_existing(request, request.header.arguments[2], &found)) return Answer::failure(code);
  if (found.is_host()) return host_answer(found);
  const volume::Attributes& attributes = found.target.attributes;
  if (found.target.region->is_read_only()) return Answer::failure(EROFS);
  const auto uid = static_cast<std::uint32_t>(request.header.arguments[0]);
  const auto gid = static_cast<std::uint32_t>(request.header.arguments[1]);
  const CallerCredentials caller = request.caller();
  if (!caller.is_privileged()) {
    if (uid != kKeepId && (uid != attributes.uid || caller.uid != attributes.uid)) return Answer::failure(EPERM);
    if (gid != kKeepId && (caller.uid != attributes.uid || !(gid == attributes.gid || caller.is_member(gid)))) {
      return Answer::failure(EPERM);
    }
  }
  volume::AttributeChange change;
  if (uid != kKeepId) change.uid = uid;
  if (gid != kKeepId) change.gid = gid;
  if (S_ISREG(attributes.mode) && (attributes.mode & (S_ISUID | S_ISGID)) != 0) {
    std::uint32_t kept = attributes.mode & 07777 & ~std::uint32_t{S_ISUID};
    if ((attributes.mode & S_IXGRP) != 0) kept &= ~std::uint32_t{S_ISGID};
    change.permissions = kept;
  }
  const auto changed = found.target.region->volume->set_attributes(found.target.node, change);
  if (!changed) return fail(changed.error());
  show_change(*found.target.region, changed.value());
  note_structure(changed.value());
  return {};
}

Answer Service::change_times(const ParsedRequest& request) {
  timespec times[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
  if (!request.data.empty() && request.data.size() != sizeof(times)) return Answer::failure(EINVAL);
  if (!request.data.empty()) std::memcpy(times, request.data.data(), sizeof(times));
  const ExclusiveLock lock(names_);
  Resolution found;
  if (const int code = locate_existing(request, request.header.arguments[0], &found)) return Answer::failure(code);
  if (found.is_host()) return host_answer(found);
  if (found.target.region->is_read_only()) return Answer::failure(EROFS);
  const volume::Timestamp now = SystemClock().now();
  volume::AttributeChange change;
  if (!choose_time(times[0], now, &change.access_time) || !choose_time(times[1], now, &change.modify_time)) {
    return Answer::failure(EINVAL);
  }
  if (!change.access_time && !change.modify_time) return {};
  const CallerCredentials caller = request.caller();
  if (!caller.owns(found.target.attributes)) {
    const bool both_now = times[0].tv_nsec == UTIME_NOW && times[1].tv_nsec == UTIME_NOW;
    if (!both_now) return Answer::failure(EPERM);
    if (check_access(caller, found.target.attributes, kMayWrite) != 0) return Answer::failure(EACCES);
  }
  const auto changed = found.target.region->volume->set_attributes(found.target.node, change);
  if (!changed) return fail(changed.error());
  if (const NodeReference node = cache_.find(key_of(*found.target.region, found.target.node))) {
    if (change.modify_time) node->set_modify_time(*change.modify_time);
    node->publish(changed.value());
  }
  answers_.node_changed(key_of(*found.target.region, found.target.node));
  return {};
}

Answer Service::status_of_file_system(const ParsedRequest& request) {
  const SharedLock lock(names_);
  Resolution found;
  if (const int code = locate_existing(request, 0, &found)) return Answer::failure(code);
  if (found.is_host()) return host_answer(found);
  const Region& region = *found.target.region;
  const auto statistics = region.volume->statistics();
  if (!statistics) return fail(statistics.error());
  struct statfs out = {};
  out.f_type = kVolumeMagic;
  out.f_bsize = out.f_frsize = protocol::kPageSize;
  out.f_blocks = statistics.value().capacity_bytes / protocol::kPageSize;
  out.f_bfree = out.f_bavail = statistics.value().free_bytes / protocol::kPageSize;
  out.f_files = statistics.value().inode_count + out.f_bfree;
  out.f_ffree = out.f_bfree;
  out.f_namelen = volume::kMaximumNameSize;
  const std::uint64_t device = region.device();
  std::memcpy(&out.f_fsid, &device, sizeof(out.f_fsid));
  constexpr long kFlagsAreValid = 0x20, kReadOnly = 1, kNoAccessTimes = 1024;  // ST_VALID, ST_RDONLY, ST_NOATIME
  out.f_flags = kFlagsAreValid | kNoAccessTimes | (region.is_read_only() ? kReadOnly : 0);
  Answer answer;
  const auto bytes = std::as_bytes(std::span(&out, 1));
  answer.data.assign(bytes.begin(), bytes.end());
  return answer;
}

// --- extended attributes ---

int Service::check_attribute_name(std::string_view name, const volume::Attributes& attributes,
                                  const CallerCredentials& caller, std::uint32_t wanted) {
  const bool writes = (wanted & kMayWrite) != 0;
  if (name.empty() || name.size() > XATTR_NAME_MAX) return ERANGE;
  if (name.starts_with("user.") && name.size() > 5) {
    if (!S_ISREG(attributes.mode) && !S_ISDIR(attributes.mode)) return writes ? EPERM : ENODATA;
    if (S_ISDIR(attributes.mode) && (attributes.mode & S_ISVTX) != 0 && writes && !caller.owns(attributes))
      return EPERM;
    return check_access(caller, attributes, wanted);
  }
  if (name.starts_with("trusted.")) return caller.is_privileged() ? 0 : writes ? EPERM : ENODATA;
  if (name.starts_with("security.")) return caller.is_privileged() || !writes ? 0 : EPERM;
  return EOPNOTSUPP;
}

Answer Service::get_attribute(const ParsedRequest& request) {
  const SharedLock lock(names_);
  Resolution found;
  if (const int code = locate_existing(request, request.header.arguments[1], &found)) return Answer::failure(code);
  if (found.is_host()) return host_answer(found);
  if (const int code = check_attribute_name(request.paths[1], found.target.attributes, request.caller(), kMayRead)) {
    return Answer::failure(code);
  }
  const auto value = found.target.region->volume->extended_attribute(found.target.node, request.paths[1]);
  return value ? with_data(value.value(), request.header.arguments[0]) : fail(value.error());
}

Answer Service::set_attribute(const ParsedRequest& request) {
  const ExclusiveLock lock(names_);
  Resolution found;
  if (const int code = locate_existing(request, request.header.arguments[1], &found)) return Answer::failure(code);
  if (found.is_host()) return host_answer(found);
  if (found.target.region->is_read_only()) return Answer::failure(EROFS);
  if (const int code = check_attribute_name(request.paths[1], found.target.attributes, request.caller(), kMayWrite)) {
    return Answer::failure(code);
  }
  const auto flags = static_cast<int>(request.header.arguments[0]);
  if (flags != 0 && flags != XATTR_CREATE && flags != XATTR_REPLACE) return Answer::failure(EINVAL);
  if (request.data.size() > kLargestAttribute) return Answer::failure(E2BIG);
  const auto done =
      found.target.region->volume->set_extended_attribute(found.target.node, request.paths[1], request.data, flags);
  if (!done) return fail(done.error());
  show_change(*found.target.region, found.target.node);
  return {};
}

Answer Service::list_attributes(const ParsedRequest& request) {
  const SharedLock lock(names_);
  Resolution found;
  if (const int code = locate_existing(request, request.header.arguments[1], &found)) return Answer::failure(code);
  if (found.is_host()) return host_answer(found);
  const auto names = found.target.region->volume->extended_attribute_names(found.target.node);
  if (!names) return fail(names.error());
  std::vector<std::byte> list;
  for (const std::string& name : names.value()) {
    if (name.starts_with("trusted.") && request.header.credentials.uid != 0) continue;
    const auto bytes = std::as_bytes(std::span(name.c_str(), name.size() + 1));
    list.insert(list.end(), bytes.begin(), bytes.end());
  }
  if (list.size() > protocol::kMessageCapacity - sizeof(protocol::Reply)) return Answer::failure(E2BIG);
  return with_data(list, request.header.arguments[0]);
}

Answer Service::remove_attribute(const ParsedRequest& request) {
  const ExclusiveLock lock(names_);
  Resolution found;
  if (const int code = locate_existing(request, request.header.arguments[1], &found)) return Answer::failure(code);
  if (found.is_host()) return host_answer(found);
  if (found.target.region->is_read_only()) return Answer::failure(EROFS);
  if (const int code = check_attribute_name(request.paths[1], found.target.attributes, request.caller(), kMayWrite)) {
    return Answer::failure(code);
  }
  const auto done = found.target.region->volume->remove_extended_attribute(found.target.node, request.paths[1]);
  if (!done) return fail(done.error());
  show_change(*found.target.region, found.target.node);
  return {};
}

}  // namespace casemate::keeper
