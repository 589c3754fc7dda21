#include "las/key_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

namespace casemate::las {
namespace {

class KeyFileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "casemate-key-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
    path_ = directory_ + "/key";
  }
  void TearDown() override {
    unlink(path_.c_str());
    rmdir(directory_.c_str());  // fails, visibly in the temporary directory, if something was left there
  }
  void write(const std::string& text, mode_t mode) {
    std::ofstream(path_) << text;
    ASSERT_EQ(chmod(path_.c_str(), mode), 0);
  }
  std::string directory_, path_;
};

TEST_F(KeyFileTest, MakesAKeyForItsUserOnlyAndFindsItAgain) {
  const auto made = key_from_file(path_);
  ASSERT_TRUE(made.has_value()) << made.error().message();
  struct stat status = {};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  const auto found = key_from_file(path_);
  ASSERT_TRUE(found.has_value()) << found.error().message();
  EXPECT_EQ(found.value().public_key().raw(), made.value().public_key().raw());
  EXPECT_EQ(rmdir(directory_.c_str()), -1);
}

TEST_F(KeyFileTest, RefusesAKeyThatOthersCanRead) {
  ASSERT_TRUE(key_from_file(path_).has_value());
  ASSERT_EQ(chmod(path_.c_str(), 0640), 0);
  const auto key = key_from_file(path_);
  ASSERT_FALSE(key.has_value());
  EXPECT_EQ(key.error().category(), ErrorCategory::kUsage);
}

TEST_F(KeyFileTest, RefusesWhatIsNoP256Key) {
  write("", 0600);
  EXPECT_FALSE(key_from_file(path_).has_value());
  write("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", 0600);
  EXPECT_FALSE(key_from_file(path_).has_value());
  const auto other = crypto::PrivateKey::generate(crypto::KeyKind::kEcP384);
  ASSERT_TRUE(other.has_value());
  write(other.value().to_pem(), 0600);
  EXPECT_FALSE(key_from_file(path_).has_value());
}

TEST_F(KeyFileTest, FollowsNoLinkAndReadsNoDevice) {
  ASSERT_EQ(symlink("/dev/null", path_.c_str()), 0);
  EXPECT_FALSE(key_from_file(path_).has_value());
}

}  // namespace
}  // namespace casemate::las
