// The record of every patch ever made, written under the patcher's lock, read by signal handlers without one: a record
// is complete before the count that publishes it, and afterwards only its state changes.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "runtime/intercept/patch/patch_plan.h"
#include "runtime/intercept/patch/stub.h"

namespace casemate::runtime {

inline constexpr std::size_t kPatchCapacity = 4096;

enum class PatchState : std::uint8_t {
  kWriting,  // bytes are changing; boundaries may hold int3
  kLive,
  kRetired,  // the code is gone or has its own bytes back; threads may still be in the stub
};

struct Patch {
  std::uint64_t jump;  // address of the jump
  std::uint64_t stub;
  std::atomic<PatchState> state;
  std::uint8_t stub_size, check, entered;
  std::uint8_t before_size;  // site - jump
  std::uint8_t covered_size;
  std::uint8_t boundary_mask;  // bit i: byte i of the jump is the start of a covered instruction (bit 0 always)
  std::uint8_t revived;        // times the same bytes came back
  std::uint8_t point_count;
  StubPoint points[kMaxPoints];
  std::uint8_t original[kMaxCovered];

  std::uint64_t site() const { return jump + before_size; }
};

// Reserves the address space. False: no memory (then nothing is ever patched).
bool patch_table_init();
// All published records. [signal-safe]
std::size_t patch_count();
Patch& patch_at(std::size_t index);
// The next record to fill, null when the table is full; publish_patch makes it visible.
Patch* next_patch();
void publish_patch();

// The only way to change a state. A patch is kWriting before the first of its bytes changes and until after the last.
void set_state(Patch& patch, PatchState state);
// Moves with every set_state, before any byte changes. A handler that looks at states and bytes takes it before and
// after, and starts again when it moved.
std::uint64_t change_count();

// The bytes of the patch's jump.
void jump_bytes(const Patch& patch, std::uint8_t (&bytes)[kJumpSize]);
// Do they stand in the program's code? True for retired patches too, when the code was not taken away after all (a
// munmap that failed): nothing else jumps to our stub. [signal-safe]
bool jump_is_in_place(const Patch& patch);
enum class BoundaryKind : std::uint8_t {  // in the order of preference when several patches fit
  kWriting,
  kInPlace,
  kGone,  // was written over, taken back, or is not complete any more or yet
};
struct BoundaryMatch {
  const Patch* patch;  // null: none
  BoundaryKind kind;
};
// The patch with an instruction's start at `address` within its jump. [signal-safe]
BoundaryMatch find_by_boundary(std::uint64_t address);
// Null when there is none. [signal-safe]
const Patch* find_by_stub(std::uint64_t address);
// copy_from_guest of code, with the program's own bytes where patches stand. Caller holds the patcher's lock.
[[nodiscard]] long copy_original_code(void* destination, std::uint64_t address, std::size_t size);
// Does a patch that is in place or being written cover any byte of [start, end)?
bool overlaps_patch(std::uint64_t start, std::uint64_t end);
// Stub address that continues the covered instruction `offset` bytes behind the jump; 0: no instruction starts there.
std::uint64_t stub_of_offset(const Patch& patch, std::uint64_t offset);

}  // namespace casemate::runtime
