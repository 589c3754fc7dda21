#include "las/measured_files.h"

#include <linux/fsverity.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <string>

#include "las/files.h"

namespace casemate::las {
namespace {

using protocol::LasRefusal;

constexpr std::size_t kSizeLimit = 64 * 1024 * 1024;
constexpr std::size_t kEntryLimit = 256;

// Whoever serves these can show different bytes at each read.
constexpr std::uint64_t kSelfServing[] = {FUSE_SUPER_MAGIC, NFS_SUPER_MAGIC,  CIFS_SUPER_MAGIC,
                                          SMB2_SUPER_MAGIC, SMB_SUPER_MAGIC,  V9FS_MAGIC,
                                          AFS_SUPER_MAGIC,  CEPH_SUPER_MAGIC, CODA_SUPER_MAGIC};

crypto::Bytes verity_digest_of(int fd) {
  constexpr std::size_t kDigestLimit = 64;
  alignas(fsverity_digest) std::byte buffer[sizeof(fsverity_digest) + kDigestLimit] = {};
  auto* const sealed = new (buffer) fsverity_digest{};
  sealed->digest_size = kDigestLimit;
  if (ioctl(fd, FS_IOC_MEASURE_VERITY, sealed) != 0 || sealed->digest_size > kDigestLimit) return {};
  const std::byte* const digest = buffer + sizeof(fsverity_digest);
  crypto::Bytes sealed_by(digest, digest + sealed->digest_size);
  sealed_by.push_back(static_cast<std::byte>(sealed->digest_algorithm));
  return sealed_by;
}

}  // namespace

Result<FileFacts> facts_of(int fd) {
  struct stat status = {};
  struct statfs system = {};
  if (fstat(fd, &status) != 0 || fstatfs(fd, &system) != 0) return Error::from_errno("cannot examine the file", errno);
  if (!S_ISREG(status.st_mode)) return Error(ErrorCategory::kUsage, "not a regular file");
  FileFacts facts;
  facts.device = status.st_dev;
  facts.inode = status.st_ino;
  facts.size = static_cast<std::uint64_t>(status.st_size);
  facts.change_seconds = status.st_ctim.tv_sec;
  facts.change_nanoseconds = status.st_ctim.tv_nsec;
  facts.owner = status.st_uid;
  facts.mode = status.st_mode;
  facts.link_count = status.st_nlink;
  facts.file_system = static_cast<std::uint64_t>(system.f_type);
  facts.verity_digest = verity_digest_of(fd);
  return facts;
}

Trust judge_file(const FileFacts& facts, uid_t las_user) {
  if (std::ranges::find(kSelfServing, facts.file_system) != std::end(kSelfServing)) return Trust::kRefused;
  const bool named = facts.link_count > 0;
  if (!facts.verity_digest.empty()) return named ? Trust::kRemember : Trust::kMeasureOnce;
  const bool others_write = (facts.mode & (S_IWGRP | S_IWOTH)) != 0;
  if (others_write || (facts.owner != 0 && facts.owner != las_user)) return Trust::kRefused;
  return facts.owner == 0 && named ? Trust::kRemember : Trust::kMeasureOnce;
}

MeasuredFiles::Outcome MeasuredFiles::measure(int fd) {
  const Result<FileFacts> before = facts_of(fd);
  if (!before.has_value()) return {LasRefusal::kNotExecutable, {}};
  const Trust trust = judge_file(before.value(), las_user_);
  if (trust == Trust::kRefused) return {LasRefusal::kFileNotTrusted, {}};
  if (const auto known = find(before.value()); known.has_value()) return {LasRefusal::kNone, *known};
  const Result<std::string> content = read_from_start(fd, kSizeLimit);
  if (!content.has_value()) return {LasRefusal::kNotExecutable, {}};
  const Result<evidence::Digest32> measurement = measure_(crypto::as_byte_view(content.value()));
  if (!measurement.has_value()) return {LasRefusal::kNotExecutable, {}};
  const Result<FileFacts> after = facts_of(fd);
  if (!after.has_value() || !(after.value() == before.value())) return {LasRefusal::kFileChanged, {}};
  remember(before.value(), trust == Trust::kRemember ? std::optional(measurement.value()) : std::nullopt);
  return {LasRefusal::kNone, measurement.value()};
}

bool MeasuredFiles::knows(int fd) const {
  const Result<FileFacts> facts = facts_of(fd);
  if (!facts.has_value()) return false;
  const std::lock_guard lock(mutex_);
  return entries_.contains({facts.value().device, facts.value().inode});
}

std::uint64_t MeasuredFiles::measured_count() const {
  const std::lock_guard lock(mutex_);
  return measured_;
}

std::uint64_t MeasuredFiles::remembered_count() const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::uint64_t>(
      std::ranges::count_if(entries_, [](const auto& entry) { return entry.second.measurement.has_value(); }));
}

std::optional<evidence::Digest32> MeasuredFiles::find(const FileFacts& facts) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find({facts.device, facts.inode});
  if (found == entries_.end() || !(found->second.facts == facts)) return std::nullopt;
  return found->second.measurement;
}

void MeasuredFiles::remember(const FileFacts& facts, std::optional<evidence::Digest32> measurement) {
  const std::lock_guard lock(mutex_);
  ++measured_;
  if (entries_.size() >= kEntryLimit) entries_.clear();  // an installation has one runtime, an upgrade two
  entries_[{facts.device, facts.inode}] = {facts, measurement};
}

}  // namespace casemate::las
