#include "casemate/program_search.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace casemate::cli {
namespace {

namespace fs = std::filesystem;

class FindProgram : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/casemate-search-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    root_ = name;
    fs::create_directories(root_ / "first");
    fs::create_directories(root_ / "second");
    path_ = (root_ / "first").string() + ":" + (root_ / "second").string();
  }
  void TearDown() override { fs::remove_all(root_); }

  std::string make(const std::string& name, mode_t mode) {
    const fs::path path = root_ / name;
    std::ofstream(path) << "text";
    EXPECT_EQ(chmod(path.c_str(), mode), 0);
    return path.string();
  }

  fs::path root_;
  std::string path_;
};

TEST_F(FindProgram, TakesTheFirstDirectoryOfPath) {
  make("second/tool", 0755);
  const std::string first = make("first/tool", 0755);
  const Result<Program> found = find_program("tool", path_);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found.value().path, first);
  EXPECT_TRUE(found.value().file.is_open());
}

TEST_F(FindProgram, PassesOverFilesThatAreNotExecutableAndDirectories) {
  make("first/tool", 0644);
  const std::string second = make("second/tool", 0755);
  fs::create_directories(root_ / "first" / "other");
  const std::string other = make("second/other", 0755);
  EXPECT_EQ(find_program("tool", path_).value().path, second);
  EXPECT_EQ(find_program("other", path_).value().path, other);
}

TEST_F(FindProgram, Answers126WhenOnlyAFileWithoutPermissionIsThere) {
  make("first/tool", 0644);
  const Result<Program> found = find_program("tool", path_);
  ASSERT_FALSE(found.has_value());
  EXPECT_EQ(exit_code_of(found.error()), 126);
}

TEST_F(FindProgram, Answers127WhenNothingOrOnlyADirectoryHasTheNameInPath) {
  fs::create_directories(root_ / "first" / "tool");
  for (const char* name : {"tool", "missing", ""}) {
    const Result<Program> found = find_program(name, path_);
    ASSERT_FALSE(found.has_value()) << name;
    EXPECT_EQ(exit_code_of(found.error()), 127) << name;
  }
}

TEST_F(FindProgram, DoesNotSearchForNamesWithASlash) {
  make("first/tool", 0755);
  const Result<Program> found = find_program("./tool", path_);
  ASSERT_FALSE(found.has_value());
  EXPECT_EQ(exit_code_of(found.error()), 127);
}

TEST_F(FindProgram, Answers126ForADirectoryAsAPath) {
  const Result<Program> found = find_program((root_ / "first").string(), path_);
  ASSERT_FALSE(found.has_value());
  EXPECT_EQ(exit_code_of(found.error()), 126);
  EXPECT_NE(found.error().message().find("is a directory"), std::string::npos);
}

TEST_F(FindProgram, Answers126ForAPathThroughAFile) {
  const std::string file = make("first/tool", 0755);
  EXPECT_EQ(exit_code_of(find_program(file + "/x", path_).error()), 126);
}

TEST_F(FindProgram, PassesOverElementsOfPathThatAreFiles) {
  const std::string file = make("first/tool", 0755);
  EXPECT_EQ(exit_code_of(find_program("absent", file + ":" + path_).error()), 127);
  EXPECT_EQ(find_program("tool", file + ":" + path_).value().path, file);
}

TEST_F(FindProgram, TreatsAnEmptyElementAsTheCurrentDirectory) {
  make("first/here", 0755);
  const fs::path before = fs::current_path();
  fs::current_path(root_ / "first");
  const Result<Program> found = find_program("here", "/nonexistent::/also-not");
  fs::current_path(before);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found.value().path, "here");
}

TEST_F(FindProgram, RefusesFilesThatWouldGainPrivileges) {
  const std::string path = make("first/tool", 0755);
  if (chown(path.c_str(), 65534, 65534) != 0) GTEST_SKIP() << "needs root to make a file of another user";
  ASSERT_EQ(chmod(path.c_str(), 04755), 0);
  const Result<Program> found = find_program("tool", path_);
  ASSERT_FALSE(found.has_value());
  EXPECT_EQ(exit_code_of(found.error()), 126);
  EXPECT_NE(found.error().message().find("set-user-ID"), std::string::npos);
}

}  // namespace
}  // namespace casemate::cli
