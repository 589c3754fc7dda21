// A host that changes, swaps, cuts, copies and puts back: each is refused with a message that names what is wrong, or
// changes nothing; never does a program get other bytes than were written. Controls: the untouched image reads fine.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "volume/journal.h"
#include "volume/superblock.h"
#include "volume/testing/sample.h"

namespace casemate::volume {
namespace {

using testing::Ending;
using testing::MemoryAnchor;
using testing::MemoryStore;
using testing::Outcome;
using testing::Sample;

constexpr std::size_t kJournalBegin = kJournalUnit * kUnitSize;

const Sample& closed_sample() {
  static const Sample sample = testing::make_sample(Ending::kClosed).value();
  return sample;
}
const Sample& crashed_sample() {
  static const Sample sample = testing::make_sample(Ending::kCrashed).value();
  return sample;
}

std::size_t data_begin() { return kJournalBegin + testing::small_volume().journal_size; }

Outcome try_image(Bytes image, Anchor* anchor = nullptr) {
  MemoryStore store(std::move(image));
  return testing::read_everything(store, anchor);
}

MemoryAnchor anchored_at(const Position& position) {
  MemoryAnchor anchor;
  anchor.position = position;
  return anchor;
}

// Refused with a reason, or no difference.
void expect_no_garbage(const Outcome& outcome, const Sample& sample, const std::string& what) {
  if (outcome.is_refused) {
    EXPECT_FALSE(outcome.message.empty()) << what;
    EXPECT_NE(outcome.code, 0) << what;
  } else {
    EXPECT_EQ(outcome.dump, sample.dump) << what;
  }
}

void expect_refused(const Outcome& outcome, const std::string& reason) {
  EXPECT_TRUE(outcome.is_refused) << "expected: " << reason;
  EXPECT_NE(outcome.message.find(reason), std::string::npos) << outcome.message << "\nexpected: " << reason;
}

bool is_zero(ByteView bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte byte) { return byte == std::byte{0}; });
}

std::vector<std::size_t> used_data_units(const Bytes& image) {
  std::vector<std::size_t> offsets;
  for (std::size_t offset = data_begin(); offset < image.size(); offset += kUnitSize) {
    if (!is_zero(ByteView(image).subspan(offset, kUnitSize))) offsets.push_back(offset);
  }
  return offsets;
}

TEST(Attack, ControlReadsTheUntouchedVolume) {
  for (const Sample* sample : {&closed_sample(), &crashed_sample()}) {
    MemoryAnchor anchor = anchored_at(sample->position);
    const Outcome outcome = try_image(sample->image, &anchor);
    EXPECT_FALSE(outcome.is_refused) << outcome.message;
    EXPECT_EQ(outcome.dump, sample->dump);
  }
}

// Every byte of both superblocks.
TEST(Attack, FlippedBitsOfSuperblocksNeverGiveGarbage) {
  for (const Sample* sample : {&closed_sample(), &crashed_sample()}) {
    for (const Unit unit : kSuperblockUnits) {
      for (std::size_t byte = 0; byte < kUnitSize; byte += byte < 256 ? 1 : 31) {
        Bytes image = sample->image;
        image[unit * kUnitSize + byte] ^= static_cast<std::byte>(1U << (byte % 8));
        MemoryAnchor anchor = anchored_at(sample->position);
        expect_no_garbage(try_image(std::move(image), &anchor), *sample, "byte " + std::to_string(byte));
      }
    }
  }
}

TEST(Attack, BothSuperblocksChangedAreNamed) {
  Bytes image = closed_sample().image;
  for (const Unit unit : kSuperblockUnits) image[unit * kUnitSize + 1000] ^= std::byte{1};
  expect_refused(try_image(image), "both superblocks are damaged");
  for (const Unit unit : kSuperblockUnits) image[unit * kUnitSize] ^= std::byte{1};
  expect_refused(try_image(image), "there is no volume");
}

