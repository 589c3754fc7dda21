#include "runtime/table/testing/guest_memory.h"

#include <sys/uio.h>
#include <unistd.h>

namespace casemate::runtime {
namespace {

constexpr long kEfault = -14, kNameTooLong = -36;
std::uint64_t g_fault_begin = 0;
std::uint64_t g_fault_end = 0;

bool faults(GuestAddr address, std::size_t size) {
  const std::uint64_t begin = raw(address);
  if (size == 0) return false;
  return begin < g_fault_end && begin + size > g_fault_begin;
}

}  // namespace

// The kernel copies, so that a wild address is an error here as well.
long copy_from_guest(void* destination, GuestAddr source, std::size_t size) {
  if (faults(source, size)) return kEfault;
  const iovec local{destination, size}, remote{reinterpret_cast<void*>(raw(source)), size};
  return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == static_cast<ssize_t>(size) ? 0 : kEfault;
}

long copy_to_guest(GuestAddr destination, const void* source, std::size_t size) {
  if (faults(destination, size)) return kEfault;
  const iovec local{const_cast<void*>(source), size}, remote{reinterpret_cast<void*>(raw(destination)), size};
  return process_vm_writev(getpid(), &local, 1, &remote, 1, 0) == static_cast<ssize_t>(size) ? 0 : kEfault;
}

long read_guest_string(char* destination, std::size_t capacity, GuestAddr source) {
  for (std::size_t i = 0; i < capacity; i++) {
    if (copy_from_guest(destination + i, source + i, 1) != 0) return kEfault;
    if (destination[i] == 0) return static_cast<long>(i);
  }
  return kNameTooLong;
}

namespace testing {

void set_faulting_range(const void* begin, std::size_t size) {
  g_fault_begin = reinterpret_cast<std::uint64_t>(begin);
  g_fault_end = g_fault_begin + size;
}

}  // namespace testing
}  // namespace casemate::runtime
