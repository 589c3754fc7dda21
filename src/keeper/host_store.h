// The host's side of the volume engine: a store in a host file, and the host's clock.
//
// What a hostile host can do here -> what we answer
//   everything that byte_store.h lists                   -> the engine's business
//   short reads and writes, EINTR                        -> finished here; then an error with offset and errno
//   two mounts of one file                               -> the second waits, then is refused and names the first's pid
//   the file shrinks while in use                        -> kFormat for the read, as byte_store.h wants
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "volume/byte_store.h"

namespace casemate::keeper {

enum class StoreAccess {
  kReadWrite,
  kReadOnly,   // shared lock: any number of readers, no writer
  kCreateNew,  // O_EXCL, mode 0600; read-write
};

struct HostStoreOptions {
  StoreAccess access = StoreAccess::kReadWrite;
  // How long to wait while somebody else has the file (a keeper that still commits after its program ended).
  std::chrono::milliseconds patience{5000};
};

// Threads: as ByteStore says.
class HostStore final : public volume::ByteStore {
 public:
  // Holds a lock (flock) on the file as long as it lives: exclusive, or shared for kReadOnly. Errors: kSystem
  // (open), kUsage with EBUSY when it stays locked ("in use by process N"), or when it is no regular file.
  static Result<std::unique_ptr<HostStore>> open(const std::string& path, const HostStoreOptions& options);

  Result<std::uint64_t> size() const override;
  Result<void> read(std::uint64_t offset, std::span<std::byte> out) const override;
  // Bulk writes start on their way to the disk at once; bulk reads leave nothing in the host's page cache (ciphertext
  // is not read twice: the plaintext is cached).
  Result<void> write(std::uint64_t offset, std::span<const std::byte> data) override;
  Result<void> flush() override;
  Result<void> write_durably(std::uint64_t offset, std::span<const std::byte> data) override;
  Result<void> resize(std::uint64_t size) override;

  const std::string& path() const { return path_; }

 private:
  HostStore(UniqueFd file, UniqueFd direct, std::string path)
      : file_(std::move(file)), direct_(std::move(direct)), path_(std::move(path)) {}
  Error failure(const char* what, std::uint64_t offset, int code) const;
  bool write_directly(std::uint64_t offset, std::span<const std::byte> data);

  UniqueFd file_;
  UniqueFd direct_;  // the same file past the host's page cache; not open where the host cannot
  std::atomic<bool> writes_directly_{true};
  std::string path_;
};

// CLOCK_REALTIME.
class SystemClock final : public volume::Clock {
 public:
  volume::Timestamp now() const override;
};

}  // namespace casemate::keeper
