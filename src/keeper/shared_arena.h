// The two memories that members share with the keeper (src/protocol/shield.h): slots and their index, which only the
// keeper writes, and page states, which all write.
//
// What a hostile member can do here -> what we answer
//   write nonsense in the states memory -> pages are written back or loaded needlessly, or contents of the
//   application's
//                                          own files are lost; never an access outside of the ranges given out here
//   shrink or grow the memories         -> sealed
//
// Threads: the caller holds the page cache's table mutex for everything but states() and activity().
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "protocol/shield.h"
#include "protocol/shield_answers.h"

namespace casemate::keeper {

// A range of the states memory: one byte per page of a file.
struct StateRange {
  std::uint64_t offset = 0;  // 0: none
  std::uint64_t count = 0;   // a power of two
};

class SharedArena {
 public:
  static Result<std::unique_ptr<SharedArena>> create(const std::vector<std::string>& passed_prefixes);
  ~SharedArena();
  SharedArena(const SharedArena&) = delete;
  SharedArena& operator=(const SharedArena&) = delete;

  // To be sent to members: the arena for reading only, the states for both.
  int arena_descriptor() const { return arena_for_members_.get(); }
  int states_descriptor() const { return states_file_.get(); }

  // nullopt: all are in use.
  std::optional<std::uint32_t> allocate_slot();
  // Takes it out of the index, too.
  void free_slot(std::uint32_t slot);
  std::uint32_t slots_in_use() const { return slots_in_use_; }
  std::uint32_t slots_end() const { return slots_end_; }  // slots from here on were never used

  protocol::FileSlot& slot(std::uint32_t index) { return arena_->slots[index]; }
  // Changes a slot so that readers see all of the change or none.
  template <typename Change>
  void update(std::uint32_t index, Change change) {
    protocol::FileSlot& slot = arena_->slots[index];
    slot.sequence.fetch_add(1, std::memory_order_acq_rel);
    change(slot);
    slot.sequence.fetch_add(1, std::memory_order_acq_rel);
  }
  protocol::SharedAnswers& answers() {
    return *reinterpret_cast<protocol::SharedAnswers*>(reinterpret_cast<std::byte*>(arena_) + protocol::kAnswersOffset);
  }
  // Members find the slot by its memfd from now on.
  void insert_in_index(std::uint64_t memfd_inode, std::uint32_t slot);

  // Room for at least `count` page states, all absent. nullopt: no room.
  std::optional<StateRange> allocate_states(std::uint64_t count);
  // Reused only some seconds later: a member may be about to write a mark there.
  void free_states(const StateRange& range);

  std::atomic<std::uint8_t>* states(const StateRange& range) {
    return reinterpret_cast<std::atomic<std::uint8_t>*>(states_ + range.offset);
  }
  protocol::SlotActivity& activity(std::uint32_t slot) {
    return reinterpret_cast<protocol::SlotActivity*>(states_)[slot];
  }
  std::atomic<std::int64_t>& space() {
    return *reinterpret_cast<std::atomic<std::int64_t>*>(states_ + protocol::kSpaceOffset);
  }

 private:
  struct Quarantined {
    StateRange range;
    std::chrono::steady_clock::time_point since;
  };

  SharedArena() = default;
  Result<void> map(const std::vector<std::string>& passed_prefixes);
  void remove_from_index(std::uint64_t memfd_inode);
  void end_quarantine();

  UniqueFd arena_file_, arena_for_members_, states_file_;
  protocol::ShieldArena* arena_ = nullptr;
  std::byte* states_ = nullptr;
  std::uint32_t slots_in_use_ = 0, slots_end_ = 0;
  std::vector<std::uint32_t> free_slots_;
  std::uint64_t states_end_ = protocol::kStatesStart;    // ranges were given out up to here
  std::vector<std::vector<std::uint64_t>> free_ranges_;  // by the logarithm of their count
  std::deque<Quarantined> quarantine_;
};

}  // namespace casemate::keeper
