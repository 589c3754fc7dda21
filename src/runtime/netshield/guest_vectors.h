// The program's buffers of one call, as one sequence of bytes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/memory/guest.h"

namespace casemate::runtime {

class GuestVectors {
 public:
  static GuestVectors of_buffer(std::uint64_t address, std::uint64_t size);
  // An iovec array. On failure (the kernel's errno) `error` is not 0.
  static GuestVectors of_array(std::uint64_t address, std::uint64_t count, long& error);

  std::uint64_t total() const { return total_; }
  // Each goes on behind the last; 0 or -EFAULT. Requires: no more than total() in all.
  [[nodiscard]] long copy_in(void* to, std::size_t size);
  [[nodiscard]] long copy_out(const void* from, std::size_t size);

 private:
  struct Vector {
    std::uint64_t address, size;
  };
  long next();

  std::uint64_t total_ = 0;
  Vector current_ = {0, 0};
  std::uint64_t array_ = 0, array_left_ = 0;
};

}  // namespace casemate::runtime
