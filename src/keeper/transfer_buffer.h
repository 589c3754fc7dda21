// A thread's buffer for contents on their way between the page cache and a volume; kept out of core dumps.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <new>
#include <span>

namespace casemate::keeper {

class TransferBuffer {
 public:
  static constexpr std::size_t kSize = std::size_t{1} << 20;

  static TransferBuffer& of_this_thread() {
    thread_local TransferBuffer buffer;
    return buffer;
  }
  TransferBuffer(const TransferBuffer&) = delete;
  TransferBuffer& operator=(const TransferBuffer&) = delete;
  ~TransferBuffer() { munmap(bytes_, kSize); }

  std::span<std::byte> span() { return {bytes_, kSize}; }

 private:
  TransferBuffer() {
    void* const memory = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    madvise(memory, kSize, MADV_DONTDUMP);
    bytes_ = static_cast<std::byte*>(memory);
  }

  std::byte* bytes_ = nullptr;
};

}  // namespace casemate::keeper
