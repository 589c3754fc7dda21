#include "casemate/launch.h"

#include <gtest/gtest.h>

#include <limits>
#include <set>

namespace casemate::cli {
namespace {

int choose(std::uint64_t limit, const std::set<int>& taken) {
  return choose_descriptors(limit, [&](int fd) { return taken.count(fd) == 0; });
}

TEST(ChooseDescriptors, SitsBelow1024OrTheLimit) {
  EXPECT_EQ(choose(1024, {}), 1008);
  EXPECT_EQ(choose(1048576, {}), 1008);
  EXPECT_EQ(choose(std::numeric_limits<std::uint64_t>::max(), {}), 1008);
  EXPECT_EQ(choose(256, {}), 240);
}

TEST(ChooseDescriptors, NeverTouchesInheritedDescriptors) {
  EXPECT_EQ(choose(1024, {1008}), 1004);
  EXPECT_EQ(choose(1024, {1011}), 1007);
  EXPECT_EQ(choose(1024, {1005, 1009}), 1001);
}

TEST(ChooseDescriptors, GoesUpWhenNothingIsFreeBelow) {
  std::set<int> taken;
  for (int fd = 0; fd < 1010; ++fd) taken.insert(fd);
  EXPECT_EQ(choose(1024, taken), 1010);
}

TEST(ChooseDescriptors, UsesTheVeryLastOnesUnderATinyLimit) {
  EXPECT_EQ(choose(7, {}), 3);
  EXPECT_EQ(choose(10, {0, 1, 2, 3, 4, 5}), 6);
}

TEST(ChooseDescriptors, SaysWhenThereAreNone) {
  EXPECT_EQ(choose(6, {}), -1);
  EXPECT_EQ(choose(0, {}), -1);
  EXPECT_EQ(choose(12, {4, 7, 10}), -1);
}

TEST(CheckKernel, AcceptsTheKernelTheTestsRunOn) {
  // Every other suite needs it, so a host without it shall fail here with the reason.
  const Result<void> kernel = check_kernel();
  EXPECT_TRUE(kernel.has_value()) << kernel.error().message();
}

}  // namespace
}  // namespace casemate::cli
