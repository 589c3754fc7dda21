#include "casemate/session/session_files.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace casemate::session_tool {
namespace {

class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& contents) {
    const int file = mkstemp(path_);
    EXPECT_EQ(write(file, contents.data(), contents.size()), static_cast<ssize_t>(contents.size()));
    close(file);
  }
  ~TemporaryFile() { unlink(path_); }
  const char* path() const { return path_; }

 private:
  char path_[32] = "/tmp/session-files-XXXXXX";
};

std::string contents_of_size(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i * 7 % 26);
  return text;
}

// Around the sizes at which reading grows, with the limit below, at and above the file's size.
TEST(ReadWholeFile, GivesEveryByteUpToTheLimitAndRefusesMore) {
  constexpr std::size_t kStep = 16 << 10;
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, kStep - 1, kStep, kStep + 1, 3 * kStep - 1, 3 * kStep,
                                 3 * kStep + 1, std::size_t{1} << 20}) {
    const std::string expected = contents_of_size(size);
    const TemporaryFile file(expected);
    for (const std::size_t limit : {size, size + 1, size + kStep, std::size_t{512} << 20}) {
      const auto found = read_whole_file(file.path(), limit);
      ASSERT_TRUE(found) << size << ", limit " << limit;
      EXPECT_EQ(found.value(), expected) << size << ", limit " << limit;
    }
    if (size == 0) continue;
    const auto refused = read_whole_file(file.path(), size - 1);
    ASSERT_FALSE(refused) << size;
    EXPECT_NE(refused.error().message().find("has more than"), std::string::npos);
  }
}

TEST(ReadWholeFile, SaysWhichFileCannotBeRead) {
  const auto missing = read_whole_file("/nonexistent/file", 10);
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message().find("/nonexistent/file"), std::string::npos);
  EXPECT_FALSE(read_whole_file("/tmp", 10));  // a directory
}

}  // namespace
}  // namespace casemate::session_tool
