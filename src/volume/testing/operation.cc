#include "volume/testing/operation.h"

#include <sys/stat.h>
#include <sys/xattr.h>
#include <cstdlib>

#include <algorithm>
#include <array>
#include <functional>

#include "crypto/hash.h"
#include "volume/check.h"
#include "volume/testing/memory_store.h"

namespace casemate::volume::testing {
namespace {

std::string random_path(Random& random) {
  constexpr std::array<int, 6> kDepths = {0, 0, 0, 1, 1, 2};
  std::string path;
  for (int depth = kDepths[below(random, kDepths.size())]; depth > 0; --depth) {
    path += "/d" + std::to_string(below(random, 2));
  }
  return path + (below(random, 6) == 0 ? "/d" : "/f") + std::to_string(below(random, 4));
}

std::uint64_t random_offset(Random& random) {
  const std::uint64_t page = below(random, 40) * kPageSize;
  return below(random, 2) == 0 ? page : page + below(random, kPageSize);
}

std::uint64_t random_size(Random& random) {
  switch (below(random, 4)) {
    case 0:
      return below(random, 300) + 1;
    case 1:
      return (below(random, 8) + 1) * kPageSize;
    default:
      return below(random, 40'000) + 1;
  }
}

struct Weight {
  OperationKind kind;
  unsigned weight;
};
constexpr std::array kWeights = {
    Weight{OperationKind::kCreate, 14},
    Weight{OperationKind::kCreateOrphan, 1},
    Weight{OperationKind::kLink, 4},
    Weight{OperationKind::kUnlink, 7},
    Weight{OperationKind::kRemoveDirectory, 3},
    Weight{OperationKind::kRename, 8},
    Weight{OperationKind::kRelease, 3},
    Weight{OperationKind::kWrite, 22},
    Weight{OperationKind::kRead, 6},
    Weight{OperationKind::kResize, 5},
    Weight{OperationKind::kPunch, 4},
    Weight{OperationKind::kAllocate, 3},
    Weight{OperationKind::kSeek, 3},
    Weight{OperationKind::kChange, 4},
    Weight{OperationKind::kSetAttribute, 5},
    Weight{OperationKind::kGetAttribute, 2},
    Weight{OperationKind::kRemoveAttribute, 2},
    Weight{OperationKind::kList, 2},
    Weight{OperationKind::kStat, 2},
    Weight{OperationKind::kSync, 10},
    Weight{OperationKind::kCheckpoint, 2},
    Weight{OperationKind::kCollapse, 2},
    Weight{OperationKind::kInsert, 2},
};

std::string hash_of(ByteView bytes) {
  const auto digest = crypto::sha256(bytes);
  return std::to_string(load_number<std::uint64_t>(digest.data()));
}

}  // namespace

Operation choose(Random& random, Selection selection) {
  Operation operation;
  const auto is_wanted = [&](OperationKind kind) {
    return selection == Selection::kAll || (kind != OperationKind::kCollapse && kind != OperationKind::kInsert);
  };
  unsigned total = 0;
  for (const Weight& weight : kWeights) total += is_wanted(weight.kind) ? weight.weight : 0;
  std::uint64_t chosen = below(random, total);
  for (const Weight& weight : kWeights) {
    if (!is_wanted(weight.kind)) continue;
    operation.kind = weight.kind;
    if (chosen < weight.weight) break;
    chosen -= weight.weight;
  }
  operation.path = random_path(random);
  operation.second_path = random_path(random);
  constexpr std::array<std::uint32_t, 8> kTypes = {S_IFREG, S_IFREG, S_IFREG, S_IFREG,
                                                   S_IFDIR, S_IFDIR, S_IFLNK, S_IFIFO};
  const bool names_directory = operation.path[operation.path.size() - 2] == 'd';
  operation.mode = (names_directory ? S_IFDIR : kTypes[below(random, kTypes.size())]) |
                   static_cast<std::uint32_t>(below(random, 512));
  operation.offset = random_offset(random);
  operation.size = random_size(random);
  operation.seed = below(random, 1 << 30);
  if (operation.kind == OperationKind::kCollapse || operation.kind == OperationKind::kInsert) {
    operation.offset = operation.offset / kPageSize * kPageSize;
    operation.size = (operation.size / kPageSize + 1) * kPageSize;
  }
  return operation;
}

std::vector<Operation> prelude() {
  std::vector<Operation> operations;
  for (const char* path : {"/d0", "/d1", "/d0/d0", "/d0/d1", "/f0", "/f1", "/f2", "/f3", "/d0/f0", "/d1/f1"}) {
    Operation operation;
    operation.kind = OperationKind::kCreate;
    operation.path = path;
    operation.mode = (operation.path[operation.path.size() - 2] == 'd' ? S_IFDIR : S_IFREG) | 0750;
    operation.seed = operations.size();
    operations.push_back(operation);
    if (!S_ISREG(operation.mode)) continue;
    operation.kind = OperationKind::kWrite;
    operation.size = 10'000 * operations.size();
    operations.push_back(operation);
  }
  return operations;
}

Result<InodeNumber> Runner::resolve(const std::string& path) {
  InodeNumber inode = kRootInode;
  for (std::size_t begin = 1; begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    inode = CASEMATE_TRY(volume_->lookup(inode, path.substr(begin, end - begin))).inode;
    begin = end + 1;
  }
  return inode;
}

Result<Runner::Place> Runner::parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return Place{CASEMATE_TRY(resolve(path.substr(0, slash))), path.substr(slash + 1)};
}

// What lost its last name is released at once or kept for a later kRelease.
std::string Runner::after_removal(const Attributes& attributes, const Operation& operation) {
  std::string text = describe(attributes);
  if (attributes.link_count != 0) return text;
  if (operation.seed % 3 == 0) {
    orphans_.push_back(attributes.inode);
    return text + " kept";
  }
  const auto released = volume_->release_orphan(attributes.inode);
  return text + (released ? " released" : " " + std::to_string(released.error().system_code()));
}

Result<std::string> Runner::run_rename(const Operation& operation) {
  const Place from = CASEMATE_TRY(parent_of(operation.path)), to = CASEMATE_TRY(parent_of(operation.second_path));
  constexpr std::array kModes = {RenameMode::kReplace, RenameMode::kReplace, RenameMode::kNoReplace,
                                 RenameMode::kExchange};
  const auto replaced = CASEMATE_TRY(
      volume_->rename(from.directory, from.name, to.directory, to.name, kModes[operation.seed / 3 % kModes.size()]));
  return replaced ? after_removal(*replaced, operation) : std::string("moved");
}

Result<std::string> Runner::run_names(const Operation& operation) {
  const auto seed = static_cast<std::uint32_t>(operation.seed);
  if (operation.kind == OperationKind::kRename) return run_rename(operation);
  if (operation.kind == OperationKind::kCreateOrphan) {
    const Attributes made = CASEMATE_TRY(volume_->create_orphan({S_IFREG | 0600, seed, seed, 0, ""}));
    orphans_.push_back(made.inode);
    return describe(made);
  }
  if (operation.kind == OperationKind::kRelease) {
    if (orphans_.empty()) return std::string("nothing to release");
    const InodeNumber orphan = orphans_.back();
    orphans_.pop_back();
    VOLUME_CHECK(volume_->release_orphan(orphan));
    return std::string("released");
  }
  const Place place = CASEMATE_TRY(parent_of(operation.path));
  if (operation.kind == OperationKind::kCreate) {
    const std::string target = S_ISLNK(operation.mode) ? std::string(operation.seed % 4000 + 1, 't') : "";
    return describe(CASEMATE_TRY(
        volume_->create_node(place.directory, place.name, {operation.mode, seed % 7, seed % 5, seed, target})));
  }
  if (operation.kind == OperationKind::kLink) {
    const InodeNumber linked =
        operation.seed % 4 == 0 && !orphans_.empty() ? orphans_.back() : CASEMATE_TRY(resolve(operation.second_path));
    VOLUME_CHECK(volume_->link(linked, place.directory, place.name));
    std::erase(orphans_, linked);
    return describe(CASEMATE_TRY(volume_->attributes(linked)));
  }
  const Attributes removed =
      CASEMATE_TRY(operation.kind == OperationKind::kUnlink ? volume_->unlink(place.directory, place.name)
                                                            : volume_->remove_directory(place.directory, place.name));
  return after_removal(removed, operation);
}

Result<std::string> Runner::run_contents(const Operation& operation) {
  const InodeNumber inode = CASEMATE_TRY(resolve(operation.path));
  const std::uint64_t offset = operation.offset, size = operation.size;
  switch (operation.kind) {
    case OperationKind::kWrite:
      VOLUME_CHECK(volume_->write(inode, offset, pattern(size, operation.seed)));
      break;
    case OperationKind::kRead: {
      Bytes out(size);
      out.resize(CASEMATE_TRY(volume_->read(inode, offset, out)));
      return std::to_string(out.size()) + " bytes " + hash_of(out);
    }
    case OperationKind::kResize: {
      AttributeChange change;
      change.size = offset;
      return describe(CASEMATE_TRY(volume_->set_attributes(inode, change)));
    }
    case OperationKind::kPunch:
      VOLUME_CHECK(volume_->punch_hole(inode, offset, size));
      break;
    case OperationKind::kAllocate:
      VOLUME_CHECK(volume_->allocate(inode, offset, size,
                                     operation.seed % 2 == 0 ? AllocateMode::kExtend : AllocateMode::kKeepSize));
      break;
    case OperationKind::kCollapse:
      VOLUME_CHECK(volume_->collapse_range(inode, offset, size));
      break;
    case OperationKind::kInsert:
      VOLUME_CHECK(volume_->insert_range(inode, offset, size));
      break;
    default:
      return std::to_string(
          CASEMATE_TRY(volume_->seek(inode, offset, operation.seed % 2 == 0 ? SeekTarget::kData : SeekTarget::kHole)));
  }
  return describe(CASEMATE_TRY(volume_->attributes(inode)));
}

Result<std::string> Runner::run_attributes(const Operation& operation) {
  const InodeNumber inode = CASEMATE_TRY(resolve(operation.path));
  const std::string name = "user.a" + std::to_string(operation.seed % 4);
  constexpr std::array<int, 5> kFlags = {0, 0, 0, XATTR_CREATE, XATTR_REPLACE};
  switch (operation.kind) {
    case OperationKind::kChange: {
      AttributeChange change;
      change.permissions = operation.mode;
      if (operation.seed % 2 == 0) change.uid = static_cast<std::uint32_t>(operation.seed % 9);
      if (operation.seed % 3 == 0) change.access_time = Timestamp{static_cast<std::int64_t>(operation.seed), 7};
      return describe(CASEMATE_TRY(volume_->set_attributes(inode, change)));
    }
    case OperationKind::kSetAttribute: {
      const std::size_t size = operation.seed % 5 == 0 ? operation.size : operation.size % 200;
      VOLUME_CHECK(volume_->set_extended_attribute(inode, name, pattern(size, operation.seed),
                                                   kFlags[operation.seed % kFlags.size()]));
      return std::string("set");
    }
    case OperationKind::kGetAttribute:
      return hash_of(CASEMATE_TRY(volume_->extended_attribute(inode, name)));
    case OperationKind::kRemoveAttribute:
      VOLUME_CHECK(volume_->remove_extended_attribute(inode, name));
      return std::string("removed");
    case OperationKind::kList: {
      std::vector<std::string> names;
      for (const DirectoryEntry& entry : CASEMATE_TRY(volume_->read_directory(inode, 0, 1000))) {
        names.push_back(entry.name + ":" + std::to_string(entry.inode) + ":" + std::to_string(entry.type));
      }
      std::sort(names.begin(), names.end());
      std::string text;
      for (const std::string& entry : names) text += entry + " ";
      return text;
    }
    default:
      return describe(CASEMATE_TRY(volume_->attributes(inode)));
  }
}

std::string Runner::run(const Operation& operation) {
  Result<std::string> result = std::string();
  switch (operation.kind) {
    case OperationKind::kSync: {
      const auto synced = volume_->sync();
      return synced ? "synced" : "sync failed: " + synced.error().message();
    }
    case OperationKind::kCheckpoint: {
      const auto done = volume_->checkpoint();
      return done ? "checkpoint" : "checkpoint failed: " + done.error().message();
    }
    case OperationKind::kCreate:
    case OperationKind::kCreateOrphan:
    case OperationKind::kLink:
    case OperationKind::kUnlink:
    case OperationKind::kRemoveDirectory:
    case OperationKind::kRename:
    case OperationKind::kRelease:
      result = run_names(operation);
      break;
    case OperationKind::kChange:
    case OperationKind::kSetAttribute:
    case OperationKind::kGetAttribute:
    case OperationKind::kRemoveAttribute:
    case OperationKind::kList:
    case OperationKind::kStat:
      result = run_attributes(operation);
      break;
    default:
      result = run_contents(operation);
  }
  return result ? result.value() : "error " + std::to_string(result.error().system_code());
}

std::string describe(const Operation& operation) {
  return "kind " + std::to_string(static_cast<int>(operation.kind)) + " " + operation.path + " " +
         operation.second_path + " mode " + std::to_string(operation.mode) + " offset " +
         std::to_string(operation.offset) + " size " + std::to_string(operation.size) + " seed " +
         std::to_string(operation.seed);
}

std::string describe(const Attributes& a) {
  return "inode " + std::to_string(a.inode) + " mode " + std::to_string(a.mode) + " owner " + std::to_string(a.uid) +
         ":" + std::to_string(a.gid) + " links " + std::to_string(a.link_count) + " device " +
         std::to_string(a.device) + " size " + std::to_string(a.size) + " takes " + std::to_string(a.allocated_size);
}

namespace {

std::string text_of(const Timestamp& time) {
  return " " + std::to_string(time.seconds) + "." + std::to_string(time.nanoseconds);
}

Result<void> dump_below(Volume& volume, InodeNumber inode, const std::string& path, Times times, std::string& out) {
  const Attributes a = CASEMATE_TRY(volume.attributes(inode));
  out += (path.empty() ? "/" : path) + " " + describe(a);
  if (times == Times::kIncluded) {
    out += text_of(a.access_time) + text_of(a.modify_time) + text_of(a.change_time) + text_of(a.birth_time);
  }
  if (S_ISREG(a.mode)) {
    Bytes contents(a.size);
    contents.resize(CASEMATE_TRY(volume.read(inode, 0, contents)));
    out += " contents " + hash_of(contents);
  }
  if (S_ISLNK(a.mode)) out += " -> " + CASEMATE_TRY(volume.read_link(inode));
  std::vector<std::string> names = CASEMATE_TRY(volume.extended_attribute_names(inode));
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    out += " " + name + "=" + hash_of(CASEMATE_TRY(volume.extended_attribute(inode, name)));
  }
  out += "\n";
  if (!S_ISDIR(a.mode)) return {};
  std::vector<DirectoryEntry> entries = CASEMATE_TRY(volume.read_directory(inode, 0, 100'000));
  std::sort(entries.begin(), entries.end(), [](const auto& left, const auto& right) { return left.name < right.name; });
  for (const DirectoryEntry& entry : entries) {
    VOLUME_CHECK(dump_below(volume, entry.inode, path + "/" + entry.name, times, out));
  }
  return {};
}

}  // namespace

Result<std::string> dump(Volume& volume, Times times) {
  std::string out;
  VOLUME_CHECK(dump_below(volume, kRootInode, "", times, out));
  return out;
}

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 0);
}

}  // namespace casemate::volume::testing
