// The program's executable mappings (and its shared ones, which may become executable): what the patcher may touch.
//
// The mmap family and the loader keep it up to date. It need not be complete: an address that is not in it is never
// patched, its system calls keep trapping. It must not be wrong about sharing, because a patch in a shared mapping
// would change somebody else's memory: note every MAP_SHARED mapping (mmap, shmat), executable or not, so that a later
// mprotect(PROT_EXEC) of it is understood. A range that mprotect makes executable and that is not in the table is taken
// for private anonymous memory.
//
// Order for callers that take code away: code_map_remove, then patcher_code_unmapped, then the kernel call. So nobody
// patches meanwhile. Protection of code changes through patcher_change_protection alone, for the same reason.
#pragma once

#include <cstdint>

namespace casemate::runtime {

enum class CodeSharing : std::uint8_t { kPrivate, kShared };
enum class CodeBacking : std::uint8_t { kFile, kAnonymous };

struct CodeMapping {
  std::uint64_t start, end;
  std::uint32_t protection;  // PROT_*
  CodeSharing sharing;
  CodeBacking backing;
};

// All ranges are rounded outwards to pages; empty and wrapping ranges are ignored. Locks: one, short. Not for signal
// handlers. Allocates: by mmap; when that fails the range is forgotten (never patched).

// A new mapping; replaces what was there. Neither executable nor shared: the same as code_map_remove.
void code_map_add(std::uint64_t start, std::uint64_t size, std::uint32_t protection, CodeSharing sharing,
                  CodeBacking backing);
void code_map_remove(std::uint64_t start, std::uint64_t size);
void code_map_protect(std::uint64_t start, std::uint64_t size, std::uint32_t protection);
// mremap: what is known of the old range now holds for the new one (the rest of a longer new range: like its end).
void code_map_move(std::uint64_t old_start, std::uint64_t old_size, std::uint64_t new_start, std::uint64_t new_size);

struct CodeLookup {
  bool found;
  CodeMapping mapping;
};
CodeLookup code_map_find(std::uint64_t address);
// Does the table know anything of this range?
bool code_map_overlaps(std::uint64_t start, std::uint64_t size);

// The published table is always whole, so a fork at any moment copies a consistent one.
void code_map_after_fork_in_child();

}  // namespace casemate::runtime