// Every byte of every record's header, and some of its payload: the records were durable, so it is no crash.
TEST(Attack, FlippedBitsOfTheJournalAreFound) {
  const Sample& sample = crashed_sample();
  std::size_t records = 0, refused = 0;
  for (std::size_t offset = kJournalBegin; offset < data_begin(); offset += kUnitSize) {
    if (is_zero(ByteView(sample.image).subspan(offset, kUnitSize))) continue;
    ++records;
    for (std::size_t byte = 0; byte < 300; ++byte) {
      Bytes image = sample.image;
      image[offset + byte] ^= std::byte{0x10};
      MemoryAnchor anchor = anchored_at(sample.position);
      const Outcome outcome = try_image(std::move(image), &anchor);
      expect_no_garbage(outcome, sample, "record at " + std::to_string(offset) + " byte " + std::to_string(byte));
      refused += outcome.is_refused ? 1 : 0;
    }
  }
  EXPECT_GE(records, 4U);
  EXPECT_GT(refused, 300U);
}

TEST(Attack, MissingDurableRecordIsNamedWithoutAnchor) {
  Bytes image = crashed_sample().image;
  std::vector<std::size_t> records;
  for (std::size_t offset = kJournalBegin; offset < data_begin(); offset += kUnitSize) {
    if (load_number<std::uint32_t>(&image[offset]) == 0x524a5343) records.push_back(offset);
  }
  ASSERT_GE(records.size(), 3U);
  // Not the last one: only a later record proves that it was durable.
  std::fill_n(image.begin() + static_cast<std::ptrdiff_t>(records[records.size() - 2]), kUnitSize, std::byte{0});
  expect_refused(try_image(std::move(image)), "is damaged or gone although it had been durable");
}

// A record that a recovery dropped, because its data was not there, stays dropped when host puts both back later.
TEST(Attack, DroppedRecordCannotComeBack) {
  const Sample& sample = crashed_sample();
  // The newest record wrote the large file's pages 8 to 15: find units that only it can lack.
  for (const std::size_t unit : used_data_units(sample.image)) {
    MemoryStore store(sample.image);
    store.bytes()[unit] ^= std::byte{1};
    std::vector<std::string> notices;
    MountOptions options;
    options.notice = [&](std::string_view text) { notices.emplace_back(text); };
    const bool mounts = Volume::mount(store, testing::sample_clock(), testing::test_key(), options).has_value();
    const bool dropped = std::any_of(notices.begin(), notices.end(), [](const std::string& notice) {
      return notice.find("dropped the newest journal record") != std::string::npos;
    });
    if (!mounts || !dropped) continue;
    std::copy_n(sample.image.begin() + kJournalBegin, data_begin() - kJournalBegin,
                store.bytes().begin() + kJournalBegin);
    store.bytes()[unit] ^= std::byte{1};
    const Outcome outcome = testing::read_everything(store, nullptr);
    EXPECT_TRUE(outcome.is_refused || outcome.dump != sample.dump);
    return;
  }
  FAIL() << "no unit belongs to the newest record";
}

TEST(Attack, CutJournalIsARollback) {
  Bytes image = crashed_sample().image;
  std::size_t last = 0;
  for (std::size_t offset = kJournalBegin; offset < data_begin(); offset += kUnitSize) {
    if (load_number<std::uint32_t>(&image[offset]) == 0x524a5343) last = offset;
  }
  std::fill_n(image.begin() + static_cast<std::ptrdiff_t>(last), kUnitSize, std::byte{0});
  MemoryAnchor anchor = anchored_at(crashed_sample().position);
  expect_refused(try_image(std::move(image), &anchor), "the volume was rolled back: expected epoch 2, record");
}

// Some bytes of every unit that is in use: nodes and data.
TEST(Attack, FlippedBitsOfUnitsAreFoundAndNamed) {
  const Sample& sample = closed_sample();
  int data_errors = 0, node_errors = 0;
  for (const std::size_t offset : used_data_units(sample.image)) {
    for (const std::size_t byte : {std::size_t{0}, std::size_t{17}, std::size_t{2048}, kUnitSize - 1}) {
      Bytes image = sample.image;
      image[offset + byte] ^= std::byte{0x80};
      const Outcome outcome = try_image(std::move(image));
      expect_no_garbage(outcome, sample, "unit at " + std::to_string(offset));
      if (!outcome.is_refused) continue;
      EXPECT_EQ(outcome.code, EIO);
      EXPECT_EQ(outcome.category, ErrorCategory::kFormat);
      data_errors += outcome.message.find("inode") != std::string::npos ? 1 : 0;
      node_errors += outcome.message.find("metadata: node in unit") != std::string::npos ? 1 : 0;
    }
  }
  EXPECT_GE(data_errors, 40 * 4);
  EXPECT_GE(node_errors, 4);
}

