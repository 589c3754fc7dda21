// Answers in shared memory: there after a question, gone after everything that could change them.
#include "keeper/answer_table.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <functional>
#include <optional>
#include <thread>

#include "keeper/testing/running_keeper.h"
#include "keeper/testing/simulated_member.h"

namespace casemate::keeper {
namespace {

using protocol::Operation;
using testing::OpenFile;
using testing::RunningKeeper;
using testing::SimulatedMember;

constexpr const char* kDescription = R"({"cache": "4M", "regions": [
  {"path": "/", "kind": "host"},
  {"path": "/data", "kind": "ephemeral", "size": "16M", "mode": "1777"},
  {"path": "/data/far/away", "kind": "ephemeral", "size": "1M"}]})";

class KeptAnswers : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(keeper_.is_running()) << keeper_.error();
    member_ = std::make_unique<SimulatedMember>(keeper_.hello());
    ASSERT_EQ(member_->make_directory("/data/dir"), 0);
    ASSERT_EQ(member_->make_directory("/data/dir/sub"), 0);
    ASSERT_EQ(member_->open("/data/dir/file", O_RDWR | O_CREAT).result, 0);
    ASSERT_EQ(member_->link_symbolically("/data/way", "dir"), 0);
    wait_until_closed("/data/dir/file");
  }

  // Attributes of a file are kept once the keeper has found that nobody has it open for writing.
  void wait_until_closed(const std::string& path) {
    for (int i = 0; i < 2000; ++i) {
      member_->ask_at_root(Operation::kStatus, path, {0});
      if (member_->kept_answer(Operation::kStatus, path)) return;
      keeper_.keeper().cache().probe(protocol::kSlotCapacity);
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    FAIL() << "attributes of " << path << " are never kept";
  }

  RunningKeeper keeper_{kDescription, "/"};
  std::unique_ptr<SimulatedMember> member_;
};

TEST_F(KeptAnswers, RepeatWhatWasAnswered) {
  EXPECT_EQ(member_->ask_at_root(Operation::kStatus, "/data/none", {0}).result(), -ENOENT);
  EXPECT_EQ(member_->kept_answer(Operation::kStatus, "/data/none"), -ENOENT);
  protocol::ShieldAttributes asked = member_->ask_at_root(Operation::kStatus, "/data/dir", {0}).header.attributes, kept;
  EXPECT_EQ(member_->kept_answer(Operation::kStatus, "/data/dir", 0, &kept), 0);
  EXPECT_EQ(std::memcmp(&asked, &kept, sizeof(kept)), 0);
  EXPECT_EQ(member_->ask_at_root(Operation::kAccess, "/data/dir/file", {X_OK, 0}).result(), -EACCES);
  EXPECT_EQ(member_->kept_answer(Operation::kAccess, "/data/dir/file", X_OK), -EACCES);
  EXPECT_EQ(member_->kept_answer(Operation::kAccess, "/data/dir/file", R_OK), std::nullopt) << "was never asked";
  EXPECT_EQ(member_->ask_at_root(Operation::kOpen, "/data/other", {O_RDONLY}).result(), -ENOENT);
  EXPECT_EQ(member_->kept_answer(Operation::kStatus, "/data/other"), -ENOENT) << "told by open";
}

TEST_F(KeptAnswers, AreOfOneCallerOnly) {
  member_->ask_at_root(Operation::kStatus, "/data/none", {0});
  member_->groups = {5};
  EXPECT_EQ(member_->kept_answer(Operation::kStatus, "/data/none"), std::nullopt);
  member_->groups.clear();
  member_->user = 1;
  EXPECT_EQ(member_->kept_answer(Operation::kStatus, "/data/none"), std::nullopt);
}

TEST_F(KeptAnswers, OutliveChangesOfOtherNames) {
  member_->ask_at_root(Operation::kStatus, "/data/dir/none", {0});
  member_->ask_at_root(Operation::kStatus, "/data/dir/file", {0});
  ASSERT_EQ(member_->open("/data/dir/journal", O_RDWR | O_CREAT).result, 0);
  ASSERT_EQ(member_->unlink("/data/dir/journal"), 0);
  EXPECT_EQ(member_->kept_answer(Operation::kStatus, "/data/dir/none"), -ENOENT);
  EXPECT_EQ(member_->kept_answer(Operation::kStatus, "/data/dir/file"), 0);
  EXPECT_EQ(member_->ask_at_root(Operation::kUnlink, "/data/dir/file", {0}).result(), 0);
  EXPECT_EQ(member_->kept_answer(Operation::kStatus, "/data/dir/file"), -ENOENT) << "told by unlink";
  ASSERT_EQ(member_->make_directory("/data/dir/file"), 0);
  EXPECT_EQ(member_->kept_answer(Operation::kStatus, "/data/dir/file"), std::nullopt);
}

TEST_F(KeptAnswers, LeaveOutWhatTheHostHasASayIn) {
  EXPECT_TRUE(member_->ask_at_root(Operation::kStatus, "/tmp", {0}).is_host());
  EXPECT_EQ(member_->kept_answer(Operation::kStatus, "/tmp"), std::nullopt);
  member_->ask_at_root(Operation::kStatus, "/tmp/../data/none", {0});
  EXPECT_EQ(member_->kept_answer(Operation::kStatus, "/tmp/../data/none"), std::nullopt);
}

