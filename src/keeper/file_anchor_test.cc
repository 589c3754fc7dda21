#include "keeper/file_anchor.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "keeper/testing/running_keeper.h"

namespace casemate::keeper {
namespace {

class AnchorFile : public ::testing::Test {
 protected:
  std::unique_ptr<FileAnchor> open(const volume::VolumeKey& key) {
    auto anchor = FileAnchor::open(path(), key);
    EXPECT_TRUE(anchor);
    anchor.value()->bind(volume_id_);
    return std::move(anchor).value();
  }
  std::string path() const { return directory_ / "anchor"; }
  static volume::Position position(std::uint64_t epoch, std::uint64_t sequence) {
    volume::Position position{epoch, sequence, {}};
    position.chain_tag.fill(static_cast<std::byte>(sequence));
    return position;
  }
  std::string contents() const {
    std::ifstream file(path(), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  testing::ScratchDirectory directory_;
  volume::VolumeKey key_ = volume::VolumeKey::random().value();
  std::array<std::byte, 16> volume_id_ = {std::byte{1}};
};

TEST_F(AnchorFile, TellsAnotherVolumeOfTheSameKeyFromAnOldState) {
  ASSERT_TRUE(open(key_)->store(position(7, 100)));
  volume_id_[0] = std::byte{2};
  const auto loaded = open(key_)->load();
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().system_code(), ESTALE);
  EXPECT_NE(loaded.error().message().find("another volume"), std::string::npos) << loaded.error().message();
}

TEST_F(AnchorFile, RemembersTheNewestPosition) {
  {
    auto anchor = open(key_);
    EXPECT_FALSE(anchor->load().value());
    ASSERT_TRUE(anchor->store(position(1, 10)));
    ASSERT_TRUE(anchor->note(position(1, 12)));
    ASSERT_TRUE(anchor->note(position(1, 11)));  // a slower thread's
    EXPECT_EQ(anchor->make_durable().value(), position(1, 12));
  }
  EXPECT_EQ(open(key_)->load().value(), position(1, 12));
}

TEST_F(AnchorFile, SurvivesTornNewerRecord) {
  for (const std::uint64_t count : {1U, 2U}) {
    std::filesystem::remove(path());
    {
      auto anchor = open(key_);
      for (std::uint64_t i = 0; i <= count; ++i) ASSERT_TRUE(anchor->store(position(1, 10 + i)));
    }
    std::string damaged = contents();
    const std::size_t newer = (count + 1) % 2 * 512;
    damaged[newer + 20] = static_cast<char>(damaged[newer + 20] ^ 1);
    std::ofstream(path(), std::ios::binary) << damaged;
    EXPECT_EQ(open(key_)->load().value(), position(1, 10 + count - 1));
  }
}

TEST_F(AnchorFile, GoesOnWhenTheFileWasCut) {
  const auto anchor = open(key_);
  for (std::uint64_t i = 1; i <= 4; ++i) ASSERT_TRUE(anchor->note(position(1, i)));
  std::filesystem::resize_file(path(), 0);
  ASSERT_TRUE(anchor->store(position(1, 5)));
  EXPECT_EQ(open(key_)->load().value(), position(1, 5));
  for (std::uint64_t i = 6; i <= 9; ++i) ASSERT_TRUE(anchor->note(position(1, i)));
  EXPECT_EQ(open(key_)->load().value(), position(1, 9));
}

TEST_F(AnchorFile, IsRefusedWhenDamagedOrForeign) {
  ASSERT_TRUE(open(key_)->store(position(3, 7)));
  const auto foreign = open(volume::VolumeKey::random().value())->load();
  ASSERT_FALSE(foreign);
  EXPECT_NE(foreign.error().message().find("another volume"), std::string::npos);
  const std::string good = contents();
  const std::size_t start = good.size() > 512 ? 512 : 0;
  for (std::size_t at = start; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x10);
    std::ofstream(path(), std::ios::binary) << bad;
    EXPECT_FALSE(open(key_)->load()) << at;
  }
}

}  // namespace
}  // namespace casemate::keeper