TEST(Attack, SwappedUnitsAreFound) {
  const Sample& sample = closed_sample();
  const std::vector<std::size_t> units = used_data_units(sample.image);
  int refused = 0;
  for (std::size_t index = 0; index + 1 < units.size(); ++index) {
    Bytes image = sample.image;
    std::swap_ranges(image.begin() + static_cast<std::ptrdiff_t>(units[index]),
                     image.begin() + static_cast<std::ptrdiff_t>(units[index] + kUnitSize),
                     image.begin() + static_cast<std::ptrdiff_t>(units[index + 1]));
    const Outcome outcome = try_image(std::move(image));
    expect_no_garbage(outcome, sample, "units " + std::to_string(index));
    refused += outcome.is_refused ? 1 : 0;
  }
  EXPECT_GT(refused, 40);
}

TEST(Attack, UnitsOfAnotherVolumeWithTheSameKeyAreFound) {
  const Sample& sample = closed_sample();
  const Sample other = testing::make_sample(Ending::kClosed).value();
  int refused = 0;
  for (const std::size_t unit : used_data_units(sample.image)) {
    Bytes image = sample.image;
    std::copy_n(other.image.begin() + static_cast<std::ptrdiff_t>(unit), kUnitSize,
                image.begin() + static_cast<std::ptrdiff_t>(unit));
    const Outcome outcome = try_image(std::move(image));
    expect_no_garbage(outcome, sample, "unit " + std::to_string(unit));
    refused += outcome.is_refused ? 1 : 0;
  }
  EXPECT_GT(refused, 40);
}

TEST(Attack, OldContentsOfAUnitAreFound) {
  MemoryStore store(closed_sample().image);
  {
    const auto volume = testing::mount_sample(store).value();
    ASSERT_TRUE(volume->write(closed_sample().large, 0, testing::pattern(40 * kPageSize, 9)).has_value());
    ASSERT_TRUE(volume->close().has_value());
  }
  const std::string newer = testing::read_everything(store, nullptr).dump;
  int refused = 0;
  for (const std::size_t unit : used_data_units(store.bytes())) {
    if (unit + kUnitSize > closed_sample().image.size()) continue;
    Bytes image = store.bytes();
    std::copy_n(closed_sample().image.begin() + static_cast<std::ptrdiff_t>(unit), kUnitSize,
                image.begin() + static_cast<std::ptrdiff_t>(unit));
    const Outcome outcome = try_image(std::move(image));
    if (outcome.is_refused) {
      ++refused;
    } else {
      EXPECT_EQ(outcome.dump, newer);
    }
  }
  EXPECT_GT(refused, 20);
}

TEST(Attack, TruncationIsNamed) {
  const Bytes& whole = closed_sample().image;
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, kUnitSize, kJournalBegin, data_begin(),
                                 whole.size() / 2, whole.size() - kUnitSize, whole.size() - 1}) {
    Bytes image(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    const Outcome outcome = try_image(std::move(image));
    EXPECT_TRUE(outcome.is_refused) << size;
    const bool named = outcome.message.find("truncated") != std::string::npos ||
                       outcome.message.find("there is no volume") != std::string::npos;
    EXPECT_TRUE(named) << outcome.message;
  }
}

TEST(Attack, RollbackIsNamedWithBothPositions) {
  const Sample& old = closed_sample();
  MemoryStore store(old.image);
  MemoryAnchor anchor = anchored_at(old.position);
  {
    const auto volume = testing::mount_sample(store, &anchor).value();
    ASSERT_TRUE(volume->write(old.small, 0, testing::pattern(50, 5)).has_value());
    ASSERT_TRUE(volume->close().has_value());
  }
  const std::string newest = testing::read_everything(store, &anchor).dump;
  EXPECT_NE(newest, old.dump) << "control: the newest state is accepted";
  expect_refused(try_image(old.image, &anchor), "the volume was rolled back: expected epoch 3");
}

