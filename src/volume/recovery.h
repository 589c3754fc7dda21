// What a mount finds in the journal: which records count, and what they change.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "base/result.h"
#include "volume/journal.h"
#include "volume/metadata.h"
#include "volume/transaction.h"

namespace casemate::volume {

// Replaying may need a few units more at a time than were needed when the records were written: so many beyond the
// volume's maximum.
inline constexpr Unit kRecoveryUnits = 4096;

class Recovery {
 public:
  Recovery(ByteStore& store, const Keyring& keyring, const Journal& journal, const Superblock& superblock)
      : store_(store), keyring_(keyring), journal_(journal), superblock_(superblock) {}

  // Reads the chain: from the retained position when an anchor may name a record there, else from the tree's. Errors:
  // kFormat when a record that was durable is missing.
  enum class From { kRetained, kTree };
  Result<void> read_journal(From from);
  // Whether the volume contains exactly this position. Errors say whether it was rolled back, forked or is another one.
  Result<void> check_anchor(const Position& anchored) const;
  // Applies what the tree lacks. Afterwards the data of all applied records is known to be whole.
  Result<void> replay(Metadata& metadata);

  const Position& newest() const { return newest_; }
  std::uint64_t head() const { return head_; }
  // In order, from the oldest one that an anchor may name.
  const std::deque<RecordPlace>& records() const { return places_; }
  std::size_t replayed_count() const { return records_.size(); }
  bool dropped_tail() const { return dropped_tail_; }
  // So large the store must be.
  Unit unit_end() const { return unit_end_; }

 private:
  Result<void> read_retained();
  Result<void> read_tail();
  Result<void> require_whole_tail();
  Result<bool> is_whole(const Record& record) const;
  Result<void> apply(Metadata& metadata, const ChangeRecord& change) const;

  ByteStore& store_;
  const Keyring& keyring_;
  const Journal& journal_;
  const Superblock& superblock_;
  std::deque<RecordPlace> places_;
  std::vector<Record> records_;  // behind the tree's position
  Position newest_;
  std::uint64_t head_ = 0;
  Unit unit_end_ = 0;
  bool dropped_tail_ = false;
};

}  // namespace casemate::volume
