// Verification: reads everything there is, and compares what the parts say about each other.
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <unordered_map>

#include "volume/engine.h"

namespace casemate::volume {
namespace {

struct InodeFacts {
  std::optional<Inode> inode;
  std::uint64_t entry_count = 0, subdirectory_count = 0;
  std::uint64_t page_count = 0, reserved_count = 0, page_end = 0;
  std::uint64_t target_size = 0;
  bool is_orphan = false;
  // One of its names.
  InodeNumber directory = 0;
  std::uint64_t index = 0;
  std::string name;
};

// Gathers what the nodes say, then judges it.
class Examination {
 public:
  explicit Examination(const Space& space) : space_(space), referenced_(space.capacity()) {}

  void note(const std::string& problem) {
    if (report.problems.size() < kMaximumProblems) report.problems.push_back(problem);
  }
  void visit_node(Unit unit, const NodePage* page, const Error* error) {
    ++report.node_count;
    if (error != nullptr) note(error->message());
    refer(unit, "metadata");
    if (page == nullptr || page->level() > 0) return;
    for (std::size_t position = 0; position < page->count(); ++position) {
      const Result<void> done = visit_item(page->key(position), page->value(position));
      if (!done) note(done.error().message());
    }
  }
  void refer(Unit unit, const std::string& by) {
    if (unit >= kMaximumUnit) return;  // in memory only
    if (!space_.is_allocatable(unit)) return note(by + " refers to unit " + std::to_string(unit) + ", which is none");
    if (referenced_[unit]) note("unit " + std::to_string(unit) + " is used twice, again by " + by);
    referenced_[unit] = true;
    if (!space_.is_used(unit)) note("unit " + std::to_string(unit) + " counts as free but is used by " + by);
  }
  void judge(std::uint64_t inode_count, std::uint64_t reserved_count);
  std::string path_of(InodeNumber number) const;
  const std::map<InodeNumber, InodeFacts>& inodes() const { return inodes_; }

  VerifyReport report;

 private:
  static constexpr std::size_t kMaximumProblems = 1000;
  Result<void> visit_item(const Key& key, ByteView value);
  Result<void> visit_entry(const Key& key, ByteView value);
  Result<void> visit_pages(const Key& key, ByteView value);
  void judge_inode(InodeNumber number, const InodeFacts& facts);
  void judge_links(const std::string& name, const InodeFacts& facts);
  void judge_space();