// Only the superblocks are put back; tree and journal are newer.
TEST(Attack, OldSuperblocksOverANewerVolumeNeverGiveGarbage) {
  const Sample& old = closed_sample();
  MemoryStore store(old.image);
  MemoryAnchor anchor = anchored_at(old.position);
  {
    const auto volume = testing::mount_sample(store, &anchor).value();
    for (int round = 0; round < 50; ++round) {
      ASSERT_TRUE(volume->write(old.large, 0, testing::pattern(40 * kPageSize, 6)).has_value());
      ASSERT_TRUE(volume->checkpoint().has_value());
    }
    ASSERT_TRUE(volume->close().has_value());
  }
  Bytes image = store.bytes();
  for (const Unit unit : kSuperblockUnits) {
    std::copy_n(old.image.begin() + static_cast<std::ptrdiff_t>(unit * kUnitSize), kUnitSize,
                image.begin() + static_cast<std::ptrdiff_t>(unit * kUnitSize));
  }
  expect_refused(try_image(image, &anchor), "rolled back");
  expect_no_garbage(try_image(image), old, "without anchor");
}

TEST(Attack, ForeignVolumeIsRefused) {
  const Sample other = testing::make_sample(Ending::kClosed).value();
  MemoryAnchor anchor = anchored_at(closed_sample().position);
  const Outcome outcome = try_image(other.image, &anchor);
  expect_refused(outcome, "this is another volume, or a copy that went its own way");
  const Sample with_other_key = testing::make_sample(Ending::kClosed, 99).value();
  expect_refused(try_image(with_other_key.image), "wrong key");
}

TEST(Attack, NewerFormatIsNamed) {
  Bytes image = closed_sample().image;
  for (const Unit unit : kSuperblockUnits) store_number(&image[unit * kUnitSize + 8], std::uint32_t{7});
  expect_refused(try_image(std::move(image)), "format 7, newer than");
}

// A copy mounted beside the original, both from the same state: no (key, nonce) pair may be used twice. If one were,
// the same plaintext in the same place would give the same ciphertext.
TEST(Attack, CopiesMountedTwiceShareNoNonce) {
  const Sample& sample = closed_sample();
  MemoryStore stores[2] = {MemoryStore(sample.image), MemoryStore(sample.image)};
  for (MemoryStore& store : stores) {
    const auto volume = testing::mount_sample(store).value();
    ASSERT_TRUE(volume->write(sample.large, 0, testing::pattern(30 * kPageSize, 7)).has_value());
    ASSERT_TRUE(volume->write(sample.small, 0, testing::pattern(90, 8)).has_value());
    ASSERT_TRUE(volume->sync().has_value());
    ASSERT_TRUE(volume->close().has_value());
  }
  std::size_t compared = 0;
  const std::size_t size = std::min(stores[0].bytes().size(), stores[1].bytes().size());
  for (std::size_t offset = 0; offset + kUnitSize <= size; offset += kUnitSize) {
    const ByteView first = ByteView(stores[0].bytes()).subspan(offset, kUnitSize);
    const ByteView second = ByteView(stores[1].bytes()).subspan(offset, kUnitSize);
    const bool is_written =
        offset + kUnitSize > sample.image.size() || !std::equal(first.begin(), first.end(), &sample.image[offset]);
    if (!is_written || is_zero(first)) continue;
    ++compared;
    // Past the clear headers of superblocks and records, block by block.
    for (std::size_t block = 128; block < kUnitSize; block += 16) {
      const ByteView left = first.subspan(block, 16), right = second.subspan(block, 16);
      EXPECT_TRUE(is_zero(left) || !std::equal(left.begin(), left.end(), right.begin())) << offset + block;
    }
  }
  EXPECT_GT(compared, 30U);
}

