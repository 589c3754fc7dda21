#include "las/process_text.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace casemate::las {
namespace {

constexpr const char* kSmaps =
    "7f0000000000-7f0000001000 r-xp 00001000 fe:00 42                         /opt/a b/casemate-runtime\n"
    "Size:                  4 kB\nRss:                   4 kB\nAnonymous:             8 kB\nSwap:                  4 "
    "kB\n"
    "VmFlags: rd ex\n"
    "7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0                          [stack]\n"
    "Anonymous:             0 kB\nSwap:                  0 kB\n";

std::string own_file(const char* path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(ProcessText, ReadsMappingsWithTheirPrivatePages) {
  const auto mappings = parse_smaps(kSmaps);
  ASSERT_TRUE(mappings.has_value()) << mappings.error().message();
  ASSERT_EQ(mappings.value().size(), 2U);
  const Mapping& code = mappings.value()[0];
  EXPECT_EQ(code.start, 0x7f0000000000U);
  EXPECT_EQ(code.end, 0x7f0000001000U);
  EXPECT_EQ(code.offset, 0x1000U);
  EXPECT_EQ(code.permissions, "r-xp");
  EXPECT_EQ(code.device, "fe:00");
  EXPECT_EQ(code.inode, 42U);
  EXPECT_EQ(code.name, "/opt/a b/casemate-runtime");
  EXPECT_EQ(code.private_pages_kib, 12U);
  EXPECT_EQ(mappings.value()[1].name, "[stack]");
  EXPECT_EQ(mappings.value()[1].private_pages_kib, 0U);
}

TEST(ProcessText, RefusesSmapsThatLackACount) {
  std::string text = kSmaps;
  text.replace(text.find("Swap:"), 5, "Swop:");
  EXPECT_FALSE(parse_smaps(text).has_value());
  EXPECT_FALSE(parse_smaps("Anonymous: 0 kB\n").has_value());
  EXPECT_FALSE(parse_smaps("7f00-7f01 r-xp 0 fe:00 1 /x\n").has_value());
}

TEST(ProcessText, RefusesMalformedMappings) {
  for (const char* line : {"x", "7f00 r-xp 0 fe:00 1 /x", "7f00-zz r-xp 0 fe:00 1", "7f00-7f01 r-x 0 fe:00 1",
                           "7f00-7f01 r-xp 0 fe:00 -1"}) {
    EXPECT_FALSE(parse_maps(line).has_value()) << line;
  }
}

TEST(ProcessText, AnEmptyTextIsADeadAddressSpace) {
  const auto mappings = parse_smaps("");
  ASSERT_TRUE(mappings.has_value());
  EXPECT_TRUE(mappings.value().empty());
}

TEST(ProcessText, ReadsThisKernelsOwnTexts) {
  const auto smaps = parse_smaps(own_file("/proc/self/smaps"));
  const auto maps = parse_maps(own_file("/proc/self/maps"));
  const auto status = parse_status(own_file("/proc/self/status"));
  ASSERT_TRUE(smaps.has_value()) << smaps.error().message();
  ASSERT_TRUE(maps.has_value()) << maps.error().message();
  ASSERT_TRUE(status.has_value()) << status.error().message();
  EXPECT_GT(smaps.value().size(), 4U);
  EXPECT_EQ(status.value().tracer, 0);
  EXPECT_EQ(status.value().threads, 1U);
  EXPECT_GE(status.value().peak_kib, status.value().size_kib);
  EXPECT_TRUE(parse_start_time(own_file("/proc/self/stat")).has_value());
}

TEST(ProcessText, StatusNeedsEveryFieldOnce) {
  const std::string whole = "TracerPid:\t7\nVmPeak:\t 9 kB\nVmSize:\t 8 kB\nThreads:\t2\nSeccomp_filters:\t1\n";
  const auto status = parse_status(whole);
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status.value().tracer, 7);
  EXPECT_EQ(status.value().threads, 2U);
  EXPECT_EQ(status.value().seccomp_filters, 1U);
  EXPECT_EQ(status.value().peak_kib, 9U);
  EXPECT_EQ(status.value().size_kib, 8U);
  EXPECT_FALSE(parse_status("").has_value());
  EXPECT_FALSE(parse_status(whole.substr(whole.find('\n') + 1)).has_value());
  EXPECT_FALSE(parse_status(whole + "Threads:\t1\n").has_value());
  EXPECT_FALSE(
      parse_status("TracerPid:\tx\nVmPeak:\t 9 kB\nVmSize:\t 8 kB\nThreads:\t2\nSeccomp_filters:\t1\n").has_value());
}

TEST(ProcessText, StartTimeStandsBehindTheNameWhateverThatIs) {
  std::string text = "12 (a) b) S";
  for (int field = 4; field <= 21; ++field) text += " 0";
  const auto ticks = parse_start_time(text + " 4711 0");
  ASSERT_TRUE(ticks.has_value());
  EXPECT_EQ(ticks.value(), 4711U);
  EXPECT_FALSE(parse_start_time(text).has_value());
  EXPECT_FALSE(parse_start_time("12 a").has_value());
}

}  // namespace
}  // namespace casemate::las
