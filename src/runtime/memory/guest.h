// Access to the program's memory. The program can pass any address, and another of its threads can unmap or change the
// memory at any moment: so bytes are copied once, with faults turned into EFAULT, and never read twice.
#pragma once

#include <cstddef>
#include <cstdint>

namespace casemate::runtime {

// An address in the program's hands. Not dereferenceable.
enum class GuestAddr : std::uint64_t {};

inline constexpr GuestAddr guest(std::uint64_t address) { return static_cast<GuestAddr>(address); }
inline constexpr std::uint64_t raw(GuestAddr address) { return static_cast<std::uint64_t>(address); }
inline constexpr GuestAddr operator+(GuestAddr address, std::uint64_t offset) { return guest(raw(address) + offset); }

// Each returns 0 or -EFAULT. A range that reaches into the runtime's own memory is -EFAULT as well. On failure the
// destination may be partly written. Signal safe (also inside signal handlers), never blocks beyond page faults.
[[nodiscard]] long copy_from_guest(void* destination, GuestAddr source, std::size_t size);
[[nodiscard]] long copy_to_guest(GuestAddr destination, const void* source, std::size_t size);

// Copies a NUL-terminated string. Returns its length without the NUL, -EFAULT, or -ENAMETOOLONG when no NUL stands in
// the first `capacity` bytes.
[[nodiscard]] long read_guest_string(char* destination, std::size_t capacity, GuestAddr source);

template <typename T>
[[nodiscard]] long read_guest(T& value, GuestAddr source) {
  return copy_from_guest(&value, source, sizeof(T));
}
template <typename T>
[[nodiscard]] long write_guest(GuestAddr destination, const T& value) {
  return copy_to_guest(destination, &value, sizeof(T));
}

}  // namespace casemate::runtime
