#include "keeper/memory_file.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>

namespace casemate::keeper {
namespace {

constexpr unsigned kNoexecSeal = 8;  // MFD_NOEXEC_SEAL, Linux 6.3
constexpr unsigned kExec = 16;       // MFD_EXEC, Linux 6.3

// /proc/self/fd, held open: a name below it is found faster, and whatever happens to /proc later. A forked child has
// descriptors of its own, so it opens its own.
std::atomic<int> g_descriptor_directory{-1};

int descriptor_directory() {
  int directory = g_descriptor_directory.load(std::memory_order_acquire);
  if (directory >= 0) return directory;
  static const int registered = pthread_atfork(nullptr, nullptr, [] { g_descriptor_directory.store(-1); });
  (void)registered;
  UniqueFd opened(open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (g_descriptor_directory.compare_exchange_strong(directory, opened.get())) return opened.release();
  return directory;
}

}  // namespace

Result<UniqueFd> create_sealed_memory(const char* name, std::uint64_t size) {
  UniqueFd file(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | kNoexecSeal));
  if (!file.is_open() && errno == EINVAL) file.reset(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file.is_open()) return Error::from_errno("cannot create memory for the file shield", errno);
  if (ftruncate(file.get(), static_cast<off_t>(size)) != 0 ||
      fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return Error::from_errno("cannot set up memory for the file shield", errno);
  }
  return file;
}

Result<UniqueFd> create_page_memory() {
  // Executable, as the files it stands for may be; without sealing, which programs must not play with.
  UniqueFd file(memfd_create("casemate-file", MFD_CLOEXEC | kExec));
  if (!file.is_open() && errno == EINVAL) file.reset(memfd_create("casemate-file", MFD_CLOEXEC));
  if (!file.is_open() && errno == EACCES) file.reset(memfd_create("casemate-file", MFD_CLOEXEC | kNoexecSeal));
  if (!file.is_open()) return Error::from_errno("cannot create memory for a file", errno);
  UniqueFd counted = reopen(file.get(), O_RDWR);
  if (!counted.is_open()) return Error::from_errno("cannot reopen memory for a file", errno);
  return counted;
}

UniqueFd reopen(int fd, int flags) {
  char name[16];
  *std::to_chars(name, name + sizeof(name) - 1, fd).ptr = '\0';
  return UniqueFd(openat(descriptor_directory(), name, flags | O_CLOEXEC));
}

bool is_only_user(int fd) {
  // The kernel grants a write lease only where no other description exists. It is given back at once; somebody who
  // opens the file meanwhile (nobody but the keeper should) waits that long.
  if (fcntl(fd, F_SETLEASE, F_WRLCK) != 0) return false;
  fcntl(fd, F_SETLEASE, F_UNLCK);
  return true;
}

}  // namespace casemate::keeper
