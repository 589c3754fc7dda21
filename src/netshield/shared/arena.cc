#include "netshield/shared/arena.h"

namespace casemate::netshield {

void unlink_slot(Arena& arena, std::uint32_t index) {
  std::atomic<std::uint32_t>* link = &arena.buckets[bucket_of(arena.slots[index].inode.load())];
  for (std::uint32_t looked = 0; looked < kSlotCount; ++looked) {
    const std::uint32_t at = link->load();
    if (at == 0 || at > kSlotCount) return;
    if (at == index + 1) {
      link->store(arena.slots[index].next.load(), std::memory_order_release);
      return;
    }
    link = &arena.slots[at - 1].next;
  }
}

void free_slot(Arena& arena, std::uint32_t index) {
  Slot& slot = arena.slots[index];
  Stream& stream = slot.stream;
  end(stream.connection);
  // Only data that was opened and never read is plaintext; pages that were not needed stay untouched.
  const std::uint32_t begin = stream.data_begin, last = stream.data_end;
  if (begin < last && last <= sizeof(stream.in)) wipe_bytes(stream.in + begin, last - begin);
  stream.data_begin = stream.data_end = 0;
  slot.inode.store(0, std::memory_order_relaxed);
  slot.generation.fetch_add(1, std::memory_order_relaxed);
  slot.state.store(SlotState::kFree, std::memory_order_release);
  std::uint64_t head = arena.free_slots.load();
  for (;;) {
    slot.next.store(static_cast<std::uint32_t>(head), std::memory_order_relaxed);
    const std::uint64_t tag = (head >> 32) + 1;
    if (arena.free_slots.compare_exchange_weak(head, (tag << 32) | (index + 1))) return;
  }
}

}  // namespace casemate::netshield
