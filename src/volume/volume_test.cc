// What the interface promises about files, directories, attributes and durability, on a store that behaves.
#include "volume/volume.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>
#include <map>
#include <set>
#include <thread>

#include "volume/testing/memory_store.h"

namespace casemate::volume {
namespace {

using testing::CountingClock;
using testing::MemoryAnchor;
using testing::MemoryStore;
using testing::pattern;

class VolumeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto created = Volume::create(store, clock, key, testing::small_volume());
    ASSERT_TRUE(created.has_value()) << created.error().message();
    mount();
  }
  void mount(Access access = Access::kReadWrite) {
    volume.reset();
    MountOptions options;
    options.access = access;
    options.anchor = &anchor;
    options.notice = [this](std::string_view text) { notices.emplace_back(text); };
    auto mounted = Volume::mount(store, clock, key, options);
    ASSERT_TRUE(mounted.has_value()) << mounted.error().message();
    volume = std::move(mounted).value();
  }
  void remount_after_close() {
    const auto closed = volume->close();
    ASSERT_TRUE(closed.has_value()) << closed.error().message();
    mount();
  }
  InodeNumber make(InodeNumber directory, std::string_view name, std::uint32_t mode = S_IFREG | 0644) {
    auto made = volume->create_node(directory, name, {mode, 10, 20, 0, S_ISLNK(mode) ? "target" : ""});
    EXPECT_TRUE(made.has_value()) << made.error().message();
    return made ? made.value().inode : 0;
  }
  void write(InodeNumber inode, std::uint64_t offset, const Bytes& data) {
    const auto written = volume->write(inode, offset, data);
    ASSERT_TRUE(written.has_value()) << written.error().message();
  }
  Bytes read(InodeNumber inode, std::uint64_t offset, std::size_t size) {
    Bytes out(size);
    const auto count = volume->read(inode, offset, out);
    EXPECT_TRUE(count.has_value()) << count.error().message();
    out.resize(count ? count.value() : 0);
    return out;
  }
  template <typename Value>
  static int code(const Result<Value>& result) {
    return result ? 0 : result.error().system_code();
  }

  MemoryStore store;
  CountingClock clock;
  MemoryAnchor anchor;
  VolumeKey key = testing::test_key();
  std::vector<std::string> notices;
  std::unique_ptr<Volume> volume;
};

TEST_F(VolumeTest, StartsWithAnEmptyRoot) {
  const Attributes root = volume->attributes(kRootInode).value();
  EXPECT_TRUE(S_ISDIR(root.mode));
  EXPECT_EQ(root.link_count, 2U);
  EXPECT_TRUE(volume->read_directory(kRootInode, 0, 100).value().empty());
  EXPECT_EQ(volume->information().label, "test");
}

TEST_F(VolumeTest, KeepsContentsOverCloseAndMount) {
  const InodeNumber file = make(kRootInode, "file");
  const Bytes data = pattern(3'000'000, 1);
  write(file, 0, data);
  EXPECT_EQ(read(file, 0, data.size()), data);
  remount_after_close();
  EXPECT_EQ(volume->lookup(kRootInode, "file").value().inode, file);
  EXPECT_EQ(read(file, 0, data.size() + 10), data);
  EXPECT_EQ(volume->attributes(file).value().size, data.size());
}

