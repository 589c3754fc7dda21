// What a hostile host can do here -> what we answer
//   damage a record that was durable            -> a later record, or the superblock, says that it was: refused
//   damage the newest record, or its data       -> like a crash before its flush: dropped with notice; the anchor knows
//                                                  if it was more than that
//   cut the journal                             -> shorter chain: only the anchor can tell, and does
#include "volume/recovery.h"

#include <algorithm>
#include <cerrno>
#include <unordered_map>

#include "volume/check.h"
#include "volume/errors.h"

namespace casemate::volume {
namespace {

std::string text_of(const Position& position) {
  return "epoch " + std::to_string(position.epoch) + ", record " + std::to_string(position.sequence);
}

Error missing_record(std::uint64_t sequence) {
  return damaged("journal record " + std::to_string(sequence) +
                 " is damaged or gone although it had been durable: not a crash, but an attack or a failing disk");
}

}  // namespace

Result<void> Recovery::read_journal(From from) {
  newest_ = superblock_.tree_position;
  head_ = superblock_.journal_begin;
  if (from == From::kRetained) VOLUME_CHECK(read_retained());
  if (superblock_.state == State::kOpen) VOLUME_CHECK(read_tail());
  return {};
}

// Records that the tree has already, but that an anchor which lags may name.
Result<void> Recovery::read_retained() {
  Position position = superblock_.retained_position;
  std::uint64_t place = superblock_.retained_begin;
  places_.push_back({position, place});
  while (position.sequence < superblock_.tree_position.sequence) {
    const std::unique_ptr<Record> record = CASEMATE_TRY(journal_.read(place, position));
    if (record == nullptr) return missing_record(position.sequence + 1);
    position = record->position();
    place = record->end;
    places_.push_back({position, place});
  }
  if (!(position == superblock_.tree_position)) return damaged("the journal does not lead to the superblock's state");
  return {};
}

Result<void> Recovery::read_tail() {
  while (true) {
    const std::unique_ptr<Record> record = CASEMATE_TRY(journal_.read(head_, newest_));
    if (record == nullptr) break;
    // Records that the mount of this superblock did not find can come back only by replay.
    const bool is_earlier = record->header.sequence <= superblock_.mount_sequence;
    if (is_earlier ? record->header.epoch >= superblock_.epoch : record->header.epoch != superblock_.epoch) break;
    if (record->header.epoch < newest_.epoch) break;
    newest_ = record->position();
    head_ = record->end;
    places_.push_back({newest_, head_});
    records_.push_back(std::move(*record));
  }
  const std::uint64_t missing = newest_.sequence + 1;
  if (missing <= superblock_.mount_sequence || CASEMATE_TRY(journal_.proves_durable(missing))) {
    return missing_record(missing);
  }
  return require_whole_tail();
}

// At most one record can lack its flush: each waits for that of its predecessor.
Result<void> Recovery::require_whole_tail() {
  if (records_.empty() || newest_.sequence <= superblock_.mount_sequence) return {};
  if (CASEMATE_TRY(is_whole(records_.back()))) return {};
  dropped_tail_ = true;
  head_ = records_.back().begin;
  records_.pop_back();
  places_.pop_back();
  newest_ = records_.empty() ? superblock_.tree_position : records_.back().position();
  return {};
}

// Opens the pages that the record leaves in place.
Result<bool> Recovery::is_whole(const Record& record) const {
  struct Expected {
    Unit unit;
    SealId seal;
    Tag tag;
  };
  std::map<std::pair<InodeNumber, std::uint64_t>, Expected> pages;
  std::map<Unit, ByteView> contents;
  const Result<void> read = for_each_change(record.payload, [&](const ChangeRecord& change) -> Result<void> {
    const PageRun& run = change.run;
    const PageRange& range = change.range;
    if (change.change == Change::kSetPages) {
      for (std::size_t index = 0; index < run.tags.size(); ++index) {
        pages[{run.inode, run.first_page + index}] = {
            run.unit + index, {run.seal.epoch, run.seal.counter + index}, run.tags[index]};
      }
    } else if (change.change == Change::kClearPages) {
      pages.erase(pages.lower_bound({range.inode, range.first_page}), pages.lower_bound({range.inode, range.end()}));
    } else if (change.change == Change::kInline) {
      contents[change.unit] = change.value;
    }
    return {};
  });
  if (!read) return read.error();
  Bytes page(kPageSize);
  for (const auto& [place, expected] : pages) {
    if (const auto here = contents.find(expected.unit); here != contents.end()) {
      std::copy(here->second.begin(), here->second.end(), page.begin());
    } else if (auto loaded = store_.read(expected.unit * kUnitSize, page); !loaded) {
      if (is_damage(loaded.error())) return false;
      return loaded.error();
    }
    const crypto::Aes256Gcm* const cipher = CASEMATE_TRY(keyring_.cipher(expected.seal.epoch));
    if (!cipher->open(nonce_for(Domain::kData, expected.seal.counter), associated_data({place.first, place.second}),
                      page, expected.tag, page)) {
      return false;
    }
  }
  return true;
}

Result<void> Recovery::check_anchor(const Position& anchored) const {
  const auto names = [&](const RecordPlace& place) { return place.position == anchored; };
  if (std::any_of(places_.begin(), places_.end(), names)) return {};
  const std::string both = "expected " + text_of(anchored) + ", found " + text_of(newest_);
  if (anchored.epoch > newest_.epoch || anchored.sequence > newest_.sequence) {
    return refused(ESTALE, "the volume was rolled back: " + both +
                               (dropped_tail_ ? " (its newest record does not match the data)" : ""));
  }
  if (anchored.sequence < superblock_.retained_position.sequence) {
    return refused(ESTALE, "the anchor is older than what the journal can prove: " + both);
  }
  return refused(ESTALE, "this is another volume, or a copy that went its own way (fork): " + both);
}

Result<void> Recovery::replay(Metadata& metadata) {
  // Nodes that change now must not take units that a later record names.
  std::unordered_map<Unit, std::uint32_t> named;
  for (const Record& record : records_) {
    VOLUME_CHECK(for_each_change(record.payload, [&](const ChangeRecord& change) -> Result<void> {
      if (change.change != Change::kSetPages) return {};
      for (std::size_t index = 0; index < change.run.tags.size(); ++index) ++named[change.run.unit + index];
      unit_end_ = std::max(unit_end_, change.run.unit + change.run.tags.size());
      return {};
    }));
  }
  if (unit_end_ > superblock_.maximum_units) return damaged("journal: pages lie outside of the volume");
  if (unit_end_ > metadata.space().capacity()) metadata.space().set_capacity(unit_end_);
  for (const auto& [unit, count] : named) {
    if (metadata.space().is_allocatable(unit)) metadata.space().hold(unit);
  }
  metadata.set_growth_limit(superblock_.maximum_units + kRecoveryUnits);
  for (const Record& record : records_) {
    VOLUME_CHECK(for_each_change(record.payload, [&](const ChangeRecord& change) -> Result<void> {
      if (change.change == Change::kSetPages) {
        for (std::size_t index = 0; index < change.run.tags.size(); ++index) --named[change.run.unit + index];
      }
      return apply(metadata, change);
    }));
    for (const Run& run : std::exchange(metadata.freed(), {})) {
      for (Unit unit = run.first; unit < run.end(); ++unit) {
        const auto later = named.find(unit);
        if (later == named.end() || later->second == 0) metadata.space().drop({unit, 1});
      }
    }
  }
  for (const auto& [unit, count] : named) {
    if (metadata.space().is_allocatable(unit)) metadata.space().drop({unit, 1});
  }
  metadata.set_growth_limit(0);
  unit_end_ = std::max(unit_end_, metadata.space().capacity());
  return {};
}

Result<void> Recovery::apply(Metadata& metadata, const ChangeRecord& change) const {
  const auto without_balance = [](const Result<PageBalance>& done) {
    return done ? Result<void>() : Result<void>(done.error());
  };
  switch (change.change) {
    case Change::kPut:
      return metadata.put(change.key, change.value);
    case Change::kErase:
      return metadata.erase(change.key);
    case Change::kSetPages:
      return without_balance(metadata.set_pages(change.run));
    case Change::kClearPages:
      return without_balance(metadata.clear_pages(change.range));
    case Change::kReservePages:
      if (change.range.count > superblock_.maximum_units) return damaged("journal: more pages than the volume has");
      return without_balance(metadata.reserve_pages(change.range));
    case Change::kInline: {
      auto contents = std::make_shared<UnitContents>();
      std::copy(change.value.begin(), change.value.end(), contents->begin());
      metadata.set_inline(change.unit, std::move(contents));
      return {};
    }
  }
  return {};
}

}  // namespace casemate::volume
