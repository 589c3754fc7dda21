#include "casemate/volume/options.h"

#include <gtest/gtest.h>

namespace casemate::volume_tool {
namespace {

using Words = std::vector<std::string>;

const Command kCommand = {"copy", "VOL [PATH]", 1, 2, "", "", {"key-file", "key-fd", "size", "long", "recursive"},
                          nullptr};

Options parsed(const Words& words) {
  auto options = parse_options(kCommand, words);
  if (!options.has_value()) ADD_FAILURE() << options.error().message();
  return options.has_value() ? std::move(options).value() : Options{};
}

std::string refusal(const Words& words) {
  const auto options = parse_options(kCommand, words);
  if (options.has_value()) return "was accepted";
  EXPECT_EQ(options.error().category(), ErrorCategory::kUsage);
  return options.error().message();
}

TEST(VolumeOptions, TakesValuesAsNextWordAndBehindEquals) {
  EXPECT_EQ(parsed({"--key-file", "k", "v"}).key_file, "k");
  EXPECT_EQ(parsed({"v", "--key-file=a=b"}).key_file, "a=b");
}

TEST(VolumeOptions, TakesLettersTogether) {
  const Options options = parsed({"-lR", "v"});
  EXPECT_TRUE(options.long_form);
  EXPECT_TRUE(options.recursive);
}

TEST(VolumeOptions, GivesEverythingBehindTheSeparatorToTheOperands) {
  EXPECT_EQ(parsed({"v", "--", "--long"}).operands, (Words{"v", "--long"}));
  EXPECT_EQ(parsed({"-"}).operands, (Words{"-"}));
}

TEST(VolumeOptions, RefusesWhatTheCommandDoesNotKnow) {
  EXPECT_NE(refusal({"v", "--into", "x"}).find("--into"), std::string::npos);
  EXPECT_NE(refusal({"v", "-x"}).find("-x"), std::string::npos);
  EXPECT_NE(refusal({"v", "--key"}).find("--key"), std::string::npos);
}

TEST(VolumeOptions, RefusesMissingAndSuperfluousValues) {
  EXPECT_NE(refusal({"v", "--key-file"}).find("FILE"), std::string::npos);
  EXPECT_NE(refusal({"v", "--key-file="}).find("empty"), std::string::npos);
  EXPECT_NE(refusal({"v", "--long=yes"}).find("no value"), std::string::npos);
}

TEST(VolumeOptions, RefusesTooFewAndTooManyOperands) {
  EXPECT_NE(refusal({}).find("VOL"), std::string::npos);
  EXPECT_NE(refusal({"a", "b", "c"}).find("'c'"), std::string::npos);
}

TEST(VolumeOptions, AcceptsDescriptorsAsNumbersOnly) {
  EXPECT_EQ(parsed({"--key-fd", "7", "v"}).key_fd, 7);
  for (const char* text : {"-1", "x", "1x", "99999999999"}) {
    EXPECT_NE(refusal({"--key-fd", text, "v"}), "was accepted") << text;
  }
}

TEST(VolumeOptions, AsksForNothingElseWhenHelpIsWanted) { EXPECT_TRUE(parsed({"--help"}).help); }

TEST(VolumeSizes, KnowsPowersOf1024) {
  EXPECT_EQ(parse_size("4096").value(), 4096U);
  EXPECT_EQ(parse_size("3K").value(), 3072U);
  EXPECT_EQ(parse_size("64GiB").value(), std::uint64_t{64} << 30);
  EXPECT_EQ(parse_size("16777215T").value(), std::uint64_t{16777215} << 40);
}

TEST(VolumeSizes, RefusesWhatIsNoSizeOrDoesNotFit) {
  for (const char* text : {"", "x", "-1", "1.5G", "1GB", "1g", "G", "0x10", "16777216T", "18446744073709551616"}) {
    EXPECT_FALSE(parse_size(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace casemate::volume_tool