TEST_F(VolumeTest, KeepsWhatWasSyncedWithoutClose) {
  const InodeNumber file = make(kRootInode, "file");
  const Bytes data = pattern(100'000, 2);
  write(file, 5, data);
  const Position synced = volume->sync().value();
  EXPECT_EQ(volume->position(), synced);
  mount();
  EXPECT_EQ(read(file, 5, data.size()), data);
  EXPECT_EQ(read(file, 0, 5), Bytes(5));
  EXPECT_FALSE(notices.empty()) << "recovery is told";
}

TEST_F(VolumeTest, SyncsOnceAndOnlyWhenThereIsSomething) {
  make(kRootInode, "file");
  const Position first = volume->sync().value(), second = volume->sync().value();
  EXPECT_EQ(first, second);
  make(kRootInode, "other");
  EXPECT_EQ(volume->sync().value().sequence, first.sequence + 1);
}

TEST_F(VolumeTest, ReadsAndWritesAtAnyOffset) {
  const InodeNumber file = make(kRootInode, "file");
  Bytes model(50'000);
  for (int step = 0; step < 300; ++step) {
    const auto offset = static_cast<std::size_t>(step * 7919 % 40'000);
    const Bytes data = pattern(static_cast<std::size_t>(step * 131 % 9'000 + 1), static_cast<std::uint64_t>(step));
    write(file, offset, data);
    std::copy(data.begin(), data.end(), model.begin() + static_cast<std::ptrdiff_t>(offset));
  }
  const Bytes all = read(file, 0, model.size());
  model.resize(all.size());
  EXPECT_EQ(all, model);
  remount_after_close();
  EXPECT_EQ(read(file, 0, model.size()), model);
}

TEST_F(VolumeTest, TruncatesAndExtendsWithZeros) {
  const InodeNumber file = make(kRootInode, "file");
  const Bytes data = pattern(10'000, 3);
  write(file, 0, data);
  AttributeChange change;
  change.size = 5'000;
  EXPECT_EQ(volume->set_attributes(file, change).value().allocated_size, 8192U);
  change.size = 9'000;
  EXPECT_EQ(volume->set_attributes(file, change).value().size, 9'000U);
  Bytes expected(data.begin(), data.begin() + 5'000);
  expected.resize(9'000);
  EXPECT_EQ(read(file, 0, 10'000), expected);
}

TEST_F(VolumeTest, KeepsHolesSparse) {
  const InodeNumber file = make(kRootInode, "sparse");
  const std::uint64_t far = std::uint64_t{1} << 40;
  write(file, far, pattern(4096, 4));
  const Attributes attributes = volume->attributes(file).value();
  EXPECT_EQ(attributes.size, far + 4096);
  EXPECT_EQ(attributes.allocated_size, 4096U);
  EXPECT_EQ(read(file, far - 10, 10), Bytes(10));
  EXPECT_EQ(volume->seek(file, 0, SeekTarget::kData).value(), far);
  EXPECT_EQ(volume->seek(file, 0, SeekTarget::kHole).value(), 0U);
  EXPECT_EQ(volume->seek(file, far, SeekTarget::kHole).value(), far + 4096);
  EXPECT_EQ(code(volume->seek(file, far + 4096, SeekTarget::kData)), ENXIO);
  ASSERT_TRUE(volume->punch_hole(file, far, 4096).has_value());
  EXPECT_EQ(volume->attributes(file).value().allocated_size, 0U);
  EXPECT_EQ(code(volume->seek(file, 0, SeekTarget::kData)), ENXIO);
}

TEST_F(VolumeTest, PunchesHolesWithinPages) {
  const InodeNumber file = make(kRootInode, "file");
  Bytes data = pattern(20'000, 5);
  write(file, 0, data);
  ASSERT_TRUE(volume->punch_hole(file, 100, 200).has_value());
  ASSERT_TRUE(volume->punch_hole(file, 5'000, 10'000).has_value());
  std::fill(data.begin() + 100, data.begin() + 300, std::byte{0});
  std::fill(data.begin() + 5'000, data.begin() + 15'000, std::byte{0});
  EXPECT_EQ(read(file, 0, 30'000), data);
}

TEST_F(VolumeTest, AllocatesWithoutChangingContents) {
  const InodeNumber file = make(kRootInode, "file");
  ASSERT_TRUE(volume->allocate(file, 0, 100'000, AllocateMode::kKeepSize).has_value());
  EXPECT_EQ(volume->attributes(file).value().size, 0U);
  EXPECT_EQ(volume->attributes(file).value().allocated_size, 102'400U);
  ASSERT_TRUE(volume->allocate(file, 0, 100'000, AllocateMode::kExtend).has_value());
  EXPECT_EQ(read(file, 0, 200'000), Bytes(100'000));
  write(file, 4096, pattern(4096, 6));
  EXPECT_EQ(volume->attributes(file).value().allocated_size, 102'400U);
  remount_after_close();
  EXPECT_EQ(read(file, 4096, 4096), pattern(4096, 6));
}

TEST_F(VolumeTest, CollapsesAndInsertsRanges) {
  const InodeNumber file = make(kRootInode, "file");
  Bytes data = pattern(40'000, 7);
  write(file, 0, data);
  ASSERT_TRUE(volume->collapse_range(file, 8192, 4096).has_value());
  data.erase(data.begin() + 8192, data.begin() + 12288);
  EXPECT_EQ(read(file, 0, 50'000), data);
  ASSERT_TRUE(volume->insert_range(file, 4096, 8192).has_value());
  data.insert(data.begin() + 4096, 8192, std::byte{0});
  EXPECT_EQ(read(file, 0, 60'000), data);
  EXPECT_EQ(code(volume->collapse_range(file, 0, 1)), EINVAL);
  EXPECT_EQ(code(volume->insert_range(file, 1 << 20, 4096)), EINVAL);
}

TEST_F(VolumeTest, RefusesWhatTheSystemCallsRefuse) {
  const InodeNumber file = make(kRootInode, "file"), directory = make(kRootInode, "directory", S_IFDIR | 0755);
  make(directory, "inside");
  EXPECT_EQ(code(volume->lookup(kRootInode, "nothing")), ENOENT);
  EXPECT_EQ(code(volume->lookup(file, "x")), ENOTDIR);
  EXPECT_EQ(code(volume->lookup(999, "x")), ENOENT);
  EXPECT_EQ(code(volume->create_node(kRootInode, "file", {S_IFREG, 0, 0, 0, ""})), EEXIST);
  EXPECT_EQ(code(volume->create_node(kRootInode, "a/b", {S_IFREG, 0, 0, 0, ""})), EINVAL);
  EXPECT_EQ(code(volume->create_node(kRootInode, std::string(256, 'x'), {S_IFREG, 0, 0, 0, ""})), ENAMETOOLONG);
  EXPECT_EQ(code(volume->create_node(kRootInode, "x", {0, 0, 0, 0, ""})), EINVAL);
  EXPECT_EQ(code(volume->unlink(kRootInode, "directory")), EISDIR);
  EXPECT_EQ(code(volume->remove_directory(kRootInode, "file")), ENOTDIR);
  EXPECT_EQ(code(volume->remove_directory(kRootInode, "directory")), ENOTEMPTY);
  EXPECT_EQ(code(volume->link(directory, kRootInode, "second")), EPERM);
  EXPECT_EQ(code(volume->write(directory, 0, Bytes(1))), EISDIR);
  EXPECT_EQ(code(volume->write(file, kMaximumFileSize, Bytes(1))), EFBIG);
  EXPECT_EQ(code(volume->read_link(file)), EINVAL);
  EXPECT_EQ(code(volume->release_orphan(file)), EINVAL);
}

TEST_F(VolumeTest, CountsLinksAndKeepsUnlinkedFiles) {
  const InodeNumber file = make(kRootInode, "one");
  write(file, 0, pattern(9000, 8));
  ASSERT_TRUE(volume->link(file, kRootInode, "two").has_value());
  EXPECT_EQ(volume->attributes(file).value().link_count, 2U);
  EXPECT_EQ(volume->unlink(kRootInode, "one").value().link_count, 1U);
  EXPECT_EQ(volume->unlink(kRootInode, "two").value().link_count, 0U);
  EXPECT_EQ(read(file, 0, 9000), pattern(9000, 8));
  write(file, 100, pattern(10, 9));
  const std::uint64_t inodes = volume->statistics().value().inode_count;
  ASSERT_TRUE(volume->release_orphan(file).has_value());
  EXPECT_EQ(volume->statistics().value().inode_count, inodes - 1);
  EXPECT_EQ(code(volume->attributes(file)), ENOENT);
}

TEST_F(VolumeTest, SweepsOrphansAtMount) {
  const InodeNumber orphan = volume->create_orphan({S_IFREG | 0600, 0, 0, 0, ""}).value().inode;
  const InodeNumber kept = volume->create_orphan({S_IFREG | 0600, 0, 0, 0, ""}).value().inode;
  write(orphan, 0, pattern(100'000, 10));
  ASSERT_TRUE(volume->link(kept, kRootInode, "kept").has_value());
  ASSERT_TRUE(volume->sync().has_value());
  const std::uint64_t free = volume->statistics().value().free_bytes;
  mount();
  EXPECT_EQ(code(volume->attributes(orphan)), ENOENT);
  EXPECT_EQ(volume->lookup(kRootInode, "kept").value().link_count, 1U);
  EXPECT_GT(volume->statistics().value().free_bytes, free);
}

TEST_F(VolumeTest, RenamesInAllWays) {
  const InodeNumber a = make(kRootInode, "a"), b = make(kRootInode, "b");
  const InodeNumber d = make(kRootInode, "d", S_IFDIR | 0755), e = make(d, "e", S_IFDIR | 0755);
  EXPECT_EQ(code(volume->rename(kRootInode, "a", kRootInode, "b", RenameMode::kNoReplace)), EEXIST);
  const auto replaced = volume->rename(kRootInode, "a", kRootInode, "b", RenameMode::kReplace);
  ASSERT_TRUE(replaced.has_value() && replaced.value().has_value());
  EXPECT_EQ(replaced.value()->inode, b);
  EXPECT_EQ(replaced.value()->link_count, 0U);
  EXPECT_EQ(volume->lookup(kRootInode, "b").value().inode, a);
  EXPECT_EQ(code(volume->rename(kRootInode, "d", e, "inside", RenameMode::kReplace)), EINVAL);
  ASSERT_TRUE(volume->rename(kRootInode, "b", d, "e", RenameMode::kExchange).has_value());
  EXPECT_EQ(volume->lookup(kRootInode, "b").value().inode, e);
  EXPECT_EQ(volume->parent(e).value(), kRootInode);
  EXPECT_EQ(volume->name_in_parent(e).value(), "b");
  EXPECT_EQ(volume->attributes(d).value().link_count, 2U);
  EXPECT_EQ(volume->attributes(kRootInode).value().link_count, 4U);
  ASSERT_TRUE(volume->rename(kRootInode, "b", d, "again", RenameMode::kReplace).has_value());
  EXPECT_EQ(volume->attributes(d).value().link_count, 3U);
  EXPECT_EQ(volume->name_in_parent(e).value(), "again");
  EXPECT_EQ(code(volume->rename(d, "e", d, "again", RenameMode::kReplace)), EISDIR);
  EXPECT_EQ(code(volume->rename(d, "again", d, "e", RenameMode::kReplace)), ENOTDIR);
  EXPECT_EQ(code(volume->rename(d, "e", d, "missing", RenameMode::kExchange)), ENOENT);
}

TEST_F(VolumeTest, ListsDirectoriesWithStableCookies) {
  std::set<std::string> names;
  for (int number = 0; number < 2'000; ++number) {
    names.insert("entry-" + std::to_string(number));
    make(kRootInode, "entry-" + std::to_string(number));
  }
  std::map<std::string, int> seen;
  std::uint64_t cookie = 0;
  for (int round = 0;; ++round) {
    const auto entries = volume->read_directory(kRootInode, cookie, 37).value();
    if (entries.empty()) break;
    for (const DirectoryEntry& entry : entries) ++seen[entry.name];
    cookie = entries.back().cookie;
    ASSERT_TRUE(volume->unlink(kRootInode, entries.front().name).has_value());
    make(kRootInode, "new-" + std::to_string(round));
  }
  for (const std::string& name : names) EXPECT_EQ(seen[name], 1) << name;
}

TEST_F(VolumeTest, KeepsSymbolicLinksAndDevices) {
  const std::string target(4095, 't');
  ASSERT_TRUE(volume->create_node(kRootInode, "link", {S_IFLNK | 0777, 0, 0, 0, target}).has_value());
  ASSERT_TRUE(volume->create_node(kRootInode, "device", {S_IFCHR | 0600, 0, 0, 0x105, ""}).has_value());
  EXPECT_EQ(code(volume->create_node(kRootInode, "long", {S_IFLNK, 0, 0, 0, target + "x"})), ENAMETOOLONG);
  remount_after_close();
  EXPECT_EQ(volume->read_link(volume->lookup(kRootInode, "link").value().inode).value(), target);
  EXPECT_EQ(volume->lookup(kRootInode, "device").value().device, 0x105U);
}

TEST_F(VolumeTest, KeepsExtendedAttributesOfAllSizes) {
  const InodeNumber file = make(kRootInode, "file");
  for (const std::size_t size : {0U, 1U, 1024U, 1025U, 65536U}) {
    ASSERT_TRUE(
        volume->set_extended_attribute(file, "user." + std::to_string(size), pattern(size, size), 0).has_value());
  }
  EXPECT_EQ(code(volume->set_extended_attribute(file, "user.big", Bytes(65537), 0)), E2BIG);
  EXPECT_EQ(code(volume->set_extended_attribute(file, "user.1", Bytes(1), XATTR_CREATE)), EEXIST);
  EXPECT_EQ(code(volume->set_extended_attribute(file, "user.new", Bytes(1), XATTR_REPLACE)), ENODATA);
  ASSERT_TRUE(volume->set_extended_attribute(file, "user.65536", pattern(3, 3), XATTR_REPLACE).has_value());
  ASSERT_TRUE(volume->remove_extended_attribute(file, "user.0").has_value());
  EXPECT_EQ(code(volume->remove_extended_attribute(file, "user.0")), ENODATA);
  remount_after_close();
  EXPECT_EQ(volume->extended_attribute(file, "user.1025").value(), pattern(1025, 1025));
  EXPECT_EQ(volume->extended_attribute(file, "user.65536").value(), pattern(3, 3));
  EXPECT_EQ(volume->extended_attribute_names(file).value().size(), 4U);
}

TEST_F(VolumeTest, RecyclesTheJournalManyTimes) {
  const InodeNumber file = make(kRootInode, "file");
  for (std::uint64_t round = 0; round < 2'000; ++round) {
    write(file, round % 50 * 4096, pattern(4096, round));
    const auto synced = volume->sync();
    ASSERT_TRUE(synced.has_value()) << synced.error().message();
    if (round % 500 == 499) mount();
  }
  for (std::uint64_t page = 0; page < 50; ++page) EXPECT_EQ(read(file, page * 4096, 4096), pattern(4096, 1950 + page));
}

TEST_F(VolumeTest, GivesSpaceBackAndRefusesMoreThanThereIs) {
  const InodeNumber file = make(kRootInode, "file");
  const Bytes piece = pattern(1 << 20, 11);
  for (int round = 0; round < 3; ++round) {
    std::uint64_t offset = 0;
    int refusal = 0;
    while (refusal == 0) {
      refusal = code(volume->write(file, offset, piece));
      if (refusal == 0) offset += piece.size();
    }
    EXPECT_EQ(refusal, ENOSPC);
    EXPECT_GT(offset, std::uint64_t{58} << 20);
    // A full volume can still be changed, read and emptied.
    write(file, 0, pattern(4096, 12));
    ASSERT_TRUE(volume->sync().has_value());
    EXPECT_EQ(read(file, offset - piece.size(), piece.size()), piece);
    AttributeChange empty;
    empty.size = 0;
    ASSERT_TRUE(volume->set_attributes(file, empty).has_value());
  }
}

TEST_F(VolumeTest, ServesManyThreads) {
  constexpr int kThreads = 4;
  std::vector<InodeNumber> files;
  for (int number = 0; number < kThreads; ++number) files.push_back(make(kRootInode, "file" + std::to_string(number)));
  std::vector<std::thread> threads;
  std::array<int, kThreads> failures{};
  for (std::size_t number = 0; number < kThreads; ++number) {
    threads.emplace_back([&, number] {
      for (std::uint64_t round = 0; round < 150; ++round) {
        const Bytes data = pattern(5000, round * kThreads + number);
        Bytes back(5000);
        if (!volume->write(files[number], round % 7 * 3000, data)) ++failures[number];
        if (round % 3 == 0 && !volume->sync()) ++failures[number];
        if (round % 50 == 0 && !volume->checkpoint()) ++failures[number];
        if (!volume->read(files[number], round % 7 * 3000, back) || back != data) ++failures[number];
        const std::string name = "n" + std::to_string(number) + "-" + std::to_string(round);
        if (!volume->create_node(kRootInode, name, {S_IFREG | 0644, 0, 0, 0, ""})) ++failures[number];
        if (!volume->unlink(kRootInode, name)) ++failures[number];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, (std::array<int, kThreads>{}));
  remount_after_close();
  EXPECT_EQ(volume->read_directory(kRootInode, 0, 100).value().size(), std::size_t{kThreads});
}

TEST_F(VolumeTest, ReadsWithoutWritingWhenMountedReadOnly) {
  const InodeNumber file = make(kRootInode, "file");
  write(file, 0, pattern(20'000, 13));
  ASSERT_TRUE(volume->sync().has_value());
  volume.reset();
  const Bytes before = store.bytes();
  mount(Access::kReadOnly);
  EXPECT_EQ(read(file, 0, 20'000), pattern(20'000, 13));
  EXPECT_EQ(code(volume->write(file, 0, Bytes(1))), EROFS);
  EXPECT_EQ(code(volume->unlink(kRootInode, "file")), EROFS);
  ASSERT_TRUE(volume->close().has_value());
  EXPECT_EQ(store.bytes(), before);
}

}  // namespace
}  // namespace casemate::volume
