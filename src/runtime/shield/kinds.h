// What each descriptor of the program refers to: a file of the host, or a shielded one. Asked for by nearly every call
// with a descriptor, so the answers are kept, one word per descriptor and table.
//
// Races: a word carries a generation that grows whenever the descriptor's number may come to mean another file. Who
// found out what a descriptor is stores that only if the generation is still the one it started with; who used a
// descriptor as the host's and then sees another generation looks again.
#pragma once

#include <cstdint>

#include "runtime/intercept/process.h"
#include "runtime/shield/arena.h"

namespace casemate::runtime {

inline constexpr std::uint32_t kKindKnown = 1;
inline constexpr std::uint32_t kKindShielded = 2;
inline constexpr std::uint32_t kKindSync = 4;        // O_SYNC or O_DSYNC
inline constexpr std::uint32_t kKindAppend = 8;      // O_APPEND, see appends()
inline constexpr std::uint32_t kKindExclusive = 16;  // opened here, and no fork or message copied it since
inline constexpr std::uint32_t kKindChanging = 32;   // dup2 is under way: look each time, keep nothing
inline constexpr std::uint32_t kKindWritable = 64;   // opened for writing
inline constexpr std::uint32_t kKindReadable = 128;  // opened for reading

struct DescriptorKind {
  std::uint64_t word;
  std::uint32_t slot;   // kNoSlot: not shielded, or not open
  std::uint32_t flags;  // kKind*
  bool shielded() const { return slot != kNoSlot; }
};

// Before the first use of a table. Without memory the words are simply not kept.
void kinds_create(DescriptorState& table);

DescriptorKind kind_of(const Thread& thread, std::int64_t fd);
// The same without the table's words: for descriptors of the runtime's own, which come and go unseen.
DescriptorKind kind_now(std::int64_t fd);
inline bool is_shielded(const Thread& thread, std::int64_t fd) { return kind_of(thread, fd).shielded(); }
// Is what kind_of said still what the table says? Always true for words that are not kept.
bool kind_is_current(const Thread& thread, std::int64_t fd, const DescriptorKind& kind);

// The number was closed, or may refer to something new.
void kind_changed(const Thread& thread, std::int64_t fd);
// dup2 onto it begins; kind_changed ends it.
void kind_changing(const Thread& thread, std::int64_t fd);
// Every number from `first` to `last` was closed.
void kinds_closed(const Thread& thread, std::uint64_t first, std::uint64_t last);
// Just opened on a slot with these open flags.
void kind_opened(const Thread& thread, std::int64_t fd, std::uint32_t slot, std::uint64_t open_flags);
// Does a write through it go to the file's end?
bool appends(std::int64_t fd, const DescriptorKind& kind);
// F_SETFL changed O_APPEND of some shielded description, which other descriptors may share: ask the kernel from now on.
void kinds_append_changed();
// Descriptors were or will be copied to another process: none is exclusive any more.
void kinds_shared();

}  // namespace casemate::runtime
