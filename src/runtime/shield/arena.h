// The keeper's shared memory as a member sees it: which memfd is which node, and the states of cached pages.
// protocol/shield.h fixes the layout; docs/runtime/files.md explains it.
//
// What a hostile peer can do here -> what we answer
//  - another member writes nonsense into the states memory -> every offset comes from the arena, which only the keeper
//    writes, and is checked against the size of the mapping; wrong states cost that application's own data only
#pragma once

#include <cstdint>

#include "protocol/shield.h"
#include "protocol/shield_answers.h"

namespace casemate::runtime {

inline constexpr std::uint32_t kNoSlot = ~std::uint32_t{0};

// Maps both memories from the descriptors that kAttach answered (the caller closes them). 0 or a negative errno.
[[nodiscard]] long arena_map(long arena_fd, long states_fd);

// Valid after arena_map.
const protocol::ShieldArena& arena();
const protocol::SharedAnswers& shared_answers();

// The slot of a memory file; kNoSlot when the inode is no shielded file.
std::uint32_t slot_of_inode(std::uint64_t inode);

inline const protocol::FileSlot& slot_at(std::uint32_t slot) { return arena().slots[slot]; }

// What a slot said at one moment, all parts from the same state of it.
struct SlotView {
  std::uint32_t sequence;
  std::uint64_t states_offset, states_count, backed_pages;
};
// False: the keeper changes the slot without end (it is gone).
[[nodiscard]] bool view_slot(std::uint32_t slot, SlotView& view);
bool view_is_current(std::uint32_t slot, const SlotView& view);
// Attributes and the loaded modify time, consistent with each other.
[[nodiscard]] bool copy_attributes(std::uint32_t slot, protocol::ShieldAttributes& attributes,
                                   protocol::ShieldTime& loaded_modify_time);

// State byte of a page. Null: the page has none (it lies behind states_count, or the offset is not credible).
std::uint8_t* page_state(const SlotView& view, std::uint64_t page);

// The member's note for the keeper's write-back: something of this slot may have changed.
void note_activity(std::uint32_t slot);
// Takes `count` pages out of the space that the keeper granted in advance. False: ask for more (kReserve).
[[nodiscard]] bool take_space(std::uint64_t count);

// Does the absolute path, free of ".." components, lie below a prefix that the keeper left to the kernel?
bool is_passed_path(const char* path);

}  // namespace casemate::runtime
