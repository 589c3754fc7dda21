// Power failures: a workload is recorded, then every state is tried in which the store could be found afterwards. Each
// must mount, hold all that was synced, be the state after some whole operation, verify without findings, and be
// usable. Seeds and counts are printed; CASEMATE_CRASH_SEED and CASEMATE_CRASH_STATES (per workload) choose others.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <iostream>
#include <thread>

#include "volume/format.h"
#include "volume/testing/crash_store.h"

namespace casemate::volume {
namespace {

using testing::CrashStates;
using testing::Operation;
using testing::OperationKind;
using testing::Random;
using testing::StoreEvent;
using testing::TraceStore;

// Remembers after which event each position was stored.
class TimedAnchor : public Anchor {
 public:
  explicit TimedAnchor(const TraceStore& store) : store_(store) {}
  void bind(const std::array<std::byte, 16>&) override {}
  Result<std::optional<Position>> load() override { return at(~std::size_t{0}); }
  Result<void> store(const Position& position) override {
    positions_.emplace_back(store_.event_count(), position);
    return {};
  }
  std::optional<Position> at(std::size_t point) const {
    std::optional<Position> newest = first;
    for (const auto& [event, position] : positions_) {
      if (event <= point) newest = position;
    }
    return newest;
  }
  std::optional<Position> first;

 private:
  const TraceStore& store_;
  std::vector<std::pair<std::size_t, Position>> positions_;
};

// The volume's state after one operation, and which store events it caused.
struct Mark {
  std::size_t begin = 0, end = 0;
  std::string dump;
  bool is_synced = false;
};

struct Trace {
  Bytes base;
  std::unique_ptr<TraceStore> store;
  std::unique_ptr<TimedAnchor> anchor;
  std::vector<Mark> marks;
};

const testing::CountingClock& test_clock() {
  static const testing::CountingClock clock;
  return clock;
}

Bytes empty_volume() {
  // Images come and go by the thousand: giving their pages back to the kernel each time costs more than the tests.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);

  testing::MemoryStore store;
  const auto created = Volume::create(store, test_clock(), testing::test_key(), testing::small_volume());
  EXPECT_TRUE(created.has_value()) << created.error().message();
  return std::move(store.bytes());
}

Result<std::unique_ptr<Volume>> mount(ByteStore& store, Anchor* anchor) {
  MountOptions options;
  options.anchor = anchor;
  return Volume::mount(store, test_clock(), testing::test_key(), options);
}

class Recorder {
 public:
  explicit Recorder(std::uint64_t seed) : random_(seed) {
    trace_.base = empty_volume();
    trace_.store = std::make_unique<TraceStore>(trace_.base);
    trace_.anchor = std::make_unique<TimedAnchor>(*trace_.store);
    open();
    note(0, true);
  }
  void run(const Operation& operation) {
    const std::size_t begin = trace_.store->event_count();
    const std::string result = runner_->run(operation);
    EXPECT_EQ(result.find("failed"), std::string::npos) << result;
    const bool synced = operation.kind == OperationKind::kSync || operation.kind == OperationKind::kCheckpoint;
    note(begin, synced);
    if (!synced || testing::below(random_, 2) == 0) return;
    const Position position = volume_->position();
    EXPECT_TRUE(trace_.anchor->store(position).has_value());
    volume_->acknowledge(position);
  }
  void run_random(int count, testing::Selection selection) {
    for (int step = 0; step < count; ++step) {
      if (testing::below(random_, 50) == 0) remount();
      run(testing::choose(random_, selection));
    }
  }
  // A checkpoint, with other operations between all of its writes and flushes.
  void run_checkpoint_between(int count) {
    Operation operation;
    operation.kind = OperationKind::kSync;
    run(operation);  // so that the checkpoint has no record to write, during which nobody else can sync
    trace_.store->meanwhile_from = kJournalUnit * kUnitSize + testing::small_volume().journal_size;
    trace_.store->meanwhile = [this, count] {
      for (int step = 0; step < count; ++step) {
        Operation other = testing::choose(random_, testing::Selection::kAtomic);
        if (other.kind == OperationKind::kCheckpoint) other.kind = OperationKind::kWrite;
        if (step % 5 == 4) other.kind = OperationKind::kSync;
        run(other);
      }
    };
    operation.kind = OperationKind::kCheckpoint;
    run(operation);
    trace_.store->meanwhile = nullptr;
  }
  // Ends the mount, cleanly or (after a sync) as if killed.
  void remount() {
    const std::size_t begin = trace_.store->event_count();
    if (testing::below(random_, 2) == 0) {
      EXPECT_TRUE(volume_->close().has_value());
    } else {
      EXPECT_TRUE(volume_->sync().has_value());
    }
    note_dump(begin, trace_.marks.back().dump, true);
    volume_.reset();
    open();
    note(begin, true);
  }
  Trace finish() {
    volume_.reset();
    return std::move(trace_);
  }
  Volume& volume() { return *volume_; }

