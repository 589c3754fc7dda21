#include "runtime/intercept/patch/patch_plan.h"

#include <gtest/gtest.h>

#include <vector>

namespace casemate::runtime {
namespace {

using Bytes = std::vector<std::uint8_t>;
constexpr std::uint64_t kSite = 0x10000;

// `before`: instructions before the call, nearest last.
PatchPlans plan(const std::vector<Bytes>& before, const Bytes& after, std::uint64_t targets = 0,
                std::uint64_t code_end = ~0ull) {
  Bytes window(kWindowBefore, 0x90);
  SiteProof proof{};
  proof.kind = ProofKind::kFunction;
  proof.code_end = code_end;
  proof.target_mask = targets;
  std::size_t size = 0;
  for (const Bytes& bytes : before) size += bytes.size();
  std::size_t offset = kWindowBefore - size;
  for (const Bytes& bytes : before) {
    for (const std::uint8_t byte : bytes) window[offset++] = byte;
  }
  for (std::size_t i = 0; i < before.size() && i < kMaxProvenBefore; ++i) {
    proof.before_size[proof.before_count++] = static_cast<std::uint8_t>(before[before.size() - 1 - i].size());
  }
  window.push_back(0x0f);
  window.push_back(0x05);
  window.insert(window.end(), after.begin(), after.end());
  return plan_patch({kSite, window, &proof});
}

const Bytes kMovNumber = {0xb8, 0x27, 0, 0, 0};
const Bytes kCompare = {0x48, 0x3d, 0, 0xf0, 0xff, 0xff};
const Bytes kClear = {0x31, 0xc0};
const Bytes kMove = {0x48, 0x89, 0xf8};
const Bytes kShortJump = {0xeb, 0};

TEST(PatchPlan, PrefersTheNumberAloneAndLeavesTheCall) {
  const PatchPlans plans = plan({kMove, kMovNumber}, kCompare);
  ASSERT_GE(plans.count, 1u);
  const PatchPlan& best = plans.plans[0];
  EXPECT_EQ(best.before_size, 5);
  EXPECT_EQ(best.before_count, 1);
  EXPECT_EQ(best.after_count, 0);
  EXPECT_FALSE(best.covers_call);
  EXPECT_EQ(best.pattern.mask, 0u);
}

TEST(PatchPlan, CoversTheCompareBehindWhenABranchStandsBefore) {
  const PatchPlans plans = plan({kShortJump}, kCompare);
  ASSERT_EQ(plans.count, 1u);
  EXPECT_EQ(plans.plans[0].before_size, 0);
  EXPECT_EQ(plans.plans[0].after_count, 1);
  EXPECT_EQ(plans.plans[0].covered_size, 8);
  EXPECT_EQ(plans.plans[0].pattern.mask, 0x0000ff00u);  // the return address is the jump's third byte
  EXPECT_EQ(plans.plans[0].pattern.value, 0x0000cc00u);
}

TEST(PatchPlan, FixesEveryInnerBoundary) {
  const PatchPlans plans = plan({kShortJump, kClear}, {0xc3});
  ASSERT_EQ(plans.count, 1u);
  EXPECT_EQ(plans.plans[0].pattern.mask, 0xff00ff00u);
  EXPECT_EQ(plans.plans[0].pattern.value, 0xcc00cc00u);
  EXPECT_TRUE(plans.plans[0].ends_in_return);
}

TEST(PatchPlan, NeverMovesBranches) {
  EXPECT_EQ(plan({kShortJump}, {0x74, 0x05, 0x90, 0x90}).count, 0u);
  EXPECT_EQ(plan({kShortJump}, {0xe8, 0, 0, 0, 0}).count, 0u);
  EXPECT_EQ(plan({kShortJump}, {0x0f, 0x05, 0x90, 0x90}).count, 0u);
  EXPECT_EQ(plan({kShortJump}, {0x0f, 0x0b, 0x90, 0x90}).count, 0u);
}

TEST(PatchPlan, NeverCoversWhatLiesBehindTheFunctionOrAReturn) {
  EXPECT_EQ(plan({kShortJump}, kCompare, 0, kSite + 2).count, 0u);
  EXPECT_EQ(plan({kShortJump}, {0xc3, 0x90, 0x90, 0x90}).count, 0u);
}

TEST(PatchPlan, AvoidsBoundariesThatBranchesHit) {
  const std::uint64_t call_is_target = 1ull << kTargetRange;
  const PatchPlans plans = plan({kMovNumber}, kCompare, call_is_target);
  ASSERT_EQ(plans.count, 2u);
  EXPECT_EQ(plans.plans[0].before_size, 0);
  EXPECT_EQ(plans.plans[1].before_size, 5);
}

TEST(PatchPlan, LeavesTheReturnFromSignalHandlersAlone) {
  EXPECT_EQ(plan({{0x48, 0xc7, 0xc0, 15, 0, 0, 0}}, kCompare).count, 0u);
  EXPECT_EQ(plan({{0xb8, 15, 0, 0, 0}}, kCompare).count, 0u);
}

TEST(PatchPlan, NeedsTheWholeCallInTheWindow) {
  SiteProof proof{};
  const Bytes window(kWindowBefore + 1, 0x90);
  EXPECT_EQ(plan_patch({kSite, window, &proof}).count, 0u);
}

}  // namespace
}  // namespace casemate::runtime
