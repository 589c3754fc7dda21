// Which units of the store are free. Two bits per unit: `used` is what the metadata refers to and what checkpoints
// store; `held` keeps a unit from being given out although nothing (any more, or yet) refers to it:
//   - taken for a write that is under way
//   - freed by a record that is not durable, or a node that the durable superblock still reaches
//
// Groups of 4096 units, one item of the tree each; a group without item is free. Not thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "volume/format.h"

namespace casemate::volume {

inline constexpr std::size_t kGroupUnits = 4096;
inline constexpr std::size_t kGroupBytes = kGroupUnits / 8;

class Space {
 public:
  // Units from `first` on may be given out; those below are taken for good.
  explicit Space(Unit first) : first_(first) {}

  // Units that exist in the store. May shrink only when nothing above is used or held.
  void set_capacity(Unit capacity);
  Unit capacity() const { return capacity_; }
  Unit first() const { return first_; }

  // Neither used nor held.
  std::uint64_t free_count() const { return free_count_; }
  std::uint64_t used_count() const { return used_count_; }
  std::uint64_t held_count() const { return held_count_; }

  // The longest of the first runs found, at most `maximum` units; they are held then. nullopt: none is free.
  std::optional<Run> take_data(std::uint64_t maximum) { return take(maximum, data_cursor_); }
  std::optional<Run> take_node() { return take(1, node_cursor_); }
  // Searches from the start: for compaction.
  void rewind() { data_cursor_ = node_cursor_ = first_; }

  // held -> used
  void confirm(const Run& run);
  // used -> held
  void release(const Run& run);
  // held -> free
  void drop(const Run& run);
  // -> held, for recovery
  void hold(Unit unit);
  bool is_used(Unit unit) const;
  // Whether the unit may be referred to at all.
  bool is_allocatable(Unit unit) const { return unit >= first_ && unit < capacity_; }
  // One above the highest unit that is used or held.
  Unit taken_end() const;

  std::size_t group_count() const { return groups_.size(); }
  // Groups whose `used` bits changed since they were last marked stored.
  bool is_dirty(std::size_t group) const { return groups_[group].dirty; }
  void mark_stored(std::size_t group) { groups_[group].dirty = false; }
  std::array<std::byte, kGroupBytes> encode(std::size_t group) const;
  // Errors: kFormat for a group or unit that does not exist.
  Result<void> load(std::uint64_t group, ByteView bitmap);

 private:
  static constexpr std::size_t kWords = kGroupUnits / 64;
  struct Group {
    std::array<std::uint64_t, kWords> used{};
    std::array<std::uint64_t, kWords> held{};
    bool dirty = false;
  };
  struct Place {
    Group& group;
    std::size_t word;
    std::uint64_t bit;
  };
  Place place(Unit unit) {
    return {groups_[unit / kGroupUnits], unit % kGroupUnits / 64, std::uint64_t{1} << (unit % 64)};
  }
  std::uint64_t busy_word(Unit unit) const {
    const Group& group = groups_[unit / kGroupUnits];
    return group.used[unit % kGroupUnits / 64] | group.held[unit % kGroupUnits / 64];
  }
  std::optional<Run> take(std::uint64_t maximum, Unit& cursor);
  Unit find_free(Unit from, Unit to) const;
  std::uint64_t free_length(Unit from, std::uint64_t maximum) const;

  Unit first_;
  Unit capacity_ = 0;
  Unit data_cursor_ = 0, node_cursor_ = 0;
  std::uint64_t free_count_ = 0, used_count_ = 0, held_count_ = 0;
  std::vector<Group> groups_;
};

}  // namespace casemate::volume
