#include "casemate-keeper/runtime_image.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "crypto/bytes.h"
#include "crypto/hash.h"

namespace casemate::keeper_app {
namespace {

constexpr const char kRuntimeDigest[] =
#include <runtime_digest.inc>
    ;
constexpr std::size_t kLargestRuntime = 64 << 20;
constexpr unsigned kExecutable = 0x10;  // MFD_EXEC, Linux 6.3

Result<std::vector<std::byte>> read_all(int file) {
  std::vector<std::byte> bytes;
  for (;;) {
    constexpr std::size_t kStep = 1 << 20;
    const std::size_t size = bytes.size();
    bytes.resize(size + kStep);
    const ssize_t got = pread(file, bytes.data() + size, kStep, static_cast<off_t>(size));
    if (got < 0 && errno != EINTR) return Error::from_errno("casemate-runtime: cannot read it", errno);
    bytes.resize(size + static_cast<std::size_t>(got < 0 ? 0 : got));
    if (got == 0) return bytes;
    if (bytes.size() > kLargestRuntime) return Error(ErrorCategory::kUsage, "casemate-runtime: too large");
  }
}

Result<void> write_all(int file, crypto::ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t put = write(file, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return Error::from_errno("casemate-runtime: cannot copy it", errno);
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
  return {};
}

}  // namespace

Result<UniqueFd> verified_runtime(int file) {
  const std::vector<std::byte> bytes = CASEMATE_TRY(read_all(file));
  const std::string found = crypto::to_hex(crypto::sha256(bytes));
  if (found != kRuntimeDigest) {
    return Error(ErrorCategory::kUsage,
                 "casemate-runtime is not the one that casemate-keeper was built with (SHA-256 " + found +
                     " instead of " + kRuntimeDigest +
                     "): it was changed, or installed alone; install all executables together");
  }
  UniqueFd copy(memfd_create("casemate-runtime", MFD_CLOEXEC | MFD_ALLOW_SEALING | kExecutable));
  if (!copy.is_open() && errno == EINVAL) copy.reset(memfd_create("casemate-runtime", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!copy.is_open()) return Error::from_errno("no memory file for the runtime", errno);
  if (auto written = write_all(copy.get(), bytes); !written) return written.error();
  if (fcntl(copy.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) {
    return Error::from_errno("cannot seal the runtime's memory file", errno);
  }
  return copy;
}

}  // namespace casemate::keeper_app
