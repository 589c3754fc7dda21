// Every host call fails once, in turn: with an I/O error, for lack of space, or half done. The call that needed it
// reports the errno; nothing synced is lost; the volume goes on or stops cleanly.
#include <gtest/gtest.h>

#include <iostream>

#include "volume/testing/sample.h"

namespace casemate::volume {
namespace {

using testing::MemoryStore;
using testing::Operation;
using testing::OperationKind;
using testing::Random;

enum class Fault { kInputOutput, kNoSpace, kShortWrite };

class FaultyStore : public MemoryStore {
 public:
  using MemoryStore::MemoryStore;

  Result<void> read(std::uint64_t offset, std::span<std::byte> out) const override {
    if (fails()) return error();
    return MemoryStore::read(offset, out);
  }
  Result<void> write(std::uint64_t offset, std::span<const std::byte> data) override {
    if (!fails()) return MemoryStore::write(offset, data);
    if (fault == Fault::kShortWrite) (void)MemoryStore::write(offset, data.first(data.size() / 2));
    return error();
  }
  Result<void> flush() override {
    if (fails()) return error();
    return MemoryStore::flush();
  }
  Result<void> resize(std::uint64_t size) override {
    if (fails()) return error();
    return MemoryStore::resize(size);
  }

  Fault fault = Fault::kInputOutput;
  std::uint64_t failing_call = ~std::uint64_t{0};
  // From the failing call on, or that one alone.
  bool for_good = false;
  // While the test itself looks.
  bool is_paused = false;
  std::uint64_t calls() const { return calls_; }
  bool has_failed() const { return calls_ > failing_call; }

 private:
  bool fails() const {
    if (is_paused) return false;
    const std::uint64_t call = calls_++;
    return for_good ? call >= failing_call : call == failing_call;
  }
  int code() const { return fault == Fault::kNoSpace ? ENOSPC : EIO; }
  Error error() const { return Error::from_errno("the host refuses", code()); }

