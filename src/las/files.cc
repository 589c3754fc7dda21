#include "las/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace casemate::las {

namespace {

Result<std::string> read_rest(int fd, std::size_t limit) {
  std::string text;
  char buffer[16384];
  for (;;) {
    const ssize_t size = read(fd, buffer, sizeof(buffer));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return Error::from_errno("cannot read", errno);
    if (size == 0) return text;
    if (text.size() + static_cast<std::size_t>(size) > limit) {
      return Error(ErrorCategory::kExhausted, "more than " + std::to_string(limit) + " bytes");
    }
    text.append(buffer, static_cast<std::size_t>(size));
  }
}

}  // namespace

Result<std::string> read_from_start(int fd, std::size_t limit) {
  if (lseek(fd, 0, SEEK_SET) != 0) return Error::from_errno("cannot read from the start", errno);
  return read_rest(fd, limit);
}

Result<std::string> read_file_at(int directory, const char* name, std::size_t limit) {
  const UniqueFd file(openat(directory, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.is_open()) return Error::from_errno(name, errno);
  return read_rest(file.get(), limit);  // attributes of configfs cannot seek
}

Result<void> write_once_at(int directory, const char* name, crypto::ByteView data) {
  const UniqueFd file(openat(directory, name, O_WRONLY | O_CLOEXEC));
  if (!file.is_open()) return Error::from_errno(name, errno);
  const ssize_t written = write(file.get(), data.data(), data.size());
  if (written < 0) return Error::from_errno(name, errno);
  if (static_cast<std::size_t>(written) != data.size()) {
    return Error(ErrorCategory::kSystem, std::string(name) + ": took only a part");
  }
  return {};
}

}  // namespace casemate::las
