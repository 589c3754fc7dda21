// What reports of positions do while the CAS is away, comes back, comes back older, or has given the volume away.
#include "keeper/provision/cas_anchor.h"

#include <gtest/gtest.h>

#include <deque>

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
};

class SimulatedLink final : public CasLink {
 public:
  explicit SimulatedLink(SimulatedCas& cas) : cas_(cas) {}
  Result<protocol::TagAnswer> report(const TagUpdate& update) override {
    if (!cas_.is_there) return Error(ErrorCategory::kSystem, "gone");
    if (cas_.accepts) cas_.taken.push_back(update);
    return protocol::TagAnswer{cas_.accepts};
  }

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
    limits.longest_wait = std::chrono::hours(1);
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

TEST(PositionReporter, FailsWhenAnOutageIsLongAndRecoversWhenItEnds) {
  SimulatedCas cas;
  bool is_back = false;
  PositionReporter::Limits limits;
  limits.longest_wait = limits.longest_pause = std::chrono::milliseconds(0);
  PositionReporter reporter(
      std::make_unique<SimulatedLink>(cas),
      [&]() -> Result<Rejoined> {
        if (!is_back) return Error(ErrorCategory::kSystem, "not now");
        cas.is_there = true;
        return Rejoined{std::make_unique<SimulatedLink>(cas), {}};
      },
      [](const std::string&) {}, limits);
  cas.is_there = false;
  EXPECT_FALSE(reporter.report("data", {1, 1, {}}, VolumeCasLoss::kWait));
  is_back = true;
  EXPECT_TRUE(reporter.report("data", {1, 2, {}}, VolumeCasLoss::kWait));
}

}  // namespace
}  // namespace casemate::keeper