  mutable std::uint64_t calls_ = 0;
};

struct Workload {
  std::vector<std::string> dumps;  // after each operation, as far as they could be read
  std::size_t synced = 0;          // index of the newest durable one
  std::vector<std::string> oddities;
};

// The same operations each time, on a volume that is mounted first.
Workload run_workload(FaultyStore& store) {
  Workload run;
  const auto mounted = testing::mount_sample(store);
  if (!mounted) return run;
  Volume& volume = *mounted.value();
  testing::Runner runner(volume);
  Random random(99);
  const auto note = [&] {
    store.is_paused = true;
    const auto dumped = testing::dump(volume, testing::Times::kLeftOut);
    store.is_paused = false;
    if (dumped && (run.dumps.empty() || run.dumps.back() != dumped.value())) run.dumps.push_back(dumped.value());
    return dumped.has_value();
  };
  note();
  std::vector<Operation> operations = testing::prelude();
  while (operations.size() < 140) operations.push_back(testing::choose(random, testing::Selection::kAtomic));
  for (const Operation& operation : operations) {
    const std::string result = runner.run(operation);
    const bool is_durable = result == "synced" || result == "checkpoint";
    if (note() && is_durable) run.synced = run.dumps.size() - 1;
    if (result == "error " + std::to_string(ENOSPC) && store.fault != Fault::kNoSpace) run.oddities.push_back(result);
    if (result == "error " + std::to_string(EIO) && !store.has_failed()) run.oddities.push_back(result);
  }
  return run;
}

void check_what_remains(FaultyStore& store, const Workload& run, const std::string& where, const std::string& before) {
  store.failing_call = ~std::uint64_t{0};
  const auto mounted = testing::mount_sample(store);
  ASSERT_TRUE(mounted.has_value()) << where << ": " << mounted.error().message();
  const auto found = testing::dump(*mounted.value(), testing::Times::kLeftOut);
  ASSERT_TRUE(found.has_value()) << where << ": " << found.error().message();
  bool matches = run.dumps.empty() && found.value() == before;
  for (std::size_t index = run.synced; index < run.dumps.size(); ++index) matches |= run.dumps[index] == found.value();
  ASSERT_TRUE(matches) << where << ": lost something\n" << found.value();
  const auto report = mounted.value()->verify({});
  ASSERT_TRUE(report.has_value() && report.value().problems.empty())
      << where << ": " << report.value().problems.front();
  const auto made = mounted.value()->create_node(kRootInode, "still alive", {S_IFREG | 0644, 0, 0, 0, ""});
  ASSERT_TRUE(made.has_value() && mounted.value()->sync().has_value()) << where;
}

// Kind, for good or once, and which part of the calls (so that each test is short).
constexpr int kParts = 4;
class Faults : public ::testing::TestWithParam<std::tuple<Fault, bool, int>> {};

TEST_P(Faults, LoseNothingSynced) {
  const testing::Sample sample = testing::make_sample(testing::Ending::kCrashed).value();
  FaultyStore control(sample.image);
  const Workload healthy = run_workload(control);
  ASSERT_GT(healthy.dumps.size(), 10U);
  ASSERT_TRUE(healthy.oddities.empty());
  const std::uint64_t calls = control.calls();
  ASSERT_GT(calls, 60U);
  std::uint64_t failed_count = 0;
  // Each call once; for the other kinds of failure, some of them.
  const auto [fault, for_good, part] = GetParam();
  const bool is_first = fault == Fault::kInputOutput && !for_good;
  for (std::uint64_t call = static_cast<unsigned>(part); call < calls; call += is_first ? kParts : 2 * kParts) {
    FaultyStore store(sample.image);
    store.fault = fault;
    store.for_good = for_good;
    store.failing_call = call;
    ++failed_count;
    const Workload run = run_workload(store);
    const std::string where = "call " + std::to_string(call);
    EXPECT_TRUE(run.oddities.empty()) << where << ": " << run.oddities.front();
    check_what_remains(store, run, where, sample.dump);
    if (HasFailure()) return;
  }
  std::cout << "faults: " << failed_count << " of " << calls << " host calls failed in turn\n";
}
INSTANTIATE_TEST_SUITE_P(Kinds, Faults,
                         ::testing::Combine(::testing::Values(Fault::kInputOutput, Fault::kNoSpace, Fault::kShortWrite),
                                            ::testing::Bool(), ::testing::Range(0, kParts)));

// The host's disk is full: programs get ENOSPC when they write, never when they sync; and go on once there is room.
TEST(FullHost, RefusesWritesAndNotSyncs) {
  class SmallDisk : public MemoryStore {
   public:
    using MemoryStore::MemoryStore;
    Result<void> resize(std::uint64_t size) override {
      if (size > limit) return Error::from_errno("cannot allocate", ENOSPC);
      return MemoryStore::resize(size);
    }
    std::uint64_t limit = std::uint64_t{10} << 20;
  };
  SmallDisk store(testing::make_sample(testing::Ending::kClosed).value().image);
  const auto volume = testing::mount_sample(store).value();
  const InodeNumber file = volume->create_node(kRootInode, "f", {S_IFREG | 0644, 0, 0, 0, ""}).value().inode;
  std::uint64_t offset = 0;
  int refusal = 0;
  std::string text;
  while (refusal == 0) {
    const auto written = volume->write(file, offset, testing::pattern(100'000, offset));
    refusal = written ? 0 : written.error().system_code();
    if (!written) text = written.error().message();
    const auto synced = volume->sync();
    ASSERT_TRUE(synced.has_value()) << synced.error().message();
    if (refusal == 0) offset += 100'000;
  }
  EXPECT_EQ(refusal, ENOSPC);
  EXPECT_NE(text.find("host's disk"), std::string::npos) << text;
  EXPECT_GT(offset, std::uint64_t{4} << 20);
  // Replacing what is there needs no more room in the end.
  for (std::uint64_t round = 0; round < 200; ++round) {
    const auto written = volume->write(file, round * 20'000 % offset, testing::pattern(20'000, round));
    ASSERT_TRUE(written.has_value()) << written.error().message();
    ASSERT_TRUE(round % 3 != 0 || volume->sync().has_value());
  }
  store.limit *= 2;
  EXPECT_TRUE(volume->write(file, offset, testing::pattern(100'000, 1)).has_value());
  ASSERT_TRUE(volume->close().has_value());
  EXPECT_TRUE(testing::mount_sample(store).value()->verify({}).value().problems.empty());
}

// Many records between two checkpoints of a volume without room: replaying them must not need more.
TEST(FullVolume, IsRecovered) {
  MemoryStore store;
  CreateOptions options = testing::small_volume();
  options.maximum_size = std::uint64_t{8} << 20;
  options.journal_size = std::uint64_t{4} << 20;
  ASSERT_TRUE(Volume::create(store, testing::sample_clock(), testing::test_key(), options));
  auto volume = testing::mount_sample(store).value();
  const InodeNumber file = volume->create_node(kRootInode, "f", {S_IFREG | 0644, 0, 0, 0, ""}).value().inode;
  std::uint64_t size = 0;
  while (volume->write(file, size, testing::pattern(kPageSize, 0))) size += kPageSize;
  ASSERT_GT(size, std::uint64_t{2} << 20);
  ASSERT_TRUE(volume->checkpoint());
  for (std::uint64_t round = 1; !volume->wants_checkpoint(); ++round) {
    const auto written = volume->write(file, round * 7 * kPageSize % size, testing::pattern(kPageSize, round));
    ASSERT_TRUE(written.has_value()) << written.error().message();
    ASSERT_TRUE(volume->sync().has_value());
  }
  const std::string before = testing::dump(*volume, testing::Times::kIncluded).value();
  volume.reset();
  const auto again = testing::mount_sample(store);
  ASSERT_TRUE(again.has_value()) << again.error().message();
  EXPECT_EQ(testing::dump(*again.value(), testing::Times::kIncluded).value(), before);
  EXPECT_TRUE(again.value()->verify({}).value().problems.empty());
}

// Space that was promised is there, however full the volume gets.
TEST(PromisedSpace, IsThereWhenTheVolumeIsFull) {
  MemoryStore store(testing::make_sample(testing::Ending::kClosed).value().image);
  const auto volume = testing::mount_sample(store).value();
  const auto make = [&](const char* name) {
    return volume->create_node(kRootInode, name, {S_IFREG | 0644, 0, 0, 0, ""}).value().inode;
  };
  const InodeNumber promised = make("promised"), filler = make("filler");
  const std::size_t size = std::size_t{8} << 20;
  ASSERT_TRUE(volume->allocate(promised, 0, size, AllocateMode::kExtend).has_value());
  EXPECT_EQ(volume->allocate(filler, 0, std::uint64_t{1} << 40, AllocateMode::kExtend).error().system_code(), ENOSPC);
  for (std::uint64_t offset = 0; volume->write(filler, offset, testing::pattern(1 << 20, offset)); offset += 1 << 20) {
  }
  for (std::size_t offset = 0; offset < size; offset += 1 << 16) {
    const auto written = volume->write(promised, offset, testing::pattern(1 << 16, offset));
    ASSERT_TRUE(written.has_value()) << "at " << offset << ": " << written.error().message();
  }
  ASSERT_TRUE(volume->close().has_value());
  EXPECT_TRUE(testing::mount_sample(store).value()->verify({}).value().problems.empty());
}

}  // namespace
}  // namespace casemate::volume
