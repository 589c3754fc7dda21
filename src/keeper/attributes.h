// Between the engine's, the kernel's and the protocol's ways to say the same about a node.
#pragma once

#include <sys/stat.h>
#include <time.h>

#include <tuple>

#include "protocol/shield.h"
#include "volume/volume.h"

namespace casemate::keeper {

inline timespec to_timespec(const volume::Timestamp& time) {
  return {time.seconds, static_cast<long>(time.nanoseconds)};
}
inline volume::Timestamp to_timestamp(const timespec& time) {
  return {time.tv_sec, static_cast<std::uint32_t>(time.tv_nsec)};
}
inline protocol::ShieldTime to_shield(const volume::Timestamp& time) { return {time.seconds, time.nanoseconds, 0}; }
inline protocol::ShieldTime to_shield(const timespec& time) { return to_shield(to_timestamp(time)); }

inline bool is_later(const protocol::ShieldTime& left, const protocol::ShieldTime& right) {
  return std::tie(left.seconds, left.nanoseconds) > std::tie(right.seconds, right.nanoseconds);
}
inline bool is_same(const timespec& left, const timespec& right) {
  return left.tv_sec == right.tv_sec && left.tv_nsec == right.tv_nsec;
}

inline protocol::NodeKind to_node_kind(std::uint32_t mode) {
  if (S_ISREG(mode)) return protocol::NodeKind::kRegular;
  if (S_ISDIR(mode)) return protocol::NodeKind::kDirectory;
  if (S_ISLNK(mode)) return protocol::NodeKind::kSymbolicLink;
  return protocol::NodeKind::kOther;
}

inline protocol::ShieldAttributes to_shield(const volume::Attributes& attributes, std::uint64_t device) {
  protocol::ShieldAttributes out = {};
  out.device = device;
  out.inode = attributes.inode;
  out.mode = attributes.mode;
  out.uid = attributes.uid;
  out.gid = attributes.gid;
  out.link_count = attributes.link_count;
  out.special_device = attributes.device;
  out.size = attributes.size;
  out.block_count = attributes.allocated_size / 512;
  out.access_time = to_shield(attributes.access_time);
  out.modify_time = to_shield(attributes.modify_time);
  out.change_time = to_shield(attributes.change_time);
  out.birth_time = to_shield(attributes.birth_time);
  return out;
}

}  // namespace casemate::keeper
