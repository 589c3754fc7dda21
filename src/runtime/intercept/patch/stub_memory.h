// Where stubs live: chunks of 64 KiB of private anonymous memory, readable and executable, within reach of the code
// they serve. Pages become resident only when a stub is written to them, so stubs are packed into pages already in use.
//
// Private, not a shared memfd with a second writable view: after fork parent and child patch different sites, and each
// must own its stubs. Callers hold the patcher's lock.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/intercept/patch/patch_plan.h"

namespace casemate::runtime {

inline constexpr std::uint64_t kChunkSize = 64 * 1024;
inline constexpr std::size_t kMaxChunks = 64;

struct StubPlacement {
  std::uint64_t address;  // 0: no place
  std::uint64_t chunk;    // the eight bytes at its start hold the entry point ...
  bool chunk_is_ready;    // ... unless the caller still has to write them (then: mark_chunk_ready)
};

struct PlacementRequest {
  std::uint64_t jump;  // address of the jump instruction
  std::uint64_t near;  // start of the mapping it stands in: new chunks are looked for below it
  std::size_t size;
  DisplacementPattern pattern;
};

// Finds and reserves a place. New chunks are looked for below the code first: the break grows above an executable.
StubPlacement place_stub(const PlacementRequest& request);
void mark_chunk_ready(std::uint64_t chunk);
// Gives a reservation back (the stub was never published).
void release_stub(std::uint64_t address, std::size_t size);

// [signal-safe, lock-free]
bool in_stub_memory(std::uint64_t address);

struct StubMemoryUse {
  std::uint64_t bytes, pages, chunks;
};
StubMemoryUse stub_memory_use();

}  // namespace casemate::runtime
