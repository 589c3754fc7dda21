#include "las/measured_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "base/unique_fd.h"

namespace casemate::las {
namespace {

using protocol::LasRefusal;

constexpr uid_t kService = 990, kSomebody = 1000;

FileFacts roots_file() {
  FileFacts facts;
  facts.mode = S_IFREG | 0755;
  facts.link_count = 1;
  facts.file_system = EXT4_SUPER_MAGIC;
  return facts;
}

TEST(FileTrust, RemembersWhatOnlyRootMayWrite) { EXPECT_EQ(judge_file(roots_file(), kService), Trust::kRemember); }

TEST(FileTrust, RefusesWhatOthersMayWrite) {
  for (const mode_t bit : {S_IWGRP, S_IWOTH}) {
    FileFacts facts = roots_file();
    facts.mode |= bit;
    EXPECT_EQ(judge_file(facts, kService), Trust::kRefused);
  }
  FileFacts facts = roots_file();
  facts.owner = kSomebody;
  EXPECT_EQ(judge_file(facts, kService), Trust::kRefused);
}

TEST(FileTrust, MeasuresTheServicesOwnFilesEachTime) {
  FileFacts facts = roots_file();
  facts.owner = kService;
  EXPECT_EQ(judge_file(facts, kService), Trust::kMeasureOnce);
}

TEST(FileTrust, DoesNotRememberFilesWithoutAName) {
  FileFacts facts = roots_file();
  facts.link_count = 0;
  EXPECT_EQ(judge_file(facts, kService), Trust::kMeasureOnce);
}

TEST(FileTrust, RefusesFileSystemsThatServeThemselvesWhoeverOwnsTheFile) {
  for (const long system : {FUSE_SUPER_MAGIC, NFS_SUPER_MAGIC, V9FS_MAGIC}) {
    FileFacts facts = roots_file();
    facts.file_system = static_cast<std::uint64_t>(system);
    facts.verity_digest = crypto::Bytes(33);
    EXPECT_EQ(judge_file(facts, kService), Trust::kRefused);
  }
}

TEST(FileTrust, BelievesFsVerityWhoeverOwnsTheFile) {
  FileFacts facts = roots_file();
  facts.owner = kSomebody;
  facts.mode |= S_IWOTH;
  facts.verity_digest = crypto::Bytes(33);
  EXPECT_EQ(judge_file(facts, kService), Trust::kRemember);
}

// A file of this user; it counts as the service's own.
class MeasuredFilesTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "casemate-measured-XXXXXX";
    file_.reset(mkstemp(name.data()));
    ASSERT_TRUE(file_.is_open());
    path_ = name;
    write("first");
  }
  void TearDown() override { unlink(path_.c_str()); }
  void write(const std::string& text) {
    ASSERT_EQ(ftruncate(file_.get(), 0), 0);
    ASSERT_EQ(pwrite(file_.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  }
  Measure counting() {
    return [this](crypto::ByteView data) -> Result<evidence::Digest32> {
      ++count_;
      if (during_) during_();
      evidence::Digest32 digest = {};
      digest[0] = data.empty() ? std::byte{0} : data[0];
      return digest;
    };
  }

  UniqueFd file_;
  std::string path_;
  int count_ = 0;
  std::function<void()> during_;
};

TEST_F(MeasuredFilesTest, MeasuresTheServicesOwnFileAgainAndRootsOnce) {
  MeasuredFiles files(counting(), geteuid());
  EXPECT_EQ(files.measure(file_.get()).refusal, LasRefusal::kNone);
  EXPECT_EQ(files.measure(file_.get()).refusal, LasRefusal::kNone);
  EXPECT_EQ(count_, geteuid() == 0 ? 1 : 2);
  EXPECT_TRUE(files.knows(file_.get()));
}

TEST_F(MeasuredFilesTest, NoticesAChange) {
  MeasuredFiles files(counting(), geteuid());
  EXPECT_EQ(files.measure(file_.get()).measurement[0], static_cast<std::byte>('f'));
  write("second");
  EXPECT_EQ(files.measure(file_.get()).measurement[0], static_cast<std::byte>('s'));
  EXPECT_EQ(count_, 2);
}

TEST_F(MeasuredFilesTest, RefusesAFileThatChangesWhileItIsMeasured) {
  MeasuredFiles files(counting(), geteuid());
  during_ = [this] { write("longer than before"); };
  EXPECT_EQ(files.measure(file_.get()).refusal, LasRefusal::kFileChanged);
}

TEST_F(MeasuredFilesTest, RefusesAFileThatOthersMayWrite) {
  ASSERT_EQ(fchmod(file_.get(), 0622), 0);
  MeasuredFiles files(counting(), geteuid());
  EXPECT_EQ(files.measure(file_.get()).refusal, LasRefusal::kFileNotTrusted);
  EXPECT_EQ(count_, 0);
  EXPECT_FALSE(files.knows(file_.get()));
}

TEST_F(MeasuredFilesTest, MeasuresADeletedFileEachTime) {
  MeasuredFiles files(counting(), geteuid());
  ASSERT_EQ(unlink(path_.c_str()), 0);
  EXPECT_EQ(files.measure(file_.get()).refusal, LasRefusal::kNone);
  EXPECT_EQ(files.measure(file_.get()).refusal, LasRefusal::kNone);
  EXPECT_EQ(count_, 2);
}

TEST_F(MeasuredFilesTest, RefusesWhatIsNoFile) {
  MeasuredFiles files(counting(), geteuid());
  const UniqueFd device(open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(files.measure(device.get()).refusal, LasRefusal::kNotExecutable);
}

}  // namespace
}  // namespace casemate::las
