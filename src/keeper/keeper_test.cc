// The keeper over encrypted volumes: what was acknowledged is there after every kind of end.
#include "keeper/keeper.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "keeper/key_file.h"
#include "keeper/manifest.h"
#include "keeper/testing/running_keeper.h"
#include "keeper/testing/simulated_member.h"

namespace casemate::keeper {
namespace {

using protocol::Operation;
using testing::OpenFile;
using testing::RunningKeeper;
using testing::SimulatedMember;

constexpr const char* kEncrypted = R"({"cache": "8M", "regions": [
  {"path": "/data", "kind": "encrypted", "volume": "v", "key-file": "v.key", "freshness": "local", "anchor": "v.anchor"}]})";

class EncryptedRegion : public ::testing::Test {
 protected:
  void SetUp() override { testing::make_volume(scratch_, "v", std::uint64_t{256} << 20); }

  testing::ScratchDirectory scratch_;
};

TEST_F(EncryptedRegion, KeepsContentsNamesAndTimesAcrossRuns) {
  const std::string text(300000, 't');
  protocol::ShieldAttributes before, after;
  {
    RunningKeeper keeper(kEncrypted, scratch_.path());
    ASSERT_TRUE(keeper.is_running()) << keeper.error();
    SimulatedMember member(keeper.hello());
    ASSERT_EQ(member.make_directory("/data/d"), 0);
    const OpenFile file = member.open("/data/d/f", O_RDWR | O_CREAT, 0640);
    ASSERT_EQ(member.write(file, 0, text), 300000);
    ASSERT_EQ(member.status("/data/d/f", &before), 0);
    ASSERT_TRUE(keeper.end());
  }
  RunningKeeper keeper(kEncrypted, scratch_.path());
  ASSERT_TRUE(keeper.is_running()) << keeper.error();
  SimulatedMember member(keeper.hello());
  ASSERT_EQ(member.status("/data/d/f", &after), 0);
  EXPECT_EQ(after.size, 300000U);
  EXPECT_EQ(after.inode, before.inode);
  EXPECT_EQ(after.modify_time.seconds, before.modify_time.seconds);
  EXPECT_EQ(after.modify_time.nanoseconds, before.modify_time.nanoseconds);
  const OpenFile file = member.open("/data/d/f", O_RDONLY);
  EXPECT_EQ(member.read(file, 0, 400000), text);
}

TEST_F(EncryptedRegion, LosesNothingSyncedWhenTheKeeperIsKilled) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    close(ready[0]);
    RunningKeeper keeper(kEncrypted, scratch_.path());
    if (!keeper.is_running()) {
      std::fprintf(stderr, "%s\n", keeper.error().c_str());
      _exit(1);
    }
    SimulatedMember member(keeper.hello());
    const OpenFile file = member.open("/data/f", O_RDWR | O_CREAT);
    bool good = member.write(file, 0, std::string(100000, 's')) == 100000 && member.synchronize(file) == 0;
    good = good && member.rename("/data/f", "/data/g") == 0 && member.synchronize(file) == 0;
    const OpenFile log = member.open("/data/log", O_RDWR | O_CREAT);
    for (int record = 0; record < 30; ++record) {
      good = good && member.write(log, record * 700, std::string(700, 'r')) == 700 && member.synchronize_data(log) == 0;
    }
    // A member that grows a file and dies before it writes what it grew the file for.
    const OpenFile grown = member.open("/data/grown", O_RDWR | O_CREAT);
    good = good && member.write(grown, 0, "text") == 4 && ftruncate(grown.fd.get(), 9000) == 0;
    good = good && member.synchronize_data(grown) == 0;
    member.write(file, 0, std::string(100000, 'u'));  // not synced
    (void)!write(ready[1], good ? "y" : "n", 1);
    pause();
  }
  close(ready[1]);
  char good = 0;
  EXPECT_EQ(read(ready[0], &good, 1), 1);
  close(ready[0]);
  EXPECT_EQ(good, 'y');
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  RunningKeeper keeper(kEncrypted, scratch_.path());
  ASSERT_TRUE(keeper.is_running()) << keeper.error();
  SimulatedMember member(keeper.hello());
  const OpenFile file = member.open("/data/g", O_RDONLY);
  ASSERT_EQ(file.result, 0);
  const std::string found = member.read(file, 0, 200000);
  ASSERT_EQ(found.size(), 100000U);
  EXPECT_EQ(found.find_first_not_of("su"), std::string::npos);
  EXPECT_EQ(member.read(member.open("/data/log", O_RDONLY), 0, 200000), std::string(21000, 'r'));
  EXPECT_EQ(member.read(member.open("/data/grown", O_RDONLY), 0, 200000), "text" + std::string(8996, '\0'));
}

