#include "keeper/transfer_buffer.h"

#include <sys/mman.h>

#include <mutex>
#include <new>
#include <vector>

namespace casemate::keeper {
namespace {

constexpr std::size_t kMostKept = 4;

struct Pool {
  std::mutex mutex;
  std::vector<std::byte*> free;
};

Pool& pool() {
  static Pool* const instance = new Pool;  // outlives all threads
  return *instance;
}

}  // namespace

TransferBuffer::TransferBuffer() {
  {
    const std::lock_guard lock(pool().mutex);
    if (!pool().free.empty()) {
      bytes_ = pool().free.back();
      pool().free.pop_back();
      return;
    }
  }
  void* const memory = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  madvise(memory, kSize, MADV_DONTDUMP);
  bytes_ = static_cast<std::byte*>(memory);
}

TransferBuffer::~TransferBuffer() {
  {
    const std::lock_guard lock(pool().mutex);
    if (pool().free.size() < kMostKept) {
      pool().free.push_back(bytes_);
      return;
    }
  }
  munmap(bytes_, kSize);
}

}  // namespace casemate::keeper