TEST_F(KeptAnswers, LeaveOutFilesThatMayBeWritten) {
  const OpenFile reader = member_->open("/data/dir/file", O_RDONLY);
  member_->ask_at_root(Operation::kStatus, "/data/dir/file", {0});
  EXPECT_EQ(member_->kept_answer(Operation::kStatus, "/data/dir/file"), 0);
  {
    const OpenFile writer = member_->open("/data/dir/file", O_WRONLY);
    EXPECT_EQ(member_->kept_answer(Operation::kStatus, "/data/dir/file"), std::nullopt);
    member_->ask_at_root(Operation::kStatus, "/data/dir/file", {0});
    EXPECT_EQ(member_->kept_answer(Operation::kStatus, "/data/dir/file"), std::nullopt);
    member_->ask_at_root(Operation::kAccess, "/data/dir/file", {R_OK, 0});
    EXPECT_EQ(member_->kept_answer(Operation::kAccess, "/data/dir/file", R_OK), 0) << "writing changes no permission";
  }
}

struct Change {
  const char* what;
  const char* path;  // asked before
  std::function<std::int64_t(SimulatedMember&)> make;
};

std::int64_t ask(SimulatedMember& member, Operation operation, const char* path, std::vector<std::uint64_t> arguments) {
  return member.call({.operation = operation, .path = path, .arguments = std::move(arguments)}).result();
}

const Change kChanges[] = {
    {"open makes it", "/data/new", [](auto& m) { return m.open("/data/new", O_RDWR | O_CREAT).result; }},
    {"mkdir makes it", "/data/new", [](auto& m) { return m.make_directory("/data/new"); }},
    {"symlink makes it", "/data/new", [](auto& m) { return m.link_symbolically("/data/new", "dir"); }},
    {"link makes it", "/data/new",
     [](auto& m) {
       return m.call({.operation = Operation::kLink, .path = "/data/dir/file", .second_path = "/data/new"}).result();
     }},
    {"rename makes it", "/data/new", [](auto& m) { return m.rename("/data/dir/file", "/data/new"); }},
    {"link count changes", "/data/dir/file",
     [](auto& m) {
       return m.call({.operation = Operation::kLink, .path = "/data/dir/file", .second_path = "/data/new"}).result();
     }},
    {"unlink", "/data/dir/file", [](auto& m) { return m.unlink("/data/dir/file"); }},
    {"rename away", "/data/dir/file", [](auto& m) { return m.rename("/data/dir/file", "/data/new"); }},
    {"chmod", "/data/dir/file", [](auto& m) { return ask(m, Operation::kChangeMode, "/data/dir/file", {0600}); }},
    {"chown", "/data/dir/file",
     [](auto& m) {
       return ask(m, Operation::kChangeOwner, "/data/dir/file", {5, 5});
     }},
    {"utimes", "/data/dir/file", [](auto& m) { return ask(m, Operation::kChangeTimes, "/data/dir/file", {}); }},
    {"truncate", "/data/dir/file",
     [](auto& m) {
       return ask(m, Operation::kTruncate, "/data/dir/file", {7, ~0U});
     }},
    {"the directory is closed", "/data/dir/file",
     [](auto& m) { return ask(m, Operation::kChangeMode, "/data/dir", {0}); }},
    {"the directory moves", "/data/dir/file", [](auto& m) { return m.rename("/data/dir", "/data/moved"); }},
    {"the link on the way goes", "/data/way/file", [](auto& m) { return m.unlink("/data/way"); }},
    {"the link on the way moves", "/data/way/file", [](auto& m) { return m.rename("/data/way", "/data/moved"); }},
    {"a name in the directory", "/data/dir", [](auto& m) { return m.make_directory("/data/dir/new"); }},
    {"a name less in the directory", "/data/dir", [](auto& m) { return m.unlink("/data/dir/file"); }},
    {"rmdir", "/data/dir/sub", [](auto& m) { return m.unlink("/data/dir/sub", AT_REMOVEDIR); }},
};

class KeptAnswersEnd : public KeptAnswers, public ::testing::WithParamInterface<std::size_t> {};

TEST_P(KeptAnswersEnd, WithTheChange) {
  const Change& change = kChanges[GetParam()];
  SCOPED_TRACE(change.what);
  const auto before = member_->ask_at_root(Operation::kStatus, change.path, {0});
  ASSERT_EQ(member_->kept_answer(Operation::kStatus, change.path), before.result());
  ASSERT_EQ(change.make(*member_), 0);
  EXPECT_EQ(member_->kept_answer(Operation::kStatus, change.path), std::nullopt);
  const auto after = member_->ask_at_root(Operation::kStatus, change.path, {0});
  EXPECT_TRUE(after.result() != before.result() ||
              std::memcmp(&after.header.attributes, &before.header.attributes, sizeof(after.header.attributes)) != 0 ||
              std::string_view(change.what) == "the directory is closed")
      << "the change changed nothing";
}

INSTANTIATE_TEST_SUITE_P(AllChanges, KeptAnswersEnd, ::testing::Range<std::size_t>(0, std::size(kChanges)));

}  // namespace
}  // namespace casemate::keeper
