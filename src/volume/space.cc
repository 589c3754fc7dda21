#include "volume/space.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

#include "volume/errors.h"

namespace casemate::volume {

void Space::set_capacity(Unit capacity) {
  if (capacity > capacity_) groups_.resize((capacity + kGroupUnits - 1) / kGroupUnits);
  // Nothing above the smaller of the two is used or held.
  free_count_ = free_count_ + std::max(capacity, first_) - std::max(capacity_, first_);
  capacity_ = capacity;
  if (data_cursor_ < first_) data_cursor_ = node_cursor_ = first_;
}

Unit Space::find_free(Unit from, Unit to) const {
  while (from < to) {
    const std::uint64_t free = ~busy_word(from) >> (from % 64);
    if (free != 0) return std::min<Unit>(to, from + static_cast<unsigned>(std::countr_zero(free)));
    from = (from / 64 + 1) * 64;
  }
  return to;
}

std::uint64_t Space::free_length(Unit from, std::uint64_t maximum) const {
  std::uint64_t length = 0;
  while (length < maximum && from + length < capacity_) {
    const Unit unit = from + length;
    const std::uint64_t busy = busy_word(unit) >> (unit % 64);
    const std::uint64_t in_word = 64 - unit % 64;
    const std::uint64_t free = busy == 0 ? in_word : static_cast<unsigned>(std::countr_zero(busy));
    length += free;
    if (free < in_word) break;
  }
  return std::min({length, maximum, capacity_ - from});
}

// Next fit: the first run that is long enough among a few, else the longest of them.
std::optional<Run> Space::take(std::uint64_t maximum, Unit& cursor) {
  constexpr int kCandidates = 16;
  if (free_count_ == 0 || maximum == 0) return std::nullopt;
  Run best;
  Unit from = std::clamp(cursor, first_, capacity_);
  bool wrapped = false;
  for (int candidate = 0; candidate < kCandidates;) {
    const Unit unit = find_free(from, capacity_);
    if (unit == capacity_) {
      if (wrapped) break;
      wrapped = true;
      from = first_;
      continue;
    }
    const Run run{unit, free_length(unit, maximum)};
    if (run.count > best.count) best = run;
    if (best.count == maximum) break;
    from = run.end();
    ++candidate;
  }
  if (best.count == 0) return std::nullopt;
  for (Unit unit = best.first; unit < best.end(); ++unit) hold(unit);
  cursor = best.end();
  return best;
}

void Space::hold(Unit unit) {
  const Place at = place(unit);
  if ((at.group.held[at.word] & at.bit) != 0) return;
  at.group.held[at.word] |= at.bit;
  ++held_count_;
  if ((at.group.used[at.word] & at.bit) == 0) --free_count_;
}

void Space::confirm(const Run& run) {
  for (Unit unit = run.first; unit < run.end(); ++unit) {
    const Place at = place(unit);
    const bool was_held = (at.group.held[at.word] & at.bit) != 0, was_used = (at.group.used[at.word] & at.bit) != 0;
    at.group.held[at.word] &= ~at.bit;
    at.group.used[at.word] |= at.bit;
    at.group.dirty = true;
    held_count_ -= was_held ? 1 : 0;
    used_count_ += was_used ? 0 : 1;
    free_count_ -= !was_held && !was_used ? 1 : 0;
  }
}

void Space::release(const Run& run) {
  for (Unit unit = run.first; unit < run.end(); ++unit) {
    hold(unit);
    const Place at = place(unit);
    if ((at.group.used[at.word] & at.bit) != 0) --used_count_;
    at.group.used[at.word] &= ~at.bit;
    at.group.dirty = true;
  }
}

void Space::drop(const Run& run) {
  for (Unit unit = run.first; unit < run.end(); ++unit) {
    const Place at = place(unit);
    if ((at.group.held[at.word] & at.bit) == 0) continue;
    at.group.held[at.word] &= ~at.bit;
    --held_count_;
    if ((at.group.used[at.word] & at.bit) == 0 && unit < capacity_) ++free_count_;
  }
}

bool Space::is_used(Unit unit) const {
  if (unit / kGroupUnits >= groups_.size()) return false;
  return (groups_[unit / kGroupUnits].used[unit % kGroupUnits / 64] >> (unit % 64) & 1) != 0;
}

Unit Space::taken_end() const {
  for (std::size_t group = groups_.size(); group-- > 0;) {
    for (std::size_t word = kWords; word-- > 0;) {
      const std::uint64_t used = groups_[group].used[word] | groups_[group].held[word];
      if (used != 0) return group * kGroupUnits + word * 64 + 64 - static_cast<unsigned>(std::countl_zero(used));
    }
  }
  return first_;
}

std::array<std::byte, kGroupBytes> Space::encode(std::size_t group) const {
  std::array<std::byte, kGroupBytes> bitmap;
  std::memcpy(bitmap.data(), groups_[group].used.data(), bitmap.size());
  return bitmap;
}

Result<void> Space::load(std::uint64_t group, ByteView bitmap) {
  // Groups that were cut off have items without bits.
  if (group >= kMaximumUnit / kGroupUnits || bitmap.size() != kGroupBytes) {
    return damaged("free space: group " + std::to_string(group) + " does not follow the format");
  }
  std::array<std::uint64_t, kWords> used;
  std::memcpy(used.data(), bitmap.data(), bitmap.size());
  for (std::size_t word = 0; word < kWords; ++word) {
    for (std::uint64_t bits = used[word]; bits != 0; bits &= bits - 1) {
      const Unit unit = group * kGroupUnits + word * 64 + static_cast<unsigned>(std::countr_zero(bits));
      if (!is_allocatable(unit)) return damaged("free space: unit " + std::to_string(unit) + " cannot be in use");
      const Place at = place(unit);
      if ((at.group.used[at.word] & at.bit) != 0) continue;
      at.group.used[at.word] |= at.bit;
      ++used_count_;
      --free_count_;
    }
  }
  return {};
}

}  // namespace casemate::volume
