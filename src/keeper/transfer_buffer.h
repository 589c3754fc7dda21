// Buffers for contents on their way between the page cache and a volume: few, borrowed for one transfer, kept out of
// core dumps. A buffer per thread would cost a megabyte for every thread of the application.
#pragma once

#include <cstddef>
#include <span>

namespace casemate::keeper {

// Threads: any; one object by one thread. Throws std::bad_alloc when the kernel has no memory.
class TransferBuffer {
 public:
  static constexpr std::size_t kSize = std::size_t{1} << 20;

  TransferBuffer();
  ~TransferBuffer();
  TransferBuffer(const TransferBuffer&) = delete;
  TransferBuffer& operator=(const TransferBuffer&) = delete;

  std::span<std::byte> span() { return {bytes_, kSize}; }

 private:
  std::byte* bytes_ = nullptr;
};

}  // namespace casemate::keeper
