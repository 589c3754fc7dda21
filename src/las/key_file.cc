#include "las/key_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/unique_fd.h"
#include "crypto/secret.h"
#include "las/files.h"

namespace casemate::las {
namespace {

constexpr std::size_t kSizeLimit = 16 * 1024;

void wipe(std::string& text) { crypto::wipe(std::as_writable_bytes(std::span(text))); }

Result<crypto::PrivateKey> read_key(const UniqueFd& file, const std::string& path) {
  struct stat status = {};
  if (fstat(file.get(), &status) != 0) return Error::from_errno(path, errno);
  if (!S_ISREG(status.st_mode)) return Error(ErrorCategory::kUsage, path + ": not a regular file");
  if (status.st_uid != geteuid() || (status.st_mode & 077) != 0) {
    return Error(ErrorCategory::kUsage,
                 path +
                     ": the key file must belong to the user of the service, with mode 0600: chmod 600 it, and if "
                     "others could read it until now, make a new key");
  }
  std::string text = CASEMATE_TRY(read_from_start(file.get(), kSizeLimit));
  Result<crypto::PrivateKey> key = crypto::PrivateKey::from_pem(text);
  wipe(text);
  if (!key.has_value()) return key.error().with_context(path);
  if (key.value().public_key().kind() != crypto::KeyKind::kEcP256) {
    return Error(ErrorCategory::kFormat, path + ": the service's key must be one on the curve P-256");
  }
  return key;
}

// Appears complete or not at all: written beside, then linked, which fails if somebody else made one meanwhile.
Result<crypto::PrivateKey> make_key(const std::string& path) {
  crypto::PrivateKey key = CASEMATE_TRY(ephemeral_key());
  const std::string temporary = path + ".new." + std::to_string(getpid());
  const UniqueFd file(open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.is_open()) return Error::from_errno(temporary + ": cannot make the key file", errno);
  std::string text = key.to_pem();
  const ssize_t written = write(file.get(), text.data(), text.size());
  const bool complete = written == static_cast<ssize_t>(text.size()) && fsync(file.get()) == 0;
  const int write_error = errno;
  wipe(text);
  const bool linked = complete && link(temporary.c_str(), path.c_str()) == 0;
  const int code = complete ? errno : write_error;
  unlink(temporary.c_str());
  if (!linked) return Error::from_errno(path + ": cannot make the key file", code);
  return key;
}

}  // namespace

Result<crypto::PrivateKey> ephemeral_key() { return crypto::PrivateKey::generate(crypto::KeyKind::kEcP256); }

Result<crypto::PrivateKey> key_from_file(const std::string& path) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (file.is_open()) return read_key(file, path);
  if (errno != ENOENT) return Error::from_errno(path + ": cannot open the key file", errno);
  return make_key(path);
}

}  // namespace casemate::las
