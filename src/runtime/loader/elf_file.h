// Reads an ElfPlan from a file descriptor into the caller's scratch memory.
//
// What a hostile host or peer can do here -> what we answer
//  - change the file while we read it -> headers are read once into our memory and only that copy is used
//  - short reads, reads that lie about their size -> a short read ends the file; larger answers are refused
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/loader/elf.h"
#include "runtime/loader/load_error.h"

namespace casemate::runtime {

inline constexpr std::size_t kFileHeadSize = 4096;
// Scratch memory for load_program and probe_program: a file's head, then an interpreter's path and later its head.
inline constexpr std::size_t kLoadScratchSize = kFileHeadSize + kMaxInterpreterPath;

// An open file and the memory its plan lives in. Not copied; release_elf ends it (the descriptor stays the caller's).
struct ElfFile {
  int fd = -1;
  std::span<std::byte> scratch;  // at least kFileHeadSize; holds the file's first bytes and usually the plan's table
  std::size_t head_size = 0;     // bytes of the file's head in scratch
  std::uint64_t overflow_address = 0;  // a mapping of our own, for tables that scratch cannot hold
  std::uint64_t overflow_size = 0;
  ElfPlan plan = {};
};

// Reads until `size` bytes or the end of the file. Returns the count or a negative errno. May block on slow storage.
[[nodiscard]] long read_at(int fd, std::span<std::byte> destination, std::uint64_t offset);

// Fills scratch with the file's first kFileHeadSize bytes (fewer for short files).
[[nodiscard]] LoadFailure read_head(ElfFile& file, ImageRole role);

// Parses the head that read_head left, reading the program header table where it lies outside.
[[nodiscard]] LoadFailure read_plan(ElfFile& file, ImageRole role);

// Copies the PT_INTERP path of file.plan to `path` and checks it: path.size() must be at least the plan's
// interpreter_size. The result is NUL-terminated.
[[nodiscard]] LoadFailure read_interpreter_path(const ElfFile& file, std::span<std::byte> path);

void release_elf(ElfFile& file);

}  // namespace casemate::runtime
