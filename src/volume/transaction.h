// What was changed since the last journal record: the next record's payload. Items are kept by their last value,
// changes of pages in order; the two never touch the same items.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "volume/metadata.h"

namespace casemate::volume {

class Transaction {
 public:
  bool is_empty() const { return items_.empty() && page_changes_.empty(); }
  // Of the payload, in bytes; an upper bound.
  std::size_t size() const { return page_changes_.size() + item_bytes_ + inline_.size() * (kUnitSize + 9); }

  void put(const Key& key, ByteView value);
  void erase(const Key& key);
  void set_pages(const PageRun& run);
  void clear_pages(const PageRange& range) { range_change(Change::kClearPages, range); }
  void reserve_pages(const PageRange& range) { range_change(Change::kReservePages, range); }
  // The contents of a unit go into the record and not to their place.
  void add_inline(Unit unit, std::shared_ptr<const UnitContents> contents) { inline_[unit] = std::move(contents); }
  std::size_t inline_count() const { return inline_.size(); }
  // Units that become free once the record is durable.
  void add_freed(std::vector<Run>& runs);

  Bytes encode() const;
  const std::vector<Run>& freed() const { return freed_; }

 private:
  void range_change(Change change, const PageRange& range);

  Bytes page_changes_;
  std::unordered_map<Key, std::optional<Bytes>, KeyHash> items_;  // nullopt: erased
  std::size_t item_bytes_ = 0;
  std::map<Unit, std::shared_ptr<const UnitContents>> inline_;
  std::vector<Run> freed_;
};

// One change read back from a payload.
struct ChangeRecord {
  Change change{};
  Key key;
  ByteView value;  // of an item, or the contents of a unit
  PageRun run;
  PageRange range;
  Unit unit = 0;
};
// Errors: kFormat. Stops at the first error that `visit` gives.
Result<void> for_each_change(ByteView payload, const std::function<Result<void>(const ChangeRecord&)>& visit);

}  // namespace casemate::volume