TEST(Attack, SecondMountOfACopyIsRefusedByTheAnchor) {
  MemoryStore original(closed_sample().image), copy(closed_sample().image);
  MemoryAnchor anchor = anchored_at(closed_sample().position);
  const auto first = testing::mount_sample(original, &anchor);
  ASSERT_TRUE(first.has_value());
  const auto second = testing::mount_sample(copy, &anchor);
  ASSERT_FALSE(second.has_value());
  EXPECT_NE(second.error().message().find("rolled back"), std::string::npos) << second.error().message();
}

TEST(Attack, SecondMountOfTheSameStoreStopsTheFirst) {
  MemoryStore store(closed_sample().image);
  const auto first = testing::mount_sample(store).value();
  ASSERT_TRUE(first->write(closed_sample().small, 0, testing::pattern(10, 1)).has_value());
  const auto second = testing::mount_sample(store).value();
  const auto synced = first->sync();
  ASSERT_FALSE(synced.has_value());
  EXPECT_EQ(synced.error().system_code(), ESTALE);
  EXPECT_NE(synced.error().message().find("mounted elsewhere"), std::string::npos) << synced.error().message();
  EXPECT_FALSE(first->checkpoint().has_value());
  ASSERT_TRUE(second->write(closed_sample().small, 0, testing::pattern(20, 2)).has_value());
  ASSERT_TRUE(second->close().has_value());
  MemoryStore again(store.bytes());
  EXPECT_TRUE(testing::mount_sample(again).value()->verify({}).value().problems.empty());
}

TEST(Attack, SuperblocksReplacedWhileMountedAreSeen) {
  MemoryStore store(closed_sample().image);
  const auto volume = testing::mount_sample(store).value();
  store.bytes()[kSuperblockUnits[0] * kUnitSize + 50] ^= std::byte{1};
  ASSERT_TRUE(volume->write(closed_sample().small, 0, testing::pattern(10, 1)).has_value());
  const auto synced = volume->sync();
  ASSERT_FALSE(synced.has_value());
  EXPECT_NE(synced.error().message().find("was changed while the volume was mounted"), std::string::npos);
}

TEST(Attack, DamageWhileMountedIsAnErrorForItsReaderOnly) {
  MemoryStore store(closed_sample().image);
  const auto volume = testing::mount_sample(store).value();
  // All of the large file's units, but not those of nodes, which are cached: damage everything above the journal.
  Bytes out(kPageSize);
  ASSERT_TRUE(volume->read(closed_sample().large, 0, out).has_value());
  for (const std::size_t unit : used_data_units(store.bytes())) store.bytes()[unit + 5] ^= std::byte{1};
  const auto damaged_read = volume->read(closed_sample().large, 0, out);
  ASSERT_FALSE(damaged_read.has_value());
  EXPECT_EQ(damaged_read.error().system_code(), EIO);
  EXPECT_EQ(damaged_read.error().category(), ErrorCategory::kFormat);
  // Whole pages are replaced without being read, and heal.
  ASSERT_TRUE(volume->write(closed_sample().large, 0, testing::pattern(kPageSize, 1)).has_value());
  EXPECT_TRUE(volume->read(closed_sample().large, 0, out).has_value());
  EXPECT_EQ(out, testing::pattern(kPageSize, 1));
}

TEST(Attack, VerifyNamesFileAndRange) {
  const Sample& sample = closed_sample();
  std::set<std::string> problems;
  for (const std::size_t unit : used_data_units(sample.image)) {
    MemoryStore store(sample.image);
    store.bytes()[unit + 100] ^= std::byte{4};
    const auto mounted = testing::mount_sample(store, nullptr, Access::kReadOnly);
    if (!mounted) continue;  // the space map or the root is gone
    const auto report = mounted.value()->verify({});
    ASSERT_TRUE(report.has_value());
    for (const std::string& problem : report.value().problems) problems.insert(problem);
  }
  const auto names = [&](const std::string& text) {
    return std::any_of(problems.begin(), problems.end(),
                       [&](const std::string& problem) { return problem.find(text) != std::string::npos; });
  };
  EXPECT_TRUE(names("/large: inode 2, bytes from 0:"));
  EXPECT_TRUE(names("/small: inode 3, bytes from 0:"));
}

