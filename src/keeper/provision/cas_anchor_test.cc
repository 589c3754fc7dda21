// What reports of positions do while the CAS is away, comes back, comes back older, or has given the volume away.
#include "keeper/provision/cas_anchor.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <deque>
#include <future>

namespace casemate::keeper {
namespace {

using protocol::TagUpdate;
using protocol::VolumeCasLoss;

// The CAS, as its links see it.
struct SimulatedCas {
  bool is_there = true, accepts = true;
  std::vector<TagUpdate> taken;
  std::deque<Result<void>> rejoins;  // outcomes to come; then it can be joined
  int rejoin_count = 0;
  std::vector<TagUpdate> known;
  std::deque<Push> pushes;  // that wait to be taken
  UniqueFd signal{eventfd(0, EFD_CLOEXEC)};

  void push(std::uint64_t generation, const std::string& content) {
    push({generation, {{"/etc/key", 0400, content}}, ""});
  }
  void push(Push push) {
    pushes.push_back(std::move(push));
    const std::uint64_t one = 1;
    EXPECT_EQ(write(signal.get(), &one, sizeof(one)), ssize_t{sizeof(one)});
  }
};

class SimulatedLink final : public CasLink {
 public:
  explicit SimulatedLink(SimulatedCas& cas) : cas_(cas) {}
  Result<protocol::TagAnswer> report(const TagUpdate& update, const Take& take) override {
    if (auto taken = take_pushes(take); !taken) return taken.error();
    if (!cas_.is_there) return Error(ErrorCategory::kSystem, "gone");
    if (cas_.accepts) cas_.taken.push_back(update);
    return protocol::TagAnswer{cas_.accepts};
  }
  Result<void> take_pushes(const Take& take) override {
    std::uint64_t count = 0;
    if (!cas_.pushes.empty() && read(cas_.signal.get(), &count, sizeof(count)) < 0) std::abort();
    for (; !cas_.pushes.empty(); cas_.pushes.pop_front()) take(std::move(cas_.pushes.front()));
    return {};
  }
  int descriptor() const override { return cas_.signal.get(); }

 private:
  SimulatedCas& cas_;
};

class PositionReporterTest : public ::testing::Test {
 protected:
  PositionReporterTest() {
    const auto rejoin = [this]() -> Result<Rejoined> {
      ++cas_.rejoin_count;
      if (!cas_.rejoins.empty()) {
        const Result<void> outcome = cas_.rejoins.front();
        cas_.rejoins.pop_front();
        if (!outcome) return outcome.error();
      }
      cas_.is_there = true;
      return Rejoined{std::make_unique<SimulatedLink>(cas_), cas_.known};
    };
    PositionReporter::Limits limits;
    limits.first_pause = limits.longest_pause = std::chrono::milliseconds(1);
    reporter_ = std::make_unique<PositionReporter>(
        std::make_unique<SimulatedLink>(cas_), rejoin, [](const std::string&) {}, limits);
  }
  bool report(std::uint64_t sequence, VolumeCasLoss loss = VolumeCasLoss::kWait) {
    const Result<void> done = reporter_->report("data", {1, sequence, {}}, loss);
    if (!done) {
      EXPECT_EQ(done.error().system_code(), EIO);
    }
    return done.has_value();
  }
  static Error later() { return Error(ErrorCategory::kSystem, "not now"); }