 private:
  void open() {
    auto mounted = mount(*trace_.store, trace_.anchor.get());
    ASSERT_TRUE(mounted.has_value()) << mounted.error().message();
    volume_ = std::move(mounted).value();
    if (!runner_) runner_ = std::make_unique<testing::Runner>(*volume_);
    runner_->use(*volume_);
  }
  void note(std::size_t begin, bool is_synced) {
    const auto dumped = testing::dump(*volume_, testing::Times::kIncluded);
    ASSERT_TRUE(dumped.has_value()) << dumped.error().message();
    // Operations that were refused make no new state.
    if (!trace_.marks.empty() && !is_synced && trace_.marks.back().dump == dumped.value()) return;
    note_dump(begin, dumped.value(), is_synced);
  }
  void note_dump(std::size_t begin, const std::string& dump, bool is_synced) {
    trace_.marks.push_back({begin, trace_.store->event_count(), dump, is_synced});
  }

  Random random_;
  Trace trace_;
  std::unique_ptr<Volume> volume_;
  std::unique_ptr<testing::Runner> runner_;
};

// What must and what may be there when the power fails at `point`.
struct Allowed {
  std::size_t first = 0, last = 0;  // marks
};
Allowed allowed_at(const Trace& trace, std::size_t point) {
  Allowed allowed;
  for (std::size_t index = 0; index < trace.marks.size(); ++index) {
    const Mark& mark = trace.marks[index];
    if (mark.is_synced && mark.end <= point) allowed.first = index;
    if (mark.begin < point || index == 0) allowed.last = index;
  }
  allowed.last = std::max(allowed.last, allowed.first);
  return allowed;
}

void check_usable(Volume& volume) {
  const auto made = volume.create_node(kRootInode, "after the crash", {S_IFREG | 0644, 0, 0, 0, ""});
  ASSERT_TRUE(made.has_value()) << made.error().message();
  const Bytes data = testing::pattern(30'000, 77);
  ASSERT_TRUE(volume.write(made.value().inode, 0, data).has_value());
  ASSERT_TRUE(volume.sync().has_value());
  Bytes back(data.size());
  ASSERT_TRUE(volume.read(made.value().inode, 0, back).has_value());
  ASSERT_EQ(back, data);
}

// Mounts, verifies, and gives what is there. Empty after a failure.
std::string recover(ByteStore& store, Anchor& anchor, bool then_use) {
  std::string found;
  [&] {
    auto mounted = mount(store, &anchor);
    ASSERT_TRUE(mounted.has_value()) << mounted.error().message();
    Volume& volume = *mounted.value();
    const auto dumped = testing::dump(volume, testing::Times::kIncluded);
    ASSERT_TRUE(dumped.has_value()) << dumped.error().message();
    const auto report = volume.verify({});
    ASSERT_TRUE(report.has_value()) << report.error().message();
    ASSERT_TRUE(report.value().problems.empty()) << report.value().problems.front();
    if (then_use) check_usable(volume);
    found = dumped.value();
  }();
  return found;
}

// Recovers, then lets the power fail again during that recovery: the second one must find the same.
void check_state(const Trace& trace, const Bytes& image, std::size_t point, Random& random, bool crash_again) {
  const Allowed allowed = allowed_at(trace, point);
  TraceStore store(image);
  TimedAnchor anchor(store);
  anchor.first = trace.anchor->at(point);
  const bool then_use = !crash_again && testing::below(random, 8) == 0;
  const std::string found = recover(store, anchor, then_use);
  ASSERT_FALSE(::testing::Test::HasFailure()) << "crash after event " << point;
  bool matches = false;
  for (std::size_t index = allowed.first; index <= allowed.last; ++index) matches |= trace.marks[index].dump == found;
  ASSERT_TRUE(matches) << "crash after event " << point << ": not the state after any operation from mark "
                       << allowed.first << " to " << allowed.last << "; found\n"
                       << found << "\nsynced\n"
                       << trace.marks[allowed.first].dump;
  if (!crash_again || store.event_count() == 0) return;
  CrashStates states(image, store.events());
  const std::size_t second_point = testing::below(random, store.event_count() + 1);
  states.advance(second_point);
  TraceStore second_store(states.random_image(random));
  TimedAnchor second_anchor(second_store);
  second_anchor.first = anchor.at(second_point);
  ASSERT_EQ(recover(second_store, second_anchor, false), found)
      << "crash after event " << point << ", again after event " << second_point << " of the recovery";
}

void check_random_states(const Trace& trace, std::uint64_t count, Random& random) {
  std::vector<std::size_t> points;
  for (std::uint64_t state = 0; state < count; ++state) {
    points.push_back(testing::below(random, trace.store->event_count() + 1));
  }
  std::sort(points.begin(), points.end());
  CrashStates states(trace.base, trace.store->events());
  for (const std::size_t point : points) {
    states.advance(point);
    check_state(trace, states.random_image(random), point, random, testing::below(random, 4) == 0);
    if (::testing::Test::HasFailure()) return;
  }
}

// --- tests

class RandomCrash : public ::testing::TestWithParam<int> {};

TEST_P(RandomCrash, LosesNothingSynced) {
  const std::uint64_t seed =
      testing::from_environment("CASEMATE_CRASH_SEED", 20'261'123) + static_cast<std::uint64_t>(GetParam());
  const std::uint64_t wanted = testing::from_environment("CASEMATE_CRASH_STATES", 750);
  Random random(seed);
  constexpr std::uint64_t kRounds = 3;
  std::size_t changes = 0;
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    Recorder recorder(random());
    for (const Operation& operation : testing::prelude()) recorder.run(operation);
    recorder.run_random(250, testing::Selection::kAtomic);
    const Trace trace = recorder.finish();
    if (HasFailure()) return;
    changes += trace.marks.size();
    check_random_states(trace, wanted / kRounds, random);
    ASSERT_FALSE(HasFailure()) << "seed " << seed;
  }
  std::cout << "crash simulator: " << wanted / kRounds * kRounds << " states between " << changes
            << " operations that changed something, seed " << seed << "\n";
  EXPECT_GT(changes, 100U);
}
INSTANTIATE_TEST_SUITE_P(Seeds, RandomCrash, ::testing::Range(0, 12));

// All subsets of the loose sectors where there are few, else all that lack or have one, and all prefixes.
std::uint64_t check_all_states(const Trace& trace, std::size_t point, CrashStates& states, Random& random) {
  const std::size_t count = states.loose().size();
  std::uint64_t checked = 0;
  const auto check = [&](const auto& keep) {
    if (::testing::Test::HasFailure()) return;
    check_state(trace, states.image(keep), point, random, false);
    ++checked;
  };
  if (count <= 8) {
    for (std::uint64_t subset = 0; subset < std::uint64_t{1} << count; ++subset) {
      check([&](std::size_t index) { return (subset >> index & 1) != 0; });
    }
    return checked;
  }
  for (std::size_t chosen = 0; chosen <= count; ++chosen) {
    check([&](std::size_t index) { return index < chosen; });
    check([&](std::size_t index) { return index >= chosen; });
    check([&](std::size_t index) { return index == chosen; });
    check([&](std::size_t index) { return index != chosen; });
  }
  return checked;
}

TEST(ExhaustiveCrash, LosesNothingSynced) {
  Recorder recorder(1);
  const auto operation = [](OperationKind kind, const char* path, std::uint64_t offset, std::uint64_t size) {
    Operation made;
    made.kind = kind;
    made.path = path;
    made.second_path = "/moved";
    made.mode = S_IFREG | 0644;
    made.offset = offset;
    made.size = size;
    made.seed = 1;
    return made;
  };
  for (const Operation& step :
       {operation(OperationKind::kCreate, "/a", 0, 0), operation(OperationKind::kWrite, "/a", 0, 9'000),
        operation(OperationKind::kSync, "", 0, 0), operation(OperationKind::kWrite, "/a", 4'096, 4'096),
        operation(OperationKind::kRename, "/a", 0, 0), operation(OperationKind::kSync, "", 0, 0),
        operation(OperationKind::kWrite, "/moved", 100, 30'000), operation(OperationKind::kCheckpoint, "", 0, 0),
        operation(OperationKind::kResize, "/moved", 5'000, 0), operation(OperationKind::kSync, "", 0, 0)}) {
    recorder.run(step);
  }
  const Trace trace = recorder.finish();
  ASSERT_FALSE(HasFailure());
  Random random(2);
  CrashStates states(trace.base, trace.store->events());
  std::uint64_t checked = 0;
  for (std::size_t point = 0; point <= trace.store->event_count(); ++point) {
    states.advance(point);
    checked += check_all_states(trace, point, states, random);
    ASSERT_FALSE(HasFailure()) << "point " << point;
  }
  std::cout << "crash simulator: " << checked << " states of a short trace, all that there are or single faults\n";
}

TEST(CrashDuringCreate, LeavesNoVolumeOrAWholeOne) {
  TraceStore store;
  ASSERT_TRUE(Volume::create(store, test_clock(), testing::test_key(), testing::small_volume()).has_value());
  Random random(3);
  CrashStates states({}, store.events());
  int mounted_count = 0, state_count = 0;
  for (std::size_t point = 0; point <= store.event_count(); ++point) {
    states.advance(point);
    for (int round = 0; round < 40; ++round, ++state_count) {
      testing::MemoryStore image(states.random_image(random));
      const auto mounted = mount(image, nullptr);
      if (!mounted) {
        ASSERT_LT(point, store.event_count()) << mounted.error().message();
        continue;
      }
      ++mounted_count;
      ASSERT_TRUE(mounted.value()->verify({}).value().problems.empty());
    }
  }
  EXPECT_GT(mounted_count, 0);
  std::cout << "crash simulator: " << state_count << " states during create\n";
}

// Deterministic: what a checkpoint writes and what others do meanwhile cross at every point of it.
TEST(InterleavedCrash, LosesNothingSyncedWithinCheckpoints) {
  const std::uint64_t seed = testing::from_environment("CASEMATE_CRASH_SEED", 20'261'123);
  Random random(seed);
  std::uint64_t checked = 0;
  for (int round = 0; round < 6; ++round) {
    Recorder recorder(random());
    for (const Operation& operation : testing::prelude()) recorder.run(operation);
    for (int checkpoint = 0; checkpoint < 6; ++checkpoint) {
      recorder.run_random(10, testing::Selection::kAtomic);
      recorder.run_checkpoint_between(15);
    }
    const Trace trace = recorder.finish();
    ASSERT_FALSE(HasFailure());
    check_random_states(trace, 300, random);
    ASSERT_FALSE(HasFailure()) << "seed " << seed;
    checked += 300;
  }
  std::cout << "crash simulator: " << checked << " states within checkpoints, seed " << seed << "\n";
}

// One thread syncs its file, the other makes checkpoints: what is in flight at the same time crosses.
TEST(ConcurrentCrash, LosesNothingSyncedBesideCheckpoints) {
  const std::uint64_t seed = testing::from_environment("CASEMATE_CRASH_SEED", 20'261'123);
  Random random(seed);
  std::uint64_t checked = 0;
  for (int round = 0; round < 4; ++round) {
    Recorder recorder(random());
    std::atomic<bool> is_over = false;
    std::thread checkpoints([&] {
      while (!is_over) EXPECT_TRUE(recorder.volume().checkpoint().has_value());
    });
    for (const Operation& operation : testing::prelude()) recorder.run(operation);
    for (int step = 0; step < 60; ++step) recorder.run(testing::choose(random, testing::Selection::kAtomic));
    is_over = true;
    checkpoints.join();
    const Trace trace = recorder.finish();
    ASSERT_FALSE(HasFailure());
    check_random_states(trace, 300, random);
    ASSERT_FALSE(HasFailure()) << "seed " << seed;
    checked += 300;
  }
  std::cout << "crash simulator: " << checked << " states beside checkpoints, seed " << seed << "\n";
}

}  // namespace
}  // namespace casemate::volume