TEST(Seal, MakesAVolumeReadOnlyAndNamesItsContents) {
  MemoryStore store(closed_sample().image);
  std::array<std::byte, 32> tag{};
  {
    const auto volume = testing::mount_sample(store).value();
    tag = volume->seal().value();
  }
  const auto again = testing::mount_sample(store);
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().system_code(), EROFS);
  const auto volume = testing::mount_sample(store, nullptr, Access::kReadOnly).value();
  EXPECT_TRUE(volume->information().sealed);
  EXPECT_EQ(volume->information().root_tag, tag);
  EXPECT_EQ(testing::dump(*volume, testing::Times::kLeftOut).value(), closed_sample().dump);
  MemoryStore other(closed_sample().image);
  const auto changed = testing::mount_sample(other).value();
  ASSERT_TRUE(changed->write(closed_sample().small, 0, testing::pattern(1, 1)).has_value());
  EXPECT_NE(changed->seal().value(), tag);
}

// The journal keeps what a lagging anchor may name, and makes writes wait for the anchor rather than forget it.
TEST(Anchor, MayLagBehindCheckpoints) {
  MemoryStore store(closed_sample().image);
  MemoryAnchor anchor = anchored_at(closed_sample().position);
  Bytes image;
  {
    const auto volume = testing::mount_sample(store, &anchor).value();
    for (std::uint64_t round = 0; round < 60; ++round) {
      ASSERT_TRUE(volume->write(closed_sample().small, 0, testing::pattern(100, round)).has_value());
      ASSERT_TRUE(volume->sync().has_value());
      if (round % 20 != 10) continue;
      ASSERT_TRUE(volume->checkpoint().has_value());
    }
    EXPECT_EQ(anchor.position->sequence, volume->position().sequence - 60) << "only the mount was anchored";
  }
  EXPECT_FALSE(testing::read_everything(store, &anchor).is_refused);
  // The same with a position in the middle that nobody ever had.
  MemoryAnchor wrong = anchor;
  wrong.position->chain_tag[3] ^= std::byte{1};
  expect_refused(testing::read_everything(store, &wrong), "fork");
}

TEST(Anchor, IsAskedBeforeTheJournalForgets) {
  MemoryStore store(closed_sample().image);
  MemoryAnchor anchor = anchored_at(closed_sample().position);
  const auto volume = testing::mount_sample(store, &anchor).value();
  anchor.is_broken = true;
  int failures = 0;
  for (std::uint64_t round = 0; round < 2'000 && failures == 0; ++round) {
    ASSERT_TRUE(volume->write(closed_sample().small, 0, testing::pattern(100, round)).has_value());
    const auto synced = volume->sync();
    failures += synced ? 0 : 1;
    if (synced) continue;
    EXPECT_NE(synced.error().message().find("anchor"), std::string::npos) << synced.error().message();
  }
  EXPECT_EQ(failures, 1) << "a ring that is full waits for the anchor";
  anchor.is_broken = false;
  EXPECT_TRUE(volume->sync().has_value()) << "and goes on when it is back";
  ASSERT_TRUE(volume->close().has_value());
  EXPECT_FALSE(testing::read_everything(store, &anchor).is_refused);
}

TEST(Mounts, MayBeManyMoreThanTheSuperblockHolds) {
  MemoryStore store(closed_sample().image);
  MemoryAnchor anchor = anchored_at(closed_sample().position);
  for (std::uint64_t round = 0; round < 300; ++round) {
    const auto volume = testing::mount_sample(store, &anchor);
    ASSERT_TRUE(volume.has_value()) << volume.error().message();
    ASSERT_TRUE(volume.value()->write(closed_sample().large, round % 40 * kPageSize, testing::pattern(5'000, round)));
    ASSERT_TRUE(round % 3 == 0 ? volume.value()->close().has_value() : volume.value()->sync().has_value());
  }
  const auto volume = testing::mount_sample(store, &anchor).value();
  const auto report = volume->verify({});
  ASSERT_TRUE(report.has_value());
  EXPECT_TRUE(report.value().problems.empty()) << report.value().problems.front();
}

}  // namespace
}  // namespace casemate::volume