TEST_F(EncryptedRegion, KeepsTimesThatDataSynchronizationLeft) {
  struct stat shown = {};
  {
    RunningKeeper keeper(kEncrypted, scratch_.path());
    ASSERT_TRUE(keeper.is_running()) << keeper.error();
    SimulatedMember member(keeper.hello());
    const OpenFile file = member.open("/data/f", O_RDWR | O_CREAT);
    ASSERT_EQ(member.write(file, 0, "text"), 4);
    ASSERT_EQ(fstat(file.fd.get(), &shown), 0);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    ASSERT_EQ(member.synchronize_data(file), 0);
    ASSERT_TRUE(keeper.end());
  }
  RunningKeeper keeper(kEncrypted, scratch_.path());
  SimulatedMember member(keeper.hello());
  protocol::ShieldAttributes found;
  ASSERT_EQ(member.status("/data/f", &found), 0);
  EXPECT_EQ(found.size, 4U);
  EXPECT_EQ(found.modify_time.seconds, shown.st_mtim.tv_sec);
  EXPECT_EQ(found.modify_time.nanoseconds, static_cast<std::uint32_t>(shown.st_mtim.tv_nsec));
}

TEST_F(EncryptedRegion, RefusesAnOldCopyThatTheAnchorDisowns) {
  const auto run = [&](const std::string& contents) {
    RunningKeeper keeper(kEncrypted, scratch_.path());
    ASSERT_TRUE(keeper.is_running()) << keeper.error();
    SimulatedMember member(keeper.hello());
    const OpenFile file = member.open("/data/f", O_RDWR | O_CREAT);
    ASSERT_EQ(member.write(file, 0, contents), static_cast<std::int64_t>(contents.size()));
    ASSERT_EQ(member.synchronize(file), 0);
    ASSERT_TRUE(keeper.end());
  };
  run("yesterday");
  std::filesystem::copy_file(scratch_ / "v", scratch_ / "copy");
  run("today");
  std::filesystem::copy_file(scratch_ / "v", scratch_ / "newest");
  std::filesystem::copy_file(scratch_ / "copy", scratch_ / "v", std::filesystem::copy_options::overwrite_existing);
  {
    RunningKeeper keeper(kEncrypted, scratch_.path());
    EXPECT_FALSE(keeper.is_running());
    EXPECT_NE(keeper.error().find("/data"), std::string::npos) << keeper.error();
  }
  // The control: the newest copy is accepted.
  std::filesystem::copy_file(scratch_ / "newest", scratch_ / "v", std::filesystem::copy_options::overwrite_existing);
  RunningKeeper keeper(kEncrypted, scratch_.path());
  EXPECT_TRUE(keeper.is_running()) << keeper.error();
}

TEST_F(EncryptedRegion, IsRefusedWithoutTheAnchorThatWasNamed) {
  std::filesystem::rename(scratch_ / "v.anchor", scratch_ / "kept");
  {
    RunningKeeper keeper(kEncrypted, scratch_.path());
    EXPECT_FALSE(keeper.is_running());
    EXPECT_NE(keeper.error().find("anchor --set"), std::string::npos) << keeper.error();
  }
  // The control: with it the same volume is accepted.
  std::filesystem::rename(scratch_ / "kept", scratch_ / "v.anchor");
  RunningKeeper keeper(kEncrypted, scratch_.path());
  EXPECT_TRUE(keeper.is_running()) << keeper.error();
}

