#include "volume/transaction.h"

#include "volume/check.h"
#include "volume/errors.h"

namespace casemate::volume {
namespace {

std::size_t cost(const std::optional<Bytes>& value) { return kKeySize + 3 + (value ? value->size() : 0); }

template <typename Number>
void write(Bytes& out, Number number) {
  ByteWriter(out).number(number);
}

Result<void> read_change(ByteReader& reader, ChangeRecord& record) {
  record.change = static_cast<Change>(reader.number<std::uint8_t>());
  switch (record.change) {
    case Change::kPut:
      record.key = read_key(reader);
      record.value = reader.bytes(reader.number<std::uint16_t>());
      break;
    case Change::kErase:
      record.key = read_key(reader);
      break;
    case Change::kSetPages: {
      record.run.inode = reader.number<std::uint64_t>();
      record.run.first_page = reader.number<std::uint64_t>();
      record.run.unit = reader.number<std::uint64_t>();
      record.run.seal.epoch = reader.number<std::uint32_t>();
      record.run.seal.counter = reader.number<std::uint64_t>();
      const std::size_t count = reader.number<std::uint16_t>();
      record.run.tags.clear();
      for (std::size_t index = 0; index < count && !reader.failed(); ++index) {
        record.run.tags.push_back(reader.array<16>());
      }
      if (count == 0) return damaged("journal: pages without number");
      break;
    }
    case Change::kClearPages:
    case Change::kReservePages:
      record.range.inode = reader.number<std::uint64_t>();
      record.range.first_page = reader.number<std::uint64_t>();
      record.range.count = reader.number<std::uint64_t>();
      break;
    case Change::kInline:
      record.unit = reader.number<std::uint64_t>();
      record.value = reader.bytes(kUnitSize);
      break;
    default:
      return damaged("journal: unknown kind of change");
  }
  if (reader.failed()) return damaged("journal: a record ends in the middle of a change");
  return {};
}

// Pages beyond the largest file, or ranges that run around the end of numbers.
bool is_sane(const ChangeRecord& record) {
  constexpr std::uint64_t kMaximumPage = kMaximumFileSize / kPageSize;
  switch (record.change) {
    case Change::kPut:
    case Change::kErase:
      // What has changes of its own.
      return record.key.type != ItemType::kPages && record.key.type != ItemType::kSpace;
    case Change::kSetPages:
      return record.run.first_page < kMaximumPage && record.run.unit < kMaximumUnit;
    case Change::kClearPages:
    case Change::kReservePages:
      return record.range.first_page <= kMaximumPage && record.range.count <= kMaximumPage && record.range.count > 0;
    case Change::kInline:
      return record.unit < kMaximumUnit;
  }
  return false;
}

}  // namespace

void Transaction::put(const Key& key, ByteView value) {
  const auto [place, fresh] = items_.try_emplace(key);
  if (!fresh) item_bytes_ -= cost(place->second);
  place->second = Bytes(value.begin(), value.end());
  item_bytes_ += cost(place->second);
}

void Transaction::erase(const Key& key) {
  const auto [place, fresh] = items_.try_emplace(key);
  if (!fresh) item_bytes_ -= cost(place->second);
  place->second.reset();
  item_bytes_ += cost(place->second);
}

void Transaction::set_pages(const PageRun& run) {
  ByteWriter writer(page_changes_);
  writer.number(static_cast<std::uint8_t>(Change::kSetPages));
  writer.number(run.inode);
  writer.number(run.first_page);
  writer.number(run.unit);
  writer.number(run.seal.epoch);
  writer.number(run.seal.counter);
  writer.number(static_cast<std::uint16_t>(run.tags.size()));
  for (const Tag& tag : run.tags) writer.bytes(tag);
}

void Transaction::range_change(Change change, const PageRange& range) {
  ByteWriter writer(page_changes_);
  writer.number(static_cast<std::uint8_t>(change));
  writer.number(range.inode);
  writer.number(range.first_page);
  writer.number(range.count);
}

void Transaction::add_freed(std::vector<Run>& runs) {
  // Contents of units that are free again need not be kept.
  for (const Run& run : runs) inline_.erase(inline_.lower_bound(run.first), inline_.lower_bound(run.end()));
  freed_.insert(freed_.end(), runs.begin(), runs.end());
  runs.clear();
}

Bytes Transaction::encode() const {
  Bytes payload;
  payload.reserve(size());
  ByteWriter writer(payload);
  writer.bytes(page_changes_);
  for (const auto& [key, value] : items_) {
    write(payload, static_cast<std::uint8_t>(value ? Change::kPut : Change::kErase));
    write_key(writer, key);
    if (!value) continue;
    write(payload, static_cast<std::uint16_t>(value->size()));
    writer.bytes(*value);
  }
  for (const auto& [unit, contents] : inline_) {
    write(payload, static_cast<std::uint8_t>(Change::kInline));
    write(payload, unit);
    writer.bytes(*contents);
  }
  return payload;
}

Result<void> for_each_change(ByteView payload, const std::function<Result<void>(const ChangeRecord&)>& visit) {
  ByteReader reader(payload);
  ChangeRecord record;
  while (!reader.at_end()) {
    VOLUME_CHECK(read_change(reader, record));
    if (!is_sane(record)) return damaged("journal: a change does not follow the format");
    VOLUME_CHECK(visit(record));
  }
  return {};
}

}  // namespace casemate::volume
