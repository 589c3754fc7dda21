// copy_to_guest for unit tests of the loader: the kernel does the copy, so a fault is an error number here as it is in
// the runtime, without the runtime's signal handlers.
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/memory/guest.h"

namespace casemate::runtime {

long copy_to_guest(GuestAddr destination, const void* source, std::size_t size) {
  const iovec local = {const_cast<void*>(source), size};
  const iovec remote = {reinterpret_cast<void*>(raw(destination)), size};
  return process_vm_writev(getpid(), &local, 1, &remote, 1, 0) == static_cast<ssize_t>(size) ? 0 : -EFAULT;
}

}  // namespace casemate::runtime