TEST_F(EncryptedRegion, FindsWritesThroughMappingsOfKilledPrograms) {
  {
    RunningKeeper keeper(kEncrypted, scratch_.path());
    ASSERT_TRUE(keeper.is_running()) << keeper.error();
    const pid_t child = fork();
    if (child == 0) {
      SimulatedMember member(keeper.hello());
      const OpenFile file = member.open("/data/m", O_RDWR | O_CREAT);
      member.call({.operation = Operation::kTruncate,
                   .arguments = {16384, ~std::uint64_t{0}},
                   .base = {protocol::PlaceKind::kSlot, 0, file.slot}});
      const auto populated =
          member.call({.operation = Operation::kPopulate,
                       .arguments = {0, 4, static_cast<std::uint64_t>(protocol::PopulatePurpose::kMapWritable)},
                       .base = {protocol::PlaceKind::kSlot, 0, file.slot}});
      void* const mapped = mmap(nullptr, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, file.fd.get(), 0);
      if (populated.result() == 0 && mapped != MAP_FAILED)
        std::memcpy(static_cast<char*>(mapped) + 9000, "through a mapping", 17);
      kill(getpid(), SIGKILL);
    }
    waitpid(child, nullptr, 0);
    ASSERT_TRUE(keeper.end());
  }
  RunningKeeper keeper(kEncrypted, scratch_.path());
  ASSERT_TRUE(keeper.is_running()) << keeper.error();
  SimulatedMember member(keeper.hello());
  const OpenFile file = member.open("/data/m", O_RDONLY);
  EXPECT_EQ(member.read(file, 9000, 17), "through a mapping");
}

// Programs (tar, git) give times and compare them later; that contents are written back must not show.
// Databases map much of a file that is still small, and let it grow under the mapping.
TEST_F(EncryptedRegion, KeepsWhatMappingsWriteWhereTheFileGrewLater) {
  constexpr std::uint64_t kPages = 64;
  {
    RunningKeeper keeper(kEncrypted, scratch_.path());
    ASSERT_TRUE(keeper.is_running()) << keeper.error();
    SimulatedMember member(keeper.hello());
    const OpenFile file = member.open("/data/g", O_RDWR | O_CREAT);
    const protocol::Place place = {protocol::PlaceKind::kSlot, 0, file.slot};
    const auto writable = static_cast<std::uint64_t>(protocol::PopulatePurpose::kMapWritable);
    ASSERT_EQ(
        member.call({.operation = Operation::kPopulate, .arguments = {0, kPages, writable}, .base = place}).result(),
        0);
    void* const mapped = mmap(nullptr, kPages * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file.fd.get(), 0);
    ASSERT_NE(mapped, MAP_FAILED);
    for (const std::uint64_t size : {kPages / 2 * 4096, kPages * 4096}) {
      ASSERT_EQ(member.call({.operation = Operation::kTruncate, .arguments = {size, ~std::uint64_t{0}}, .base = place})
                    .result(),
                0);
      std::memcpy(static_cast<char*>(mapped) + size - 5000, "late", 4);
      ASSERT_EQ(member.synchronize(file), 0);
    }
    // The volume has pages behind this one now, but nothing of it: it must not be loaded over what is written here.
    std::memcpy(mapped, "header", 6);
    EXPECT_EQ(member.read(file, 0, 6), "header");
    munmap(mapped, kPages * 4096);
    ASSERT_TRUE(keeper.end());
  }
  RunningKeeper keeper(kEncrypted, scratch_.path());
  ASSERT_TRUE(keeper.is_running()) << keeper.error();
  SimulatedMember member(keeper.hello());
  const OpenFile file = member.open("/data/g", O_RDONLY);
  EXPECT_EQ(member.read(file, 0, 6), "header");
  EXPECT_EQ(member.read(file, kPages / 2 * 4096 - 5000, 4), "late");
  EXPECT_EQ(member.read(file, kPages * 4096 - 5000, 4), "late");
}

TEST_F(EncryptedRegion, ShowsTimesOfChangesNotOfWriteBack) {
  RunningKeeper keeper(kEncrypted, scratch_.path());
  ASSERT_TRUE(keeper.is_running()) << keeper.error();
  SimulatedMember member(keeper.hello());
  const OpenFile file = member.open("/data/f", O_RDWR | O_CREAT);
  ASSERT_EQ(member.write(file, 0, "text"), 4);
  const timespec times[2] = {{1000, 1}, {2000, 2}};
  ASSERT_EQ(member
                .call({.operation = Operation::kChangeTimes,
                       .path = "/data/f",
                       .data = std::string(reinterpret_cast<const char*>(times), sizeof(times))})
                .result(),
            0);
  protocol::ShieldAttributes before, after;
  ASSERT_EQ(member.status("/data/f", &before), 0);
  ASSERT_EQ(member.synchronize(file), 0);
  ASSERT_EQ(member.status("/data/f", &after), 0);
  EXPECT_EQ(after.modify_time.seconds, 2000);
  EXPECT_EQ(after.modify_time.nanoseconds, 2U);
  EXPECT_EQ(after.change_time.seconds, before.change_time.seconds);
  EXPECT_EQ(after.change_time.nanoseconds, before.change_time.nanoseconds);
}

