// The journal: a ring of sealed records, each of which authenticates its predecessor (docs/formats/volume.md,
// "Journal").
//
// Places in the ring are counted in bytes since the first record ever (modulo the ring's size they are places), so that
// what is kept and what may be overwritten is plain arithmetic. A record does not wrap: one that does not fit before
// the ring's end starts at its beginning.
//
// What a hostile host can do here -> what we answer
//   change, drop or reorder records          -> the chain breaks there; a later record proves that it was durable:
//   error put back records of an earlier round     -> older sequence, other predecessor: not part of the chain put back
//   a record that a recovery dropped -> the superblock of that mount says where its predecessors end cut off the newest
//   records               -> only the anchor can tell
#pragma once

#include <deque>
#include <memory>
#include <optional>

#include "base/result.h"
#include "volume/keyring.h"
#include "volume/superblock.h"

namespace casemate::volume {

inline constexpr std::size_t kRecordHeaderSize = 64;

struct RecordHeader {
  std::uint32_t payload_size = 0;
  std::uint32_t epoch = 0;
  std::uint64_t sequence = 0;
  std::uint64_t durable_sequence = 0;  // every record up to this one was durable when this one was written
  Tag previous_tag{};
  Tag tag{};
};

struct Record {
  RecordHeader header;
  Bytes payload;
  std::uint64_t begin = 0, end = 0;  // places
  Position position() const { return {header.epoch, header.sequence, header.tag}; }
};

struct RecordPlace {
  Position position;
  std::uint64_t end = 0;  // where the next one may begin
};

// Bytes that a record of so much payload takes in the ring.
std::uint64_t record_size(std::size_t payload_size);

class Journal {
 public:
  Journal(ByteStore& store, const Keyring& keyring, std::uint64_t size)
      : store_(store), keyring_(keyring), size_(size) {}

  std::uint64_t size() const { return size_; }
  // The largest record that is ever written; recovery believes no other.
  std::uint64_t maximum_record() const { return size_ / 8; }
  // A transaction of this size is written without waiting for a sync(); what one operation adds to it still fits.
  std::uint64_t staging_limit() const { return size_ / 32; }

  // --- reading
  // The record at `place` that continues `previous`. nullptr: there is none, or it does not verify.
  Result<std::unique_ptr<Record>> read(std::uint64_t place, const Position& previous) const;
  // Whether somewhere in the ring stands a record that proves that `sequence` was durable.
  Result<bool> proves_durable(std::uint64_t sequence) const;

  // --- writing. Not thread-safe, except for write() and write_durably().
  void start_at(std::uint64_t head, std::uint64_t tail) { head_ = head, tail_ = tail; }
  std::uint64_t head() const { return head_; }
  std::uint64_t used() const { return head_ - tail_; }
  void free_until(std::uint64_t tail) { tail_ = tail; }
  // Where the next record of this size begins; nullopt when the ring is full. Only the record of a checkpoint, which
  // makes room, may use the last quarter.
  enum class Use { kOrdinary, kCheckpoint };
  std::optional<std::uint64_t> place_for(std::uint64_t record_bytes, Use use) const;
  void advance(std::uint64_t begin, std::uint64_t record_bytes) { head_ = begin + record_bytes; }
  // Seals the payload; gives the bytes to write at `place_of(begin)`, and the tag in `header`.
  Result<Bytes> seal(RecordHeader& header, ByteView payload) const;
  Result<void> write(std::uint64_t begin, ByteView record) const { return store_.write(offset_of(begin), record); }
  Result<void> write_durably(std::uint64_t begin, ByteView record) const {
    return store_.write_durably(offset_of(begin), record);
  }

 private:
  std::uint64_t offset_of(std::uint64_t place) const { return kJournalUnit * kUnitSize + place % size_; }
  Result<std::unique_ptr<Record>> read_at(std::uint64_t place, const Position& previous) const;
  Result<bool> opens(const RecordHeader& header, std::uint64_t offset) const;

  ByteStore& store_;
  const Keyring& keyring_;
  std::uint64_t size_;
  std::uint64_t head_ = 0, tail_ = 0;
};

}  // namespace casemate::volume
