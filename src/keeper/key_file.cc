#include "keeper/key_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/unique_fd.h"

namespace casemate::keeper {
namespace {

constexpr std::size_t kKeySize = volume::VolumeKey::size();
constexpr std::size_t kHexSize = 2 * kKeySize;
constexpr std::size_t kLongestFile = kHexSize + 1;

// One more than any key file has, so that a longer one is noticed.
using KeyBuffer = crypto::SecretBytes<kLongestFile + 1>;

int hex_digit(std::byte byte) {
  const int character = std::to_integer<int>(byte);
  if (character >= '0' && character <= '9') return character - '0';
  const int lower = character | 0x20;
  if (lower >= 'a' && lower <= 'f') return lower - 'a' + 10;
  return -1;
}

Result<std::size_t> read_all(int fd, std::span<std::byte> out, const std::string& name) {
  std::size_t filled = 0;
  while (filled < out.size()) {
    const ssize_t got = ::read(fd, out.data() + filled, out.size() - filled);
    if (got == 0) break;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno(name + ": cannot read the key", errno);
    filled += static_cast<std::size_t>(got);
  }
  return filled;
}

Result<void> write_all(int fd, std::span<const std::byte> bytes, const std::string& name) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Error::from_errno(name + ": cannot write the key", errno);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

Result<void> check_owner_and_mode(int fd, const std::string& path) {
  struct stat status = {};
  if (fstat(fd, &status) != 0) return Error::from_errno(path + ": cannot look at the key file", errno);
  if (!S_ISREG(status.st_mode)) return Error(ErrorCategory::kUsage, path + ": a key file must be a regular file");
  if (status.st_uid != geteuid() && status.st_uid != 0) {
    return Error(ErrorCategory::kUsage, path + ": the key file belongs to another user (uid " +
                                            std::to_string(status.st_uid) + "); make it your own with chown");
  }
  if ((status.st_mode & 077) != 0) {
    return Error(ErrorCategory::kUsage, path + ": others may access the key file; run: chmod 600 " + path, EACCES);
  }
  return {};
}

Result<void> flush_with_directory(int fd, const std::string& path) {
  if (fsync(fd) != 0) return Error::from_errno(path + ": cannot make the key durable", errno);
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const UniqueFd parent(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent.is_open() || fsync(parent.get()) != 0) {
    return Error::from_errno(directory + ": cannot make the key file's name durable", errno);
  }
  return {};
}

void encode_hex(std::span<const std::byte> key, std::span<std::byte> out) {
  constexpr char kDigits[] = "0123456789abcdef";
  for (std::size_t i = 0; i < key.size(); ++i) {
    const auto value = std::to_integer<unsigned>(key[i]);
    out[2 * i] = static_cast<std::byte>(kDigits[value >> 4]);
    out[2 * i + 1] = static_cast<std::byte>(kDigits[value & 15]);
  }
  out[2 * key.size()] = std::byte{'\n'};
}

}  // namespace

Result<volume::VolumeKey> parse_key(std::span<const std::byte> contents, const std::string& name) {
  if (contents.size() == kKeySize) return volume::VolumeKey(contents.first<kKeySize>());
  if (contents.size() == kLongestFile && contents.back() == std::byte{'\n'}) contents = contents.first(kHexSize);
  if (contents.size() != kHexSize) {
    return Error(ErrorCategory::kFormat, name + ": a key is 32 bytes or 64 hex digits; make one with " +
                                             "`casemate volume create` or: head -c 32 /dev/urandom");
  }
  volume::VolumeKey key;
  const auto out = key.expose_for_writing();
  for (std::size_t i = 0; i < kKeySize; ++i) {
    const int high = hex_digit(contents[2 * i]), low = hex_digit(contents[2 * i + 1]);
    if (high < 0 || low < 0) {
      return Error(ErrorCategory::kFormat, name + ": the key has 64 characters, but not all are hex digits");
    }
    out[i] = static_cast<std::byte>(high << 4 | low);
  }
  return key;
}

Result<volume::VolumeKey> read_key_descriptor(int fd, const std::string& name) {
  KeyBuffer buffer;
  const std::size_t size = CASEMATE_TRY(read_all(fd, buffer.expose_for_writing(), name));
  return parse_key(buffer.expose().first(size), name);
}

Result<volume::VolumeKey> read_key_file(const std::string& path) {
  // Non-blocking, so that a FIFO does not make us wait before it is refused.
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file.is_open()) return Error::from_errno(path + ": cannot open the key file", errno);
  if (auto checked = check_owner_and_mode(file.get(), path); !checked) return checked.error();
  return read_key_descriptor(file.get(), path);
}

Result<volume::VolumeKey> create_key_file(const std::string& path) {
  volume::VolumeKey key = CASEMATE_TRY(volume::VolumeKey::random());
  crypto::SecretBytes<kLongestFile> text;
  encode_hex(key.expose(), text.expose_for_writing());
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file.is_open()) return Error::from_errno(path + ": cannot make the key file", errno);
  if (fchmod(file.get(), 0600) != 0) return Error::from_errno(path + ": cannot set the key file's mode", errno);
  auto done = write_all(file.get(), text.expose(), path);
  if (done) done = flush_with_directory(file.get(), path);
  if (!done) {
    unlink(path.c_str());
    return done.error();
  }
  return key;
}

}  // namespace casemate::keeper