  SimulatedCas cas_;
  std::unique_ptr<PositionReporter> reporter_;
};

TEST_F(PositionReporterTest, ReportsAgainWhatTheBrokenConnectionDidNotAnswer) {
  EXPECT_TRUE(report(1));
  cas_.known = {{"data", {1, 1, {}}}};
  cas_.is_there = false;
  cas_.rejoins = {later(), later(), later()};
  EXPECT_TRUE(report(2));
  EXPECT_EQ(cas_.rejoin_count, 4);
  ASSERT_EQ(cas_.taken.size(), 2U);
  EXPECT_EQ(cas_.taken.back().tag.sequence, 2U);
}

TEST_F(PositionReporterTest, StopsForGoodWhereTheSessionSaysSo) {
  cas_.is_there = false;
  EXPECT_FALSE(report(1, VolumeCasLoss::kStop));
  cas_.is_there = true;
  EXPECT_FALSE(report(2, VolumeCasLoss::kStop));
  EXPECT_EQ(cas_.rejoin_count, 0);
}

TEST_F(PositionReporterTest, GoesOnInsecurelyWhereTheSessionSaysSo) {
  cas_.is_there = false;
  cas_.rejoins = {later()};
  EXPECT_TRUE(report(1, VolumeCasLoss::kInsecureContinue));
  EXPECT_TRUE(cas_.taken.empty());
  while (cas_.taken.empty()) EXPECT_TRUE(report(2, VolumeCasLoss::kInsecureContinue));
  EXPECT_EQ(cas_.taken.back().tag.sequence, 2U);
}

TEST_F(PositionReporterTest, IsToldForGoodThatANewerActivationHasTheVolume) {
  cas_.accepts = false;
  EXPECT_FALSE(report(1));
  cas_.accepts = true;
  EXPECT_FALSE(report(2));
  EXPECT_EQ(cas_.rejoin_count, 0);
}

TEST_F(PositionReporterTest, AsksNoMoreOnceTheCasRefusesToGoOn) {
  EXPECT_TRUE(report(1));
  cas_.is_there = false;
  cas_.rejoins = {Error(ErrorCategory::kUsage, "refused")};
  for (const VolumeCasLoss loss : {VolumeCasLoss::kWait, VolumeCasLoss::kInsecureContinue})
    EXPECT_FALSE(report(2, loss));
  EXPECT_EQ(cas_.rejoin_count, 1);
}

TEST_F(PositionReporterTest, TrustsNoCasThatForgotWhatItAcknowledged) {
  const std::vector<std::vector<TagUpdate>> older = {
      {}, {{"data", {1, 4, {}}}}, {{"data", {0, 9, {}}}}, {{"x", {1, 9, {}}}}};
  for (const auto& known : older) {
    SimulatedCas cas;
    PositionReporter reporter(
        std::make_unique<SimulatedLink>(cas),
        [&]() -> Result<Rejoined> {
          cas.is_there = true;
          return Rejoined{std::make_unique<SimulatedLink>(cas), known};
        },
        [](const std::string&) {}, {});
    EXPECT_TRUE(reporter.report("data", {1, 5, {}}, VolumeCasLoss::kWait));
    cas.is_there = false;
    const Result<void> done = reporter.report("data", {1, 6, {}}, VolumeCasLoss::kWait);
    ASSERT_FALSE(done);
    EXPECT_NE(done.error().message().find("rolled back"), std::string::npos);
    EXPECT_FALSE(reporter.report("data", {1, 7, {}}, VolumeCasLoss::kInsecureContinue));
    EXPECT_EQ(cas.taken.size(), 1U);
  }
}

TEST_F(PositionReporterTest, FailsOnceNobodyIsLeftThatWaits) {
  PositionReporter::Limits limits;
  limits.longest_farewell = limits.first_pause = limits.longest_pause = std::chrono::milliseconds(0);
  bool is_used = true;
  int tries = 0;
  PositionReporter reporter(
      std::make_unique<SimulatedLink>(cas_),
      [&]() -> Result<Rejoined> {
        is_used = ++tries < 100;  // as long as the application is there it waits, however long that is
        return later();
      },
      [](const std::string&) {}, limits);
  reporter.watch({}, [&] { return is_used; });
  reporter.stop_watching();
  cas_.is_there = false;
  EXPECT_FALSE(reporter.report("data", {1, 1, {}}, VolumeCasLoss::kWait));
  EXPECT_GE(tries, 100);
}

TEST_F(PositionReporterTest, TakesPushesOnceAndNoOlderOnes) {
  std::vector<std::string> seen;
  const auto renew = [&](const std::vector<protocol::GrantedFile>& files) { seen.push_back(files.front().content); };
  cas_.push(7, "new");
  cas_.push(6, "older");
  cas_.push(8, "newer");
  cas_.push(7, "older, too");
  reporter_->watch(renew, [] { return true; });
  EXPECT_TRUE(report(1));
  reporter_->stop_watching();
  EXPECT_EQ(seen, (std::vector<std::string>{"new", "newer"}));
}

TEST_F(PositionReporterTest, TakesPushesByItself) {
  std::promise<std::string> content;
  reporter_->watch([&](const std::vector<protocol::GrantedFile>& files) { content.set_value(files.front().content); },
                   [] { return true; });
  cas_.push(1, "new");
  EXPECT_EQ(content.get_future().get(), "new");
}

TEST_F(PositionReporterTest, LosesItsVolumesWhenItIsRevoked) {
  EXPECT_TRUE(report(1));
  cas_.push(Push{0, {}, "0123456789abcdef"});
  const Result<void> done = reporter_->report("data", {1, 2, {}}, VolumeCasLoss::kWait);
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message().find("revoked this service (reference 0123456789abcdef)"), std::string::npos);
  EXPECT_FALSE(report(3, VolumeCasLoss::kInsecureContinue));
  EXPECT_EQ(cas_.rejoin_count, 0);
}

}  // namespace
}  // namespace casemate::keeper
