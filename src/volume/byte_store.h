// What the engine needs from the outside: bytes that can be lost, a clock, and a place that remembers the newest state.
//
// What a hostile host can do here -> what we answer
//   return other bytes than were written, old ones, or none       -> every byte read is authenticated; kCorrupt
//   return all bytes of an older or of another volume             -> the Anchor decides; kRolledBack / kForeign
//   acknowledge a flush and lose the data                         -> as a rollback, at the next mount
//   fail, write short, report absurd sizes                        -> an error with offset and errno; nothing lost
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/result.h"

namespace casemate::volume {

// One host file. Calls may come from several threads at once, for ranges that do not overlap where one of them writes.
class ByteStore {
 public:
  virtual ~ByteStore() = default;
  // In bytes.
  virtual Result<std::uint64_t> size() const = 0;
  // Fills `out` completely or fails (kFormat when the store ends before).
  virtual Result<void> read(std::uint64_t offset, std::span<std::byte> out) const = 0;
  // Writes everything or fails; afterwards a read sees it. Durable only after the next flush(). Extends the store.
  virtual Result<void> write(std::uint64_t offset, std::span<const std::byte> data) = 0;
  // Everything written before is durable when this returns (fdatasync and, where needed, the size).
  virtual Result<void> flush() = 0;
  // As write(), and what it wrote is durable when this returns; of other writes nothing is said. Cheaper than flush()
  // while others write much.
  virtual Result<void> write_durably(std::uint64_t offset, std::span<const std::byte> data) {
    auto written = write(offset, data);
    return written ? flush() : written;
  }
  // Makes the store exactly so large; new bytes read as zero, and space for them is allocated where the host can.
  virtual Result<void> resize(std::uint64_t size) = 0;
};

struct Timestamp {
  std::int64_t seconds = 0;
  std::uint32_t nanoseconds = 0;
  friend bool operator==(const Timestamp&, const Timestamp&) = default;
};

// Wall clock time of files (untrusted: the host's).
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Timestamp now() const = 0;
};

// A state of the volume: what freshness compares. Totally ordered by (epoch, sequence); the tag names one chain.
struct Position {
  std::uint64_t epoch = 0;     // raised by every read-write mount
  std::uint64_t sequence = 0;  // raised by every journal record, never reset
  std::array<std::byte, 16> chain_tag{};
  friend bool operator==(const Position&, const Position&) = default;
};

// Remembers the newest position outside the volume: a file the owner names (freshness `local`), later CAS.
// A volume is accepted if it contains exactly the anchored record, and it may continue behind it.
class Anchor {
 public:
  virtual ~Anchor() = default;
  // Of which volume positions are from now on; a mount says so first. load() fails for those of another one.
  virtual void bind(const std::array<std::byte, 16>& volume_id) = 0;
  // nullopt: nothing was ever anchored for this volume. ESTALE: for another one.
  virtual Result<std::optional<Position>> load() = 0;
  // Durable when it returns. Only positions of durable records are given.
  virtual Result<void> store(const Position& position) = 0;
};

}  // namespace casemate::volume
