// getrandom(2) directly and not the library's generator: nothing to reseed after fork, no state of ours to protect.
#include "crypto/random.h"

#include <sys/random.h>

#include <cerrno>

namespace casemate::crypto {

Result<void> random_bytes(std::span<std::byte> out) {
  while (!out.empty()) {
    const ssize_t count = getrandom(out.data(), out.size(), 0);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return Error::from_errno("cannot get random bytes from the kernel", count < 0 ? errno : EIO);
    out = out.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

}  // namespace casemate::crypto
