#include "keeper/host_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <thread>

namespace casemate::keeper {
namespace {

constexpr std::chrono::milliseconds kRetryInterval{20};
// From this size on a transfer is bulk data: started on its way to the disk at once, and not kept by the host.
constexpr std::size_t kBulkSize = 256 * 1024;
// What every host takes for writes past its page cache, of offsets, sizes and addresses. Larger ones gain nothing.
constexpr std::size_t kDirectAlignment = 4096;
constexpr std::size_t kLargestDirect = 64 * 1024;

int open_flags(StoreAccess access) {
  switch (access) {
    case StoreAccess::kReadOnly:
      return O_RDONLY;
    case StoreAccess::kCreateNew:
      return O_RDWR | O_CREAT | O_EXCL;
    case StoreAccess::kReadWrite:
      break;
  }
  return O_RDWR;
}

// The process that holds a flock on this file, from /proc/locks; 0 when it is not to be seen (another pid namespace).
// A line: "3: FLOCK  ADVISORY  WRITE 4711 fe:00:1234 0 EOF".
int find_lock_holder(const struct stat& status) {
  std::ifstream locks("/proc/locks");
  std::string line;
  while (std::getline(locks, line)) {
    int pid = 0;
    unsigned major_number = 0, minor_number = 0;
    unsigned long long inode = 0;
    const int matched =
        std::sscanf(line.c_str(), "%*s %*s %*s %*s %d %x:%x:%llu", &pid, &major_number, &minor_number, &inode);
    if (matched == 4 && inode == status.st_ino && makedev(major_number, minor_number) == status.st_dev) return pid;
  }
  return 0;
}

Error in_use(const std::string& path, const struct stat& status) {
  const int holder = find_lock_holder(status);
  const std::string who = holder > 0 ? "process " + std::to_string(holder) : "another process";
  return Error(ErrorCategory::kUsage,
               path + ": in use by " + who + "; a volume is mounted by one application at a time. Wait until it ends",
               EBUSY);
}

Result<void> lock(int fd, const std::string& path, const struct stat& status, const HostStoreOptions& options) {
  const int operation = (options.access == StoreAccess::kReadOnly ? LOCK_SH : LOCK_EX) | LOCK_NB;
  const auto deadline = std::chrono::steady_clock::now() + options.patience;
  while (flock(fd, operation) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return Error::from_errno(path + ": cannot lock the file", errno);
    if (std::chrono::steady_clock::now() >= deadline) return in_use(path, status);
    std::this_thread::sleep_for(kRetryInterval);
  }
  return {};
}

off_t to_offset(std::uint64_t value) { return static_cast<off_t>(value); }

// Without access times: each look at a superblock between two commits would change the inode, and hosts that have no
// journal (ext4 without one) write that with every fdatasync. Only the file's owner may ask for it, hence unchecked.
void keep_access_time(int fd) { (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NOATIME); }

// A description of its own without the host's page cache. Not open for readers, and where the host has no such thing.
UniqueFd open_directly(int fd, StoreAccess access) {
  if (access == StoreAccess::kReadOnly) return {};
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  UniqueFd direct(::open(link.c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (direct.is_open()) keep_access_time(direct.get());
  return direct;
}

}  // namespace

Result<std::unique_ptr<HostStore>> HostStore::open(const std::string& path, const HostStoreOptions& options) {
  const int flags = open_flags(options.access) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  UniqueFd file(::open(path.c_str(), flags, 0600));
  if (!file.is_open()) return Error::from_errno(path + ": cannot open the volume", errno);
  struct stat status = {};
  if (fstat(file.get(), &status) != 0) return Error::from_errno(path + ": cannot look at the volume", errno);
  if (!S_ISREG(status.st_mode)) return Error(ErrorCategory::kUsage, path + ": a volume is a regular file", EINVAL);
  if (auto locked = lock(file.get(), path, status, options); !locked) return locked.error();
  keep_access_time(file.get());
  posix_fadvise(file.get(), 0, 0, POSIX_FADV_RANDOM);  // read-ahead is the page cache's business, which knows the files
  UniqueFd direct = open_directly(file.get(), options.access);
  return std::unique_ptr<HostStore>(new HostStore(std::move(file), std::move(direct), path));
}

Error HostStore::failure(const char* what, std::uint64_t offset, int code) const {
  return Error(ErrorCategory::kSystem,
               path_ + ": " + what + " at offset " + std::to_string(offset) + ": " + std::strerror(code), code);
}

Result<std::uint64_t> HostStore::size() const {
  struct stat status = {};
  if (fstat(file_.get(), &status) != 0) return failure("cannot tell the size", 0, errno);
  return static_cast<std::uint64_t>(status.st_size);
}

Result<void> HostStore::read(std::uint64_t offset, std::span<std::byte> out) const {
  const std::uint64_t start = offset;
  const std::size_t whole = out.size();
  while (!out.empty()) {
    const ssize_t got = pread(file_.get(), out.data(), out.size(), to_offset(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failure("cannot read", offset, errno);
    if (got == 0) {
      return Error(ErrorCategory::kFormat,
                   path_ + ": ends at offset " + std::to_string(offset) + ", where more must follow; it was truncated",
                   EIO);
    }
    offset += static_cast<std::uint64_t>(got);
    out = out.subspan(static_cast<std::size_t>(got));
  }
  if (whole >= kBulkSize) posix_fadvise(file_.get(), to_offset(start), to_offset(whole), POSIX_FADV_DONTNEED);
  return {};
}

Result<void> HostStore::write(std::uint64_t offset, std::span<const std::byte> data) {
  const std::uint64_t start = offset;
  const std::size_t whole = data.size();
  while (!data.empty()) {
    const ssize_t written = pwrite(file_.get(), data.data(), data.size(), to_offset(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return failure("cannot write", offset, written < 0 ? errno : EIO);
    offset += static_cast<std::uint64_t>(written);
    data = data.subspan(static_cast<std::size_t>(written));
  }
  if (whole >= kBulkSize) {
    sync_file_range(file_.get(), to_offset(start), to_offset(whole), SYNC_FILE_RANGE_WRITE);
  }
  return {};
}

Result<void> HostStore::flush() {
  while (fdatasync(file_.get()) != 0) {
    if (errno != EINTR) return failure("cannot make the volume durable", 0, errno);
  }
  return {};
}

// One call instead of two, and the host writes out nothing but this range. Where it does not know how, or wrote a part
// only, the ordinary calls do all of it. Not after errors of the disk: those may be older writes', and are told once.
Result<void> HostStore::write_durably(std::uint64_t offset, std::span<const std::byte> data) {
  if (write_directly(offset, data)) return {};
  iovec part = {const_cast<std::byte*>(data.data()), data.size()};
  const ssize_t written = pwritev2(file_.get(), &part, 1, to_offset(offset), RWF_DSYNC);
  if (written == static_cast<ssize_t>(data.size())) return {};
  const bool is_worth_a_try = written >= 0 || errno == EOPNOTSUPP || errno == ENOSYS || errno == EINTR;
  if (!is_worth_a_try) return failure("cannot make the volume durable", offset, errno);
  return ByteStore::write_durably(offset, data);
}

// Small whole blocks skip the host's page cache: it would look for dirty pages, and nobody reads the journal again.
// False: nothing is promised; the ordinary way writes it all again, and tells what is wrong (errors of earlier writes
// too: each description is told of them).
bool HostStore::write_directly(std::uint64_t offset, std::span<const std::byte> data) {
  if (!direct_.is_open() || !writes_directly_.load(std::memory_order_relaxed)) return false;
  if (offset % kDirectAlignment != 0 || data.size() % kDirectAlignment != 0 || data.size() > kLargestDirect)
    return false;
  alignas(kDirectAlignment) std::array<std::byte, kLargestDirect> buffer;
  std::memcpy(buffer.data(), data.data(), data.size());
  iovec part = {buffer.data(), data.size()};
  const ssize_t written = pwritev2(direct_.get(), &part, 1, to_offset(offset), RWF_DSYNC);
  if (written == static_cast<ssize_t>(data.size())) return true;
  if (written < 0 && errno == EINVAL) writes_directly_.store(false, std::memory_order_relaxed);
  return false;
}

Result<void> HostStore::resize(std::uint64_t size) {
  const std::uint64_t old_size = CASEMATE_TRY(this->size());
  if (size <= old_size) {
    if (ftruncate(file_.get(), to_offset(size)) != 0) return failure("cannot shorten the volume", size, errno);
    return {};
  }
  // Space now rather than ENOSPC later; hosts without fallocate (NFS, some FUSE) get a hole.
  int code = 0;
  do {
    code = fallocate(file_.get(), 0, to_offset(old_size), to_offset(size - old_size)) == 0 ? 0 : errno;
  } while (code == EINTR);
  if (code == EOPNOTSUPP || code == ENOSYS) code = ftruncate(file_.get(), to_offset(size)) == 0 ? 0 : errno;
  if (code != 0) return failure("cannot enlarge the volume", size, code);
  return {};
}

volume::Timestamp SystemClock::now() const {
  timespec time = {};
  clock_gettime(CLOCK_REALTIME, &time);
  return {time.tv_sec, static_cast<std::uint32_t>(time.tv_nsec)};
}

}  // namespace casemate::keeper
