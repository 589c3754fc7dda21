#include "runtime/netshield/guest_vectors.h"

namespace casemate::runtime {
namespace {

inline constexpr long kEinval = -22;
inline constexpr std::uint64_t kMostVectors = 1024;      // UIO_MAXIOV
inline constexpr std::uint64_t kMostBytes = 0x7ffff000;  // MAX_RW_COUNT

}  // namespace

GuestVectors GuestVectors::of_buffer(std::uint64_t address, std::uint64_t size) {
  GuestVectors vectors;
  vectors.total_ = size < kMostBytes ? size : kMostBytes;
  vectors.current_ = {address, vectors.total_};
  return vectors;
}

GuestVectors GuestVectors::of_array(std::uint64_t address, std::uint64_t count, long& error) {
  GuestVectors vectors;
  error = count > kMostVectors ? kEinval : 0;
  vectors.array_ = address;
  vectors.array_left_ = count;
  for (std::uint64_t i = 0; error == 0 && i < count; ++i) {
    Vector vector{};
    error = read_guest(vector, guest(address + i * sizeof(Vector)));
    if (error == 0 && static_cast<std::int64_t>(vector.size) < 0) error = kEinval;
    const std::uint64_t room = kMostBytes - vectors.total_;
    vectors.total_ += vector.size < room ? vector.size : room;
  }
  return vectors;
}

long GuestVectors::next() {
  if (array_left_ == 0) return -14;
  const long error = read_guest(current_, guest(array_));
  array_ += sizeof(Vector);
  --array_left_;
  return error;
}

long GuestVectors::copy_in(void* to, std::size_t size) {
  auto* out = static_cast<std::uint8_t*>(to);
  while (size != 0) {
    const std::uint64_t part = size < current_.size ? size : current_.size;
    if (part == 0) {
      if (const long error = next(); error != 0) return error;
      continue;
    }
    if (const long error = copy_from_guest(out, guest(current_.address), part); error != 0) return error;
    current_ = {current_.address + part, current_.size - part};
    out += part;
    size -= part;
  }
  return 0;
}

long GuestVectors::copy_out(const void* from, std::size_t size) {
  const auto* in = static_cast<const std::uint8_t*>(from);
  while (size != 0) {
    const std::uint64_t part = size < current_.size ? size : current_.size;
    if (part == 0) {
      if (const long error = next(); error != 0) return error;
      continue;
    }
    if (const long error = copy_to_guest(guest(current_.address), in, part); error != 0) return error;
    current_ = {current_.address + part, current_.size - part};
    in += part;
    size -= part;
  }
  return 0;
}

}  // namespace casemate::runtime
