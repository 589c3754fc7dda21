#include "keeper/file_anchor.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "crypto/hash.h"
#include "crypto/kdf.h"

namespace casemate::keeper {
namespace {

constexpr std::array<char, 16> kMagic = {'c', 'a', 's', 'e', 'm', 'a', 't', 'e',
                                         '-', 'a', 'n', 'c', 'h', 'r', '2', '\n'};
constexpr std::size_t kRecordSpacing = 512;  // a sector: one torn write harms one record only
constexpr std::size_t kMappedSize = 4096;

Result<void> flush_directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const UniqueFd parent(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent.is_open() || fsync(parent.get()) != 0) {
    return Error::from_errno(directory + ": cannot make the anchor's name durable", errno);
  }
  return {};
}

}  // namespace

// On disk as in memory (x86-64: little endian). Fixed size, so a plain keyed hash over it cannot be extended.
struct FileAnchor::Record {
  std::array<char, 16> magic;
  std::array<std::byte, 16> volume_id;
  std::uint64_t count;
  std::uint64_t epoch, sequence;
  std::array<std::byte, 16> chain_tag;
  std::array<std::byte, 32> seal;
};

Result<std::unique_ptr<FileAnchor>> FileAnchor::open(const std::string& path, const volume::VolumeKey& key) {
  auto seal_key = CASEMATE_TRY(crypto::derive_key<32>(key.expose(), {}, "casemate anchor file v2"));
  return std::unique_ptr<FileAnchor>(new FileAnchor(path, std::move(seal_key)));
}

std::array<std::byte, 32> FileAnchor::seal_of(const Record& record) const {
  crypto::SecretBytes<32 + offsetof(Record, seal)> message;
  const auto out = message.expose_for_writing();
  std::memcpy(out.data(), key_.expose().data(), key_.size());
  std::memcpy(out.data() + key_.size(), &record, offsetof(Record, seal));
  return crypto::sha256(message.expose());
}

bool FileAnchor::verifies(const Record& record) const {
  return record.magic == kMagic && crypto::equal_in_constant_time(record.seal, seal_of(record));
}

void FileAnchor::bind(const std::array<std::byte, 16>& volume_id) {
  const std::lock_guard lock(mutex_);
  volume_id_ = volume_id;
}

Result<std::optional<volume::Position>> FileAnchor::load() {
  const std::lock_guard lock(mutex_);
  UniqueFd file(::open(path_.c_str(), O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!file.is_open() && errno == EROFS) file.reset(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open() && errno == ENOENT) return std::optional<volume::Position>();
  if (!file.is_open()) return Error::from_errno(path_ + ": cannot open the anchor", errno);
  std::uint64_t bytes_seen = 0;
  bool is_of_other_volume = false;
  for (off_t at = 0; at < 2; ++at) {
    Record record = {};
    const ssize_t got = pread(file.get(), &record, sizeof(record), at * off_t{kRecordSpacing});
    if (got < 0) return Error::from_errno(path_ + ": cannot read the anchor", errno);
    bytes_seen += static_cast<std::uint64_t>(got);
    if (got != ssize_t{sizeof(record)} || !verifies(record) || record.count < count_) continue;
    count_ = record.count;
    is_of_other_volume = volume_id_ && record.volume_id != *volume_id_;
    newest_ = volume::Position{record.epoch, record.sequence, record.chain_tag};
  }
  if (is_of_other_volume) {
    newest_.reset();
    return Error(ErrorCategory::kFormat,
                 path_ +
                     ": this anchor is of another volume of the same key: the volume was exchanged, or the anchor was; "
                     "find the right one",
                 ESTALE);
  }
  if (!newest_ && bytes_seen > 0) {
    return Error(ErrorCategory::kFormat,
                 path_ +
                     ": this anchor is damaged or belongs to another volume (or the key is another volume's); find "
                     "the right file, or remove it if you trust the volume's state as it is");
  }
  file_ = std::move(file);
  return newest_;
}

Result<void> FileAnchor::ensure_file() {
  if (file_.is_open()) return {};
  file_.reset(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600));
  if (!file_.is_open()) return Error::from_errno(path_ + ": cannot make the anchor", errno);
  return flush_directory_of(path_);
}

Result<void> FileAnchor::write_record(const volume::Position& position) {
  if (!volume_id_) return Error(ErrorCategory::kUsage, path_ + ": the anchor does not know its volume", EINVAL);
  if (auto opened = ensure_file(); !opened) return opened.error();
  Record record = {kMagic, *volume_id_, count_ + 1, position.epoch, position.sequence, position.chain_tag, {}};
  record.seal = seal_of(record);
  const std::size_t at = record.count % 2 * kRecordSpacing;
  if (!write_through_memory(record, at) &&
      pwrite(file_.get(), &record, sizeof(record), static_cast<off_t>(at)) != ssize_t{sizeof(record)}) {
    return Error::from_errno(path_ + ": cannot write the anchor", errno);
  }
  count_ = record.count;
  newest_ = position;
  return {};
}

// The host's cache of the file, without a system call: each write would change the file's time, and hosts without a
// journal write inodes with the next fdatasync of any file whose inode lies beside it, the volume's mostly. False: the
// file is too short (it may have been cut) or cannot be mapped.
bool FileAnchor::write_through_memory(const Record& record, std::size_t at) {
  struct stat status = {};
  if (fstat(file_.get(), &status) != 0 || status.st_size < off_t{kRecordSpacing + sizeof(Record)}) return false;
  if (memory_ == nullptr) {
    void* const mapped = mmap(nullptr, kMappedSize, PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), 0);
    if (mapped == MAP_FAILED) return false;
    memory_.reset(static_cast<std::byte*>(mapped));
  }
  std::memcpy(memory_.get() + at, &record, sizeof(record));
  return true;
}

void FileAnchor::unmap(std::byte* memory) { munmap(memory, kMappedSize); }

Result<void> FileAnchor::note(const volume::Position& position) {
  const std::lock_guard lock(mutex_);
  // Concurrent syncs may arrive in any order; the anchor never goes back.
  if (newest_ && std::pair(position.epoch, position.sequence) <= std::pair(newest_->epoch, newest_->sequence))
    return {};
  return write_record(position);
}

Result<std::optional<volume::Position>> FileAnchor::make_durable() {
  UniqueFd file;
  std::optional<volume::Position> position;
  {
    const std::lock_guard lock(mutex_);
    if (!newest_ || !file_.is_open()) return newest_;
    file.reset(fcntl(file_.get(), F_DUPFD_CLOEXEC, 3));
    position = newest_;
  }
  if (!file.is_open() || fdatasync(file.get()) != 0) {
    return Error::from_errno(path_ + ": cannot make the anchor durable", errno);
  }
  return position;
}

Result<void> FileAnchor::store(const volume::Position& position) {
  {
    const std::lock_guard lock(mutex_);
    if (auto written = write_record(position); !written) return written.error();
  }
  auto durable = make_durable();
  if (!durable) return durable.error();
  return {};
}

}  // namespace casemate::keeper