TEST_F(EncryptedRegion, IsRefusedWhileAnotherKeeperHasIt) {
  RunningKeeper first(kEncrypted, scratch_.path());
  ASSERT_TRUE(first.is_running()) << first.error();
  RunningKeeper second(kEncrypted, scratch_.path());
  EXPECT_FALSE(second.is_running());
  EXPECT_NE(second.error().find("in use by process " + std::to_string(getpid())), std::string::npos) << second.error();
}

TEST_F(EncryptedRegion, SaysWhatIsWrongWithKeys) {
  const auto key = create_key_file(scratch_ / "other.key");
  ASSERT_TRUE(key);
  RunningKeeper wrong(
      R"({"regions": [{"path": "/data", "kind": "encrypted", "volume": "v", "key-file": "other.key"}]})",
      scratch_.path());
  EXPECT_FALSE(wrong.is_running());
  EXPECT_NE(wrong.error().find("key"), std::string::npos) << wrong.error();
  RunningKeeper missing(R"({"regions": [{"path": "/data", "kind": "encrypted", "volume": "v", "key-file": "no.key"}]})",
                        scratch_.path());
  EXPECT_NE(missing.error().find("no.key"), std::string::npos) << missing.error();
}

TEST_F(EncryptedRegion, NamesNothingButItsRegions) {
  RunningKeeper keeper(kEncrypted, scratch_.path());
  ASSERT_TRUE(keeper.is_running()) << keeper.error();
  SimulatedMember member(keeper.hello());
  EXPECT_EQ(member.open("/etc/passwd", O_RDONLY).result, -EACCES);
  EXPECT_EQ(member.open("/data/../etc/passwd", O_RDONLY).result, -EACCES);
  const OpenFile root = member.open("/", O_RDONLY | O_DIRECTORY);
  EXPECT_EQ(member.list(root), std::vector<std::string>{"data"});
}

TEST(AuthenticatedRegion, GivesContentsOnlyAsTheManifestHasThem) {
  testing::ScratchDirectory scratch;
  const std::string large(500000, 'l');
  scratch.write("tree/bin/tool", large);
  scratch.write("tree/conf", "good");
  std::filesystem::create_symlink("bin/tool", scratch / "tree/link");
  ManifestSummary summary;
  const auto manifest = make_manifest(scratch / "tree", &summary, {});
  ASSERT_TRUE(manifest) << manifest.error().message();
  EXPECT_EQ(summary.files, 2U);
  scratch.write("manifest", manifest.value());
  const std::string description = R"({"regions": [{"path": "/", "kind": "authenticated", "source": "tree",
    "manifest": "manifest", "sha256": ")" +
                                  manifest_digest(manifest.value()) + "\"}]}";
  {
    RunningKeeper keeper(description, scratch.path());
    ASSERT_TRUE(keeper.is_running()) << keeper.error();
    SimulatedMember member(keeper.hello());
    scratch.write("tree/conf", "evil");
    scratch.write("tree/bin/more", "not in the manifest");
    const OpenFile tool = member.open("/link", O_RDONLY);
    ASSERT_EQ(tool.result, 0);
    EXPECT_EQ(member.read(tool, 0, 600000), large);
    EXPECT_EQ(member.open("/conf", O_RDONLY).result, -EIO);
    EXPECT_EQ(member.open("/bin/more", O_RDONLY).result, -ENOENT);
    EXPECT_EQ(member.open("/bin/tool", O_RDWR).result, -EROFS);
    EXPECT_EQ(member.make_directory("/new"), -EROFS);
    ASSERT_FALSE(keeper.warnings().empty());
    EXPECT_NE(keeper.warnings().back().find("conf: differs from the manifest"), std::string::npos);
  }
  scratch.write("manifest", manifest.value() + "file 0644 0 0 0 - /added\n");
  RunningKeeper changed(description, scratch.path());
  EXPECT_NE(changed.error().find("SHA-256"), std::string::npos) << changed.error();
}

}  // namespace
}  // namespace casemate::keeper
