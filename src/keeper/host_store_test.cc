#include "keeper/host_store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

namespace casemate::keeper {
namespace {

using std::chrono::milliseconds;

class HostStoreFile : public ::testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/casemate-store-test-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    directory_ = pattern;
  }
  void TearDown() override {
    unlink(path().c_str());
    rmdir(directory_.c_str());
  }
  std::string path() const { return directory_ + "/volume"; }
  std::unique_ptr<HostStore> open(StoreAccess access) {
    auto store = HostStore::open(path(), {.access = access, .patience = milliseconds(0)});
    EXPECT_TRUE(store) << store.error().message();
    return store ? std::move(store).value() : nullptr;
  }

  std::string directory_;
};

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

TEST_F(HostStoreFile, ReadsWhatWasWrittenAndZerosBehindAnEnlargement) {
  const auto store = open(StoreAccess::kCreateNew);
  ASSERT_TRUE(store->write(10, bytes_of("secret")));
  ASSERT_TRUE(store->resize(100));
  std::array<std::byte, 90> out;
  ASSERT_TRUE(store->read(10, out));
  EXPECT_EQ(std::memcmp(out.data(), "secret\0\0", 8), 0);
  EXPECT_EQ(store->size().value(), 100U);
  EXPECT_TRUE(store->flush());
}

TEST_F(HostStoreFile, WritesDurablyAtAnyPlaceAndBehindTheEnd) {
  const auto store = open(StoreAccess::kCreateNew);
  ASSERT_TRUE(store->write(0, bytes_of("0123456789")));
  ASSERT_TRUE(store->write_durably(3, bytes_of("three")));
  ASSERT_TRUE(store->write_durably(10, bytes_of("ten")));
  std::array<std::byte, 13> out;
  ASSERT_TRUE(store->read(0, out));
  EXPECT_EQ(std::memcmp(out.data(), "012three89ten", 13), 0);
  const auto reader = HostStore::open("/proc/self/exe", {.access = StoreAccess::kReadOnly});
  ASSERT_TRUE(reader);
  EXPECT_FALSE(reader.value()->write_durably(0, bytes_of("x")));
}

// Whole blocks go past the host's page cache where it can; other writes and all reads do not.
TEST_F(HostStoreFile, DurableBlocksAgreeWithWritesAndReadsThroughTheCache) {
  const auto store = open(StoreAccess::kCreateNew);
  for (const std::size_t size : {std::size_t{4096}, std::size_t{12288}, std::size_t{65536}, std::size_t{69632}}) {
    const std::vector<std::byte> older(2 * size, std::byte{1}), newer(size, std::byte{2}), newest(8, std::byte{3});
    ASSERT_TRUE(store->write(0, older));
    ASSERT_TRUE(store->write_durably(4096, newer));
    ASSERT_TRUE(store->write(4096, newest));
    std::vector<std::byte> expected = older, found(2 * size);
    std::copy(newer.begin(), newer.end(), expected.begin() + 4096);
    std::copy(newest.begin(), newest.end(), expected.begin() + 4096);
    ASSERT_TRUE(store->read(0, found));
    EXPECT_EQ(found, expected) << size;
  }
}

TEST_F(HostStoreFile, TellsWhereItEnds) {
  const auto store = open(StoreAccess::kCreateNew);
  ASSERT_TRUE(store->write(0, bytes_of("short")));
  std::array<std::byte, 6> out;
  const auto read = store->read(0, out);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().category(), ErrorCategory::kFormat);
  EXPECT_NE(read.error().message().find("offset 5"), std::string::npos) << read.error().message();
}

TEST_F(HostStoreFile, SecondWriterIsRefusedAndToldWho) {
  const auto first = open(StoreAccess::kCreateNew);
  const auto second = HostStore::open(path(), {.patience = milliseconds(50)});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().system_code(), EBUSY);
  EXPECT_NE(second.error().message().find(std::to_string(getpid())), std::string::npos) << second.error().message();
}

TEST_F(HostStoreFile, WaitsForThePreviousHolder) {
  auto first = open(StoreAccess::kCreateNew);
  std::thread closer([&] { first.reset(); });
  const auto second = HostStore::open(path(), {.patience = milliseconds(60000)});
  closer.join();
  EXPECT_TRUE(second);
}

TEST_F(HostStoreFile, ReadersShare) {
  open(StoreAccess::kCreateNew).reset();
  const auto first = open(StoreAccess::kReadOnly);
  const auto second = open(StoreAccess::kReadOnly);
  EXPECT_FALSE(HostStore::open(path(), {.patience = milliseconds(0)}));
  EXPECT_FALSE(second->write(0, bytes_of("x")));
}

TEST_F(HostStoreFile, RefusesDirectoriesAndExistingFilesWhereNewOnesAreWanted) {
  EXPECT_FALSE(HostStore::open(directory_, {.access = StoreAccess::kReadOnly}));
  open(StoreAccess::kCreateNew).reset();
  const auto again = HostStore::open(path(), {.access = StoreAccess::kCreateNew});
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().system_code(), EEXIST);
}

}  // namespace
}  // namespace casemate::keeper
