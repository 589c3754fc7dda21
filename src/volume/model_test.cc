// Random operations on the engine and on a model in memory: results are compared call by call, whole contents after
// every remount. CASEMATE_MODEL_SEED and CASEMATE_MODEL_STEPS choose others.
#include "volume/testing/model.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>

#include "volume/testing/sample.h"

namespace casemate::volume {
namespace {

using testing::MemoryStore;
using testing::Model;
using testing::Operation;
using testing::Random;
using testing::Runner;
using testing::Times;

class ModelTest : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    ASSERT_TRUE(Volume::create(store, testing::sample_clock(), testing::test_key(), testing::small_volume()));
    mount();
  }
  void mount() {
    volume.reset();
    MountOptions options;
    options.metadata_cache_size = 1;  // as small as can be, so that nodes come and go
    auto mounted = Volume::mount(store, testing::sample_clock(), testing::test_key(), options);
    ASSERT_TRUE(mounted.has_value()) << mounted.error().message();
    volume = std::move(mounted).value();
  }
  void compare_everything() {
    const auto found = testing::dump(*volume, Times::kLeftOut), expected = testing::dump(model, Times::kLeftOut);
    ASSERT_TRUE(found.has_value()) << found.error().message();
    ASSERT_EQ(found.value(), expected.value());
    const auto report = volume->verify({});
    ASSERT_TRUE(report.has_value()) << report.error().message();
    ASSERT_TRUE(report.value().problems.empty()) << report.value().problems.front();
  }
  void remount(Random& random) {
    switch (testing::below(random, 3)) {
      case 0:
        ASSERT_TRUE(volume->close().has_value());
        break;
      case 1:
        ASSERT_TRUE(volume->checkpoint().has_value());
        break;
      default:
        ASSERT_TRUE(volume->sync().has_value());
    }
    mount();
    model.sweep_orphans();
  }

  MemoryStore store;
  std::unique_ptr<Volume> volume;
  Model model;
};

