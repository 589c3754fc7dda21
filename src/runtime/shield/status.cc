#include "runtime/shield/status.h"

#include <fcntl.h>
#include <sys/syscall.h>

#include "runtime/engine/process/host_call.h"
#include "runtime/intercept/dispatch.h"
#include "runtime/shield/arena.h"
#include "runtime/shield/calls.h"
#include "runtime/shield/kinds.h"

namespace casemate::runtime {
namespace {

using protocol::NodeKind;
using protocol::ShieldAttributes;
using protocol::ShieldTime;

inline constexpr long kEbadf = -9, kEio = -5;

timespec time_of(const ShieldTime& time) { return {time.seconds, static_cast<long>(time.nanoseconds)}; }
statx_timestamp statx_time_of(const ShieldTime& time) {
  statx_timestamp result{};
  result.tv_sec = time.seconds;
  result.tv_nsec = time.nanoseconds;
  return result;
}
ShieldTime shield_time(const timespec& time) { return {time.tv_sec, static_cast<std::uint32_t>(time.tv_nsec), 0}; }

bool is_later(const ShieldTime& left, const ShieldTime& right) {
  return left.seconds != right.seconds ? left.seconds > right.seconds : left.nanoseconds > right.nanoseconds;
}
bool is_same(const ShieldTime& left, const ShieldTime& right) {
  return left.seconds == right.seconds && left.nanoseconds == right.nanoseconds;
}

// Linux's new_encode_dev, as st_dev holds it.
std::uint32_t major_of(std::uint64_t device) { return static_cast<std::uint32_t>((device & 0xfff00) >> 8); }
std::uint32_t minor_of(std::uint64_t device) {
  return static_cast<std::uint32_t>((device & 0xff) | ((device >> 12) & 0xfff00));
}

}  // namespace

long give_stat(const ShieldAttributes& attributes, GuestAddr buffer) {
  struct stat status {};
  status.st_dev = attributes.device;
  status.st_ino = attributes.inode;
  status.st_nlink = attributes.link_count;
  status.st_mode = attributes.mode;
  status.st_uid = attributes.uid;
  status.st_gid = attributes.gid;
  status.st_rdev = attributes.special_device;
  status.st_size = static_cast<long>(attributes.size);
  status.st_blksize = protocol::kPageSize;
  status.st_blocks = static_cast<long>(attributes.block_count);
  status.st_atim = time_of(attributes.access_time);
  status.st_mtim = time_of(attributes.modify_time);
  status.st_ctim = time_of(attributes.change_time);
  return write_guest(buffer, status);
}

long give_statx(const ShieldAttributes& attributes, GuestAddr buffer) {
  struct statx status {};
  status.stx_mask = STATX_BASIC_STATS | STATX_BTIME;
  status.stx_blksize = protocol::kPageSize;
  status.stx_nlink = attributes.link_count;
  status.stx_uid = attributes.uid;
  status.stx_gid = attributes.gid;
  status.stx_mode = static_cast<std::uint16_t>(attributes.mode);
  status.stx_ino = attributes.inode;
  status.stx_size = attributes.size;
  status.stx_blocks = attributes.block_count;
  status.stx_atime = statx_time_of(attributes.access_time);
  status.stx_btime = statx_time_of(attributes.birth_time);
  status.stx_ctime = statx_time_of(attributes.change_time);
  status.stx_mtime = statx_time_of(attributes.modify_time);
  status.stx_rdev_major = major_of(attributes.special_device);
  status.stx_rdev_minor = minor_of(attributes.special_device);
  status.stx_dev_major = major_of(attributes.device);
  status.stx_dev_minor = minor_of(attributes.device);
  return write_guest(buffer, status);
}

long attributes_of(std::int64_t fd, std::uint32_t slot, ShieldAttributes& attributes) {
  struct stat status;
  const long error = host_call(SYS_fstat, static_cast<long>(fd), reinterpret_cast<long>(&status));
  if (error != 0) return error;
  ShieldTime loaded{};
  if (!copy_attributes(slot, attributes, loaded)) return kEio;
  if (slot_at(slot).kind != NodeKind::kRegular) return 0;
  const bool resized = attributes.size != static_cast<std::uint64_t>(status.st_size);
  attributes.size = static_cast<std::uint64_t>(status.st_size);
  const ShieldTime modified = shield_time(status.st_mtim);
  const bool written = !is_same(modified, loaded);
  if (written) attributes.modify_time = modified;
  if (written && is_later(modified, attributes.change_time)) attributes.change_time = modified;
  // Evicted pages count on the volume, new ones in the memory file.
  const auto present = static_cast<std::uint64_t>(status.st_blocks);
  if (resized ? !written || present > attributes.block_count : present > attributes.block_count) {
    attributes.block_count = present;
  }
  const std::uint64_t largest = (attributes.size + protocol::kPageSize - 1) / protocol::kPageSize * 8;
  if (attributes.block_count > largest) attributes.block_count = largest;
  return 0;
}

long shield_fstat(Thread& thread, Regs& regs) {
  const auto fd = static_cast<std::int32_t>(regs.rdi);
  if (is_runtime_descriptor(thread, fd)) return kEbadf;
  const DescriptorKind kind = kind_of(thread, fd);
  if (!kind.shielded()) return pass_through(thread, regs);
  ShieldAttributes attributes;
  const long error = attributes_of(fd, kind.slot, attributes);
  return error != 0 ? error : give_stat(attributes, guest(regs.rsi));
}

}  // namespace casemate::runtime
