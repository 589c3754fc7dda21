// Reference-counted tables that tasks of one address space share or copy (signal actions, descriptors). They are found
// without a lock, because a task may be killed at any moment, and come in chunks, because any number of vfork children
// may live at once. A task that is killed while it shares memory without being waited for (clone with CLONE_VM alone)
// leaves its table behind.
#pragma once

#include <linux/mman.h>
#include <sys/syscall.h>

#include <atomic>
#include <cstddef>

#include "runtime/engine/process/host_call.h"
#include "runtime/intercept/thread.h"

namespace casemate::runtime {

// `Table`: valid when all zero, with a member `std::atomic<std::uint32_t> references`, 0 in a free table.
template <typename Table>
class TablePool {
 public:
  // A table with one reference and the contents of its last use; null when memory is exhausted.
  Table* claim() {
    for (Chunk* chunk = &first_; chunk != nullptr; chunk = chunk->next.load(std::memory_order_acquire)) {
      for (Table& table : chunk->tables) {
        std::uint32_t unused = 0;
        if (table.references.compare_exchange_strong(unused, 1)) return &table;
      }
    }
    return claim_in_new_chunk();
  }

  // In the child of fork: the other tasks, and with them their references, are not there.
  void keep_only(Table& used) {
    for (Chunk* chunk = &first_; chunk != nullptr; chunk = chunk->next.load(std::memory_order_acquire)) {
      for (Table& table : chunk->tables) table.references.store(&table == &used ? 1 : 0, std::memory_order_relaxed);
    }
  }

 private:
  static constexpr std::size_t kChunkTables = 16;

  struct Chunk {
    std::atomic<Chunk*> next;
    Table tables[kChunkTables];
  };

  Table* claim_in_new_chunk() {
    constexpr std::size_t size = (sizeof(Chunk) + 4095) & ~std::size_t{4095};
    const long mapped =
        host_call(SYS_mmap, 0, static_cast<long>(size), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (is_error(mapped)) return nullptr;
    protect_range(static_cast<std::uint64_t>(mapped), size);
    auto* chunk = reinterpret_cast<Chunk*>(mapped);
    chunk->tables[0].references.store(1, std::memory_order_relaxed);
    Chunk* next = first_.next.load(std::memory_order_acquire);
    do {
      chunk->next.store(next, std::memory_order_relaxed);
    } while (!first_.next.compare_exchange_weak(next, chunk, std::memory_order_acq_rel));
    return &chunk->tables[0];
  }

  Chunk first_{};
};

}  // namespace casemate::runtime