TEST_P(ModelTest, AgreesCallByCall) {
  const std::uint64_t seed =
      testing::from_environment("CASEMATE_MODEL_SEED", 4'711) + static_cast<std::uint64_t>(GetParam());
  const std::uint64_t steps = testing::from_environment("CASEMATE_MODEL_STEPS", 6'000);
  Random random(seed);
  Runner on_volume(*volume), on_model(model);
  for (std::uint64_t step = 0; step < steps; ++step) {
    const Operation operation = testing::choose(random, testing::Selection::kAll);
    const std::string found = on_volume.run(operation), expected = on_model.run(operation);
    // What ends durability calls is not the model's business.
    ASSERT_EQ(found, expected) << "seed " << seed << ", step " << step << ": " << testing::describe(operation);
    if (testing::below(random, 400) != 0) continue;
    remount(random);
    on_volume.use(*volume);
    on_model.use(model);
    compare_everything();
    ASSERT_FALSE(HasFailure()) << "seed " << seed << ", step " << step;
  }
  compare_everything();
  std::cout << "model: " << steps << " operations, seed " << seed << "\n";
}
INSTANTIATE_TEST_SUITE_P(Seeds, ModelTest, ::testing::Range(0, 4));

TEST(Compact, KeepsEverythingAndGivesSpaceBack) {
  MemoryStore store(testing::make_sample(testing::Ending::kClosed).value().image);
  auto volume = testing::mount_sample(store).value();
  for (int number = 0; number < 12; ++number) {
    const InodeNumber file =
        volume->create_node(kRootInode, "f" + std::to_string(number), {S_IFREG | 0644, 0, 0, 0, ""}).value().inode;
    ASSERT_TRUE(volume->write(file, 0, testing::pattern(1 << 20, static_cast<std::uint64_t>(number))).has_value());
  }
  for (int number = 0; number < 12; ++number) {
    if (number % 3 == 2) continue;
    const InodeNumber gone = volume->unlink(kRootInode, "f" + std::to_string(number)).value().inode;
    ASSERT_TRUE(volume->release_orphan(gone).has_value());
  }
  const std::string before = testing::dump(*volume, Times::kIncluded).value();
  const std::size_t size = store.bytes().size();
  std::uint64_t last_done = 0;
  const auto given_back = volume->compact([&](std::uint64_t done, std::uint64_t) { last_done = done; });
  ASSERT_TRUE(given_back.has_value()) << given_back.error().message();
  EXPECT_GT(given_back.value(), std::uint64_t{4} << 20);
  EXPECT_EQ(store.bytes().size(), size - given_back.value());
  EXPECT_GT(last_done, 0U);
  EXPECT_EQ(testing::dump(*volume, Times::kIncluded).value(), before);
  volume.reset();
  volume = testing::mount_sample(store).value();
  EXPECT_EQ(testing::dump(*volume, Times::kIncluded).value(), before);
  EXPECT_TRUE(volume->verify({}).value().problems.empty());
  // And it grows again.
  ASSERT_TRUE(volume->write(2, 0, testing::pattern(std::size_t{20} << 20, 5)).has_value());
  ASSERT_TRUE(volume->close().has_value());
}

TEST(Grow, RaisesTheBoundForGood) {
  MemoryStore store(testing::make_sample(testing::Ending::kClosed).value().image);
  auto volume = testing::mount_sample(store).value();
  const std::uint64_t capacity = volume->statistics().value().capacity_bytes;
  ASSERT_TRUE(volume->grow(std::uint64_t{128} << 20).has_value());
  EXPECT_EQ(volume->grow(1 << 20).error().system_code(), EINVAL);
  volume.reset();
  volume = testing::mount_sample(store).value();
  EXPECT_EQ(volume->statistics().value().capacity_bytes, capacity + (std::uint64_t{64} << 20));
  EXPECT_EQ(volume->information().maximum_size, std::uint64_t{128} << 20);
}

TEST(Rekey, CopiesEverythingUnderTheOtherKey) {
  const testing::Sample sample = testing::make_sample(testing::Ending::kClosed).value();
  MemoryStore store(sample.image), copy;
  const auto volume = testing::mount_sample(store).value();
  ASSERT_TRUE(volume->link(sample.small, kRootInode, "second name").has_value());
  AttributeChange change;
  change.size = std::uint64_t{1} << 40;
  ASSERT_TRUE(volume->set_attributes(sample.small, change).has_value());
  CreateOptions options = testing::small_volume();
  std::uint64_t last_done = 0;
  const auto done = rekey(*volume, copy, testing::sample_clock(), testing::test_key(50), options,
                          [&](std::uint64_t bytes, std::uint64_t) { last_done = bytes; });
  ASSERT_TRUE(done.has_value()) << done.error().message();
  EXPECT_GT(last_done, 0U);
  EXPECT_FALSE(testing::mount_sample(copy).has_value()) << "the old key opens the copy";
  const auto copied = testing::mount_sample(copy, nullptr, Access::kReadWrite, 50).value();
  EXPECT_NE(copied->information().volume_id, volume->information().volume_id);
  EXPECT_TRUE(copied->verify({}).value().problems.empty());
  const InodeNumber small = copied->lookup(kRootInode, "small").value().inode;
  EXPECT_EQ(copied->lookup(kRootInode, "second name").value().inode, small);
  EXPECT_EQ(copied->attributes(small).value().size, std::uint64_t{1} << 40);
  EXPECT_EQ(copied->attributes(small).value().allocated_size, kPageSize);
  EXPECT_EQ(copied->attributes(small).value().modify_time, volume->attributes(sample.small).value().modify_time);
  EXPECT_EQ(copied->extended_attribute(small, "user.a").value(), testing::pattern(3'000, 3));
  Bytes contents(40 * kPageSize), expected(40 * kPageSize);
  ASSERT_TRUE(volume->read(sample.large, 0, expected).has_value());
  ASSERT_TRUE(copied->read(copied->lookup(kRootInode, "large").value().inode, 0, contents).has_value());
  EXPECT_EQ(contents, expected);
}

}  // namespace
}  // namespace casemate::volume