  const Space& space_;
  std::vector<bool> referenced_;
  std::map<InodeNumber, InodeFacts> inodes_;
};

Result<void> Examination::visit_item(const Key& key, ByteView value) {
  switch (key.type) {
    case ItemType::kSpace:
      return {};
    case ItemType::kOrphan:
      inodes_[key.index].is_orphan = true;
      return {};
    case ItemType::kInode:
      inodes_[key.object].inode = CASEMATE_TRY(Inode::decode(key.object, value));
      return {};
    case ItemType::kTarget:
      inodes_[key.object].target_size += value.size();
      return {};
    case ItemType::kEntry:
      return visit_entry(key, value);
    case ItemType::kAttribute: {
      const Result<ExtendedAttribute> attribute = ExtendedAttribute::decode(value);
      return attribute ? Result<void>() : Result<void>(attribute.error());
    }
    case ItemType::kValue:
      return {};
    case ItemType::kPages:
      return visit_pages(key, value);
  }
  return damaged("metadata: an item of unknown type");
}

Result<void> Examination::visit_entry(const Key& key, ByteView value) {
  Entry entry = CASEMATE_TRY(Entry::decode(value));
  if (S_ISDIR(entry.type)) ++inodes_[key.object].subdirectory_count;
  InodeFacts& facts = inodes_[entry.inode];
  ++facts.entry_count;
  facts.directory = key.object;
  facts.index = key.index;
  facts.name = std::move(entry.name);
  return {};
}

Result<void> Examination::visit_pages(const Key& key, ByteView value) {
  const PageGroup group = CASEMATE_TRY(PageGroup::decode(value));
  InodeFacts& facts = inodes_[key.object];
  for (std::size_t index = 0; index < kGroupPages; ++index) {
    const PageSlot& slot = group.slots[index];
    if (slot.kind == PageKind::kHole) continue;
    ++facts.page_count;
    if (slot.kind == PageKind::kReserved) {
      ++facts.reserved_count;
      continue;
    }
    facts.page_end = key.index * kGroupPages + index + 1;
    refer(slot.unit, "inode " + std::to_string(key.object));
  }
  return {};
}

std::string Examination::path_of(InodeNumber number) const {
  std::string path;
  for (int depth = 0; number != kRootInode && depth < 4096; ++depth) {
    const auto found = inodes_.find(number);
    if (found == inodes_.end() || found->second.directory == 0) return "(inode " + std::to_string(number) + ")" + path;
    path = "/" + found->second.name + path;
    number = found->second.directory;
  }
  return path.empty() ? "/" : path;
}

void Examination::judge_links(const std::string& name, const InodeFacts& facts) {
  const Attributes& a = facts.inode->attributes;
  const bool is_directory = S_ISDIR(a.mode);
  if (facts.is_orphan != (a.link_count == 0)) note(name + ": is on the list of files without names wrongly");
  std::uint64_t expected = facts.entry_count;
  if (a.inode == kRootInode || (is_directory && facts.entry_count == 1)) expected = 2 + facts.subdirectory_count;
  if (a.link_count != expected) {
    note(name + ": has " + std::to_string(expected) + " links but counts " + std::to_string(a.link_count));
  }
  if (!is_directory || facts.entry_count == 0) return;
  if (facts.entry_count > 1) note(name + ": a directory with several names");
  if (facts.inode->parent != facts.directory || facts.inode->parent_index != facts.index) {
    note(name + ": the directory names another parent");
  }
}

void Examination::judge_inode(InodeNumber number, const InodeFacts& facts) {
  const std::string name = path_of(number);
  if (!facts.inode) return note(name + ": inode " + std::to_string(number) + " is named but does not exist");
  const Attributes& a = facts.inode->attributes;
  judge_links(name, facts);
  if (a.allocated_size != facts.page_count * kPageSize) {
    note(name + ": takes " + std::to_string(facts.page_count) + " pages but counts " +
         std::to_string(a.allocated_size / kPageSize));
  }
  if (facts.page_end > (a.size + kPageSize - 1) / kPageSize) note(name + ": has data behind its end");
  if (S_ISLNK(a.mode) && facts.target_size != a.size) note(name + ": the target of the link lacks a part");
}

void Examination::judge_space() {
  std::uint64_t lost = 0;
  for (Unit unit = space_.first(); unit < space_.capacity(); ++unit) {
    if (space_.is_used(unit) && !referenced_[unit]) ++lost;
  }
  if (lost > 0) note(std::to_string(lost) + " units count as used but nothing refers to them");
}

void Examination::judge(std::uint64_t inode_count, std::uint64_t reserved_count) {
  std::uint64_t reserved = 0;
  for (const auto& [number, facts] : inodes_) {
    judge_inode(number, facts);
    reserved += facts.reserved_count;
    report.inode_count += facts.inode ? 1 : 0;
  }
  if (!inodes_.contains(kRootInode)) note("there is no root directory");
  if (report.inode_count != inode_count) note("the count of inodes is wrong");
  if (reserved != reserved_count) note("the count of promised pages is wrong");
  judge_space();
}

}  // namespace

// Opens all data of a file, group by group, so that other calls may go on between them.
Result<void> Engine::verify_data(InodeNumber inode, const std::function<void(std::size_t, const Error*)>& visit) {
  Bytes pages(kGroupPages * kPageSize);
  std::uint64_t group = 0;
  while (true) {
    std::size_t count = 0;
    {
      const Lock lock = lock_for_reading();
      const auto item = CASEMATE_TRY(
          metadata_.next({inode, ItemType::kPages, group}, {inode, ItemType::kPages, kMaximumFileSize / kPageSize}));
      if (!item) return {};
      group = item->key.index;
      const PageGroup found = CASEMATE_TRY(PageGroup::decode(item->value));
      for (const PageSlot& slot : found.slots) count += slot.kind == PageKind::kData ? 1 : 0;
    }
    const Result<void> done = read_pages(inode, group * kGroupPages, pages);
    visit(count * kPageSize, done ? nullptr : &done.error());
    ++group;
  }
}

Result<VerifyReport> Engine::verify(const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  const std::lock_guard serial(checkpoint_mutex_);
  Lock lock = lock_for_reading();
  VOLUME_CHECK(usable());
  Examination examination(metadata_.space());
  VOLUME_CHECK(metadata_.tree().walk(
      [&](Unit unit, const NodePage* page, const Error* error) { examination.visit_node(unit, page, error); }));
  for (NodePointer pointer = superblock_.salt_pages; pointer.unit != 0;) {
    std::array<std::byte, kUnitSize> bytes;
    VOLUME_CHECK(store_.read(pointer.unit * kUnitSize, bytes));
    examination.refer(pointer.unit, "the list of earlier mounts");
    pointer = CASEMATE_TRY(open_salt_page(pointer, keyring_, bytes)).older;
  }
  examination.judge(metadata_.inode_count, metadata_.reserved_count);
  const std::uint64_t total = metadata_.space().used_count() * kUnitSize;
  lock.unlock();
  std::uint64_t done = examination.report.node_count * kUnitSize;
  for (const auto& [number, facts] : examination.inodes()) {
    if (facts.page_count == 0) continue;
    const Result<void> read = verify_data(number, [&, inode = number](std::size_t size, const Error* error) {
      examination.report.data_bytes += size;
      done += size;
      if (error != nullptr) examination.note(examination.path_of(inode) + ": " + error->message());
      if (progress) progress(std::min(done, total), total);
    });
    if (!read) examination.note(examination.path_of(number) + ": " + read.error().message());
  }
  return std::move(examination.report);
}

}  // namespace casemate::volume
