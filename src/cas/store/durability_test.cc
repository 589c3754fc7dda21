// What reaches the disk before an answer leaves. The calls with which SQLite flushes go through the two functions
// below, which stand in for the C library's in this test program.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "cas/store/store.h"
#include "cas/store/testing/temporary_directory.h"

namespace {

std::atomic<unsigned> flush_count{0};
std::atomic<bool> flushes_fail{false};

int flush(long call, int fd) {
  if (flushes_fail) {
    errno = EIO;
    return -1;
  }
  const auto done = static_cast<int>(::syscall(call, fd));
  ++flush_count;
  return done;
}

}  // namespace

extern "C" int fsync(int fd) { return flush(SYS_fsync, fd); }
extern "C" int fdatasync(int fd) { return flush(SYS_fdatasync, fd); }

namespace casemate::cas {
namespace {

class DurabilityTest : public testing::Test {
 protected:
  DurabilityTest() : method_(unseal_with_new_key_file(directory_.path() + "/key").value()) {
    options_.directory = directory_.path() + "/store";
    store_ = Store::create(options_, {method_.get()}).value();
  }
  ~DurabilityTest() override { flushes_fail = false; }
  static Change numbered(int number) {
    Change change;
    change.rows.push_back({1, std::to_string(number), "", SecretValue::copy_of("value"), std::nullopt});
    change.log(SecretRotation{"s", "x", static_cast<std::uint64_t>(number), ""});
    return change;
  }

  testing_support::TemporaryDirectory directory_;
  StoreOptions options_;
  std::unique_ptr<UnsealMethod> method_;
  std::unique_ptr<Store> store_;
};

TEST_F(DurabilityTest, EveryAnswerComesAfterAFlush) {
  for (int number = 0; number < 20; ++number) {
    const unsigned before = flush_count;
    ASSERT_TRUE(store_->commit(numbered(number)));
    EXPECT_GT(flush_count, before) << number;
  }
}

TEST_F(DurabilityTest, ManyWaitingChangesShareOneFlush) {
  constexpr int kChanges = 200;
  std::atomic<int> answered{0};
  const unsigned before = flush_count;
  for (int number = 0; number < kChanges; ++number) {
    store_->submit(numbered(number), [&](Result<Committed> committed) {
      EXPECT_TRUE(committed);
      ++answered;
    });
  }
  store_.reset();  // finishes what was submitted
  EXPECT_EQ(answered, kChanges);
  EXPECT_LT(flush_count - before, static_cast<unsigned>(kChanges));
}

TEST_F(DurabilityTest, AfterAFailedFlushNothingIsAcceptedUntilTheStoreIsOpenedAgain) {
  ASSERT_TRUE(store_->commit(numbered(1)));
  const SignedHead before = store_->snapshot().head();
  flushes_fail = true;
  EXPECT_FALSE(store_->commit(numbered(2)));
  flushes_fail = false;
  const auto refused = store_->commit(numbered(3));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("start it again"), std::string::npos);
  EXPECT_EQ(store_->snapshot().head().head, before.head);
  EXPECT_EQ(store_->snapshot().version_of(1, "2"), kAbsent);
  store_.reset();
  store_ = Store::open(options_, *method_).value();
  EXPECT_NE(store_->snapshot().version_of(1, "1"), kAbsent);
  EXPECT_EQ(store_->snapshot().version_of(1, "3"), kAbsent);
  EXPECT_TRUE(store_->commit(numbered(4)));
}

}  // namespace
}  // namespace casemate::cas
