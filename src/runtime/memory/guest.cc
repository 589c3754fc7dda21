#include "runtime/memory/guest.h"

#include "runtime/intercept/thread.h"

extern "C" long casemate_copy(void*, const void*, std::size_t);
extern "C" long casemate_copy_string(void*, const void*, std::size_t);

namespace casemate::runtime {

namespace {
inline constexpr long kEfault = -14;
inline constexpr std::uint64_t kUserEnd = 0x7ffffffff000;

bool outside_program(GuestAddr address, std::size_t size) {
  const std::uint64_t start = raw(address);
  return start > kUserEnd || size > kUserEnd - start || (size != 0 && touches_runtime(start, size));
}
}  // namespace

long copy_from_guest(void* destination, GuestAddr source, std::size_t size) {
  if (outside_program(source, size)) return kEfault;
  return casemate_copy(destination, reinterpret_cast<const void*>(raw(source)), size);
}

long copy_to_guest(GuestAddr destination, const void* source, std::size_t size) {
  if (outside_program(destination, size)) return kEfault;
  return casemate_copy(reinterpret_cast<void*>(raw(destination)), source, size);
}

long read_guest_string(char* destination, std::size_t capacity, GuestAddr source) {
  if (outside_program(source, 1)) return kEfault;
  return casemate_copy_string(destination, reinterpret_cast<const void*>(raw(source)), capacity);
}

}  // namespace casemate::runtime
