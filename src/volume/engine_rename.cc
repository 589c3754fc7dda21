// rename(2) with its variants. Everything is checked before anything changes.
#include <sys/stat.h>

#include <cerrno>

#include "volume/engine.h"

namespace casemate::volume {
namespace {

constexpr int kMaximumDepth = 1 << 17;

}  // namespace

// A directory must not move below itself: nobody would reach it again.
Result<void> Engine::require_not_inside(InodeNumber inode, InodeNumber directory) {
  InodeNumber above = directory;
  for (int depth = 0; above != 0 && depth < kMaximumDepth; ++depth) {
    if (above == inode) return refused(EINVAL, "a directory cannot move into itself");
    above = CASEMATE_TRY(load_directory(above)).parent;
  }
  return above == 0 ? Result<void>() : refused(ELOOP, "directories are nested too deeply");
}

Result<void> Engine::check_replaceable(const Slot& from, const Slot& to) {
  const bool from_directory = S_ISDIR(from.entry.type), to_directory = S_ISDIR(to.entry.type);
  if (from_directory && !to_directory) return refused(ENOTDIR, "a directory replaces directories only");
  if (!from_directory && to_directory) return refused(EISDIR, "only a directory replaces a directory");
  if (to_directory && !CASEMATE_TRY(is_empty_directory(to.entry.inode))) {
    return refused(ENOTEMPTY, "the directory is not empty");
  }
  (void)CASEMATE_TRY(load_inode(to.entry.inode));
  return metadata_.prepare(orphan_key(to.entry.inode));
}

Result<void> Engine::move_entry(InodeNumber from_directory, const Slot& from, InodeNumber to_directory,
                                std::uint64_t to_index, std::string_view to_name) {
  const bool is_directory = S_ISDIR(from.entry.type);
  VOLUME_CHECK(erase({from_directory, ItemType::kEntry, from.index}));
  VOLUME_CHECK(put_entry(to_directory, to_index, {from.entry.inode, from.entry.type, std::string(to_name)}));
  VOLUME_CHECK(without_value(update_inode(from.entry.inode, [&](Inode& inode) {
    inode.attributes.change_time = clock_.now();
    if (!is_directory) return;
    inode.parent = to_directory;
    inode.parent_index = to_index;
  })));
  VOLUME_CHECK(touch_directory(from_directory, is_directory ? -1 : 0));
  return touch_directory(to_directory, is_directory ? 1 : 0);
}

Result<void> Engine::exchange_entries(InodeNumber from_directory, const Slot& from, InodeNumber to_directory,
                                      const Slot& to) {
  const auto place = [&](InodeNumber directory, const Slot& slot, const Entry& moved) -> Result<void> {
    VOLUME_CHECK(put_entry(directory, slot.index, {moved.inode, moved.type, slot.entry.name}));
    return without_value(update_inode(moved.inode, [&](Inode& inode) {
      inode.attributes.change_time = clock_.now();
      if (!S_ISDIR(moved.type)) return;
      inode.parent = directory;
      inode.parent_index = slot.index;
    }));
  };
  VOLUME_CHECK(place(from_directory, from, to.entry));
  VOLUME_CHECK(place(to_directory, to, from.entry));
  const std::int32_t moved_in = (S_ISDIR(to.entry.type) ? 1 : 0) - (S_ISDIR(from.entry.type) ? 1 : 0);
  VOLUME_CHECK(touch_directory(from_directory, moved_in));
  return touch_directory(to_directory, -moved_in);
}

Result<std::optional<Attributes>> Engine::rename(InodeNumber from_directory, std::string_view from_name,
                                                 InodeNumber to_directory, std::string_view to_name, RenameMode mode) {
  using Replaced = std::optional<Attributes>;
  return settled(change<Replaced>({}, [&]() -> Result<Replaced> {
    const Slot from = CASEMATE_TRY(require_entry(from_directory, from_name));
    const Inode above = CASEMATE_TRY(load_directory(to_directory));
    Result<Slot> target = require_entry(to_directory, to_name);
    const bool exists = target.has_value();
    if (!exists && target.error().system_code() != ENOENT) return target.error();
    if (!exists && (to_name.empty() || mode == RenameMode::kExchange)) return target.error();
    if (exists && mode == RenameMode::kNoReplace) return refused(EEXIST, "the name exists");
    if (above.attributes.link_count == 0) return refused(ENOENT, "the directory was removed");
    (void)CASEMATE_TRY(load_inode(from.entry.inode));
    // Two names of one inode: nothing happens, as POSIX has it.
    if (exists && target.value().entry.inode == from.entry.inode) return Replaced();
    if (S_ISDIR(from.entry.type)) VOLUME_CHECK(require_not_inside(from.entry.inode, to_directory));
    if (mode == RenameMode::kExchange) {
      const Slot& to = target.value();
      (void)CASEMATE_TRY(load_inode(to.entry.inode));
      if (S_ISDIR(to.entry.type)) VOLUME_CHECK(require_not_inside(to.entry.inode, from_directory));
      VOLUME_CHECK(exchange_entries(from_directory, from, to_directory, to));
      return Replaced();
    }
    Replaced replaced;
    std::uint64_t index = 0;
    if (exists) {
      VOLUME_CHECK(check_replaceable(from, target.value()));
      index = target.value().index;
      replaced = CASEMATE_TRY(remove_entry(to_directory, target.value()));
    } else {
      index = CASEMATE_TRY(free_entry_index(to_directory, to_name));
    }
    VOLUME_CHECK(move_entry(from_directory, from, to_directory, index, to_name));
    return replaced;
  }));
}

}  // namespace casemate::volume
