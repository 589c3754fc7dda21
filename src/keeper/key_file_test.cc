#include "keeper/key_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

namespace casemate::keeper {
namespace {

class KeyFile : public ::testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/casemate-key-test-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    directory_ = pattern;
  }
  void TearDown() override {
    unlink(path().c_str());
    rmdir(directory_.c_str());
  }
  std::string path() const { return directory_ + "/key"; }
  void write(const std::string& contents, mode_t mode = 0600) {
    std::ofstream(path(), std::ios::binary) << contents;
    chmod(path().c_str(), mode);
  }

  std::string directory_;
};

TEST_F(KeyFile, IsReadBackAsMade) {
  const auto made = create_key_file(path());
  ASSERT_TRUE(made) << made.error().message();
  const auto read = read_key_file(path());
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_TRUE(std::ranges::equal(made.value().expose(), read.value().expose()));
}

TEST_F(KeyFile, IsNeverOverwritten) {
  write("precious");
  const auto made = create_key_file(path());
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().system_code(), EEXIST);
}

TEST_F(KeyFile, AcceptsRawBytesAndHexInEitherCase) {
  write(std::string(32, '\x5a'));
  const auto raw = read_key_file(path());
  ASSERT_TRUE(raw);
  for (const char* digits : {"5a", "5A"}) {
    std::string text;
    for (int i = 0; i < 32; ++i) text += digits;
    write(text + "\n");
    const auto hex = read_key_file(path());
    ASSERT_TRUE(hex) << hex.error().message();
    EXPECT_TRUE(std::ranges::equal(raw.value().expose(), hex.value().expose()));
  }
}

TEST_F(KeyFile, RefusesOtherContents) {
  for (const std::string& contents : {std::string(), std::string(31, 'x'), std::string(33, 'x'), std::string(64, 'x'),
                                      std::string(64, 'a') + "\r\n", std::string(66, 'a'), std::string(4096, 'a')}) {
    write(contents);
    EXPECT_FALSE(read_key_file(path())) << contents.size() << " bytes";
  }
}

TEST_F(KeyFile, RefusesWhatOthersMayRead) {
  for (const mode_t mode : {0640, 0604, 0620, 0666}) {
    write(std::string(32, 'k'), mode);
    const auto read = read_key_file(path());
    ASSERT_FALSE(read) << std::oct << mode;
    EXPECT_NE(read.error().message().find("chmod 600"), std::string::npos);
  }
}

TEST_F(KeyFile, RefusesFifoWithoutWaiting) {
  ASSERT_EQ(mkfifo(path().c_str(), 0600), 0);
  EXPECT_FALSE(read_key_file(path()));
}

}  // namespace
}  // namespace casemate::keeper
