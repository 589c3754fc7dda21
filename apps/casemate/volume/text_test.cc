#include "casemate/volume/text.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

namespace casemate::volume_tool {
namespace {

TEST(VolumeText, LeavesNoByteThatEndsALineOrDrivesATerminal) {
  EXPECT_EQ(printable("a\nb\tc\\d"), "a\\nb\\tc\\\\d");
  EXPECT_EQ(printable("\x1b[2J"), "\\x1b[2J");
  EXPECT_EQ(printable("\x7f"), "\\x7f");
  EXPECT_EQ(printable("\xc2\x9b"), "\\xc2\\x9b");  // CSI as one character of C1
  EXPECT_EQ(printable("\xff\xfe"), "\\xff\\xfe");
}

TEST(VolumeText, KeepsReadableCharacters) { EXPECT_EQ(printable("Grüße 日本 🙂"), "Grüße 日本 🙂"); }

TEST(VolumeText, TellsUtf8FromOtherBytes) {
  EXPECT_TRUE(is_utf8("Grüße\n"));
  for (const char* bytes : {"\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80"}) {
    EXPECT_FALSE(is_utf8(bytes)) << printable(bytes);
  }
}

TEST(VolumeText, GivesJsonTheExactBytesWhereTheyAreNoUtf8) {
  nlohmann::ordered_json object;
  add_bytes(object, "path", "a");
  EXPECT_FALSE(object.contains("path_hex"));
  add_bytes(object, "path", "a\xff");
  EXPECT_EQ(object["path_hex"], "61ff");
  EXPECT_EQ(object.dump(), R"({"path":"a\\xff","path_hex":"61ff"})");
}

TEST(VolumeText, ShowsModesAsLsDoes) {
  EXPECT_EQ(readable_mode(S_IFDIR | S_ISVTX | 0777), "drwxrwxrwt");
  EXPECT_EQ(readable_mode(S_IFREG | S_ISUID | 0644), "-rwSr--r--");
  EXPECT_EQ(readable_mode(S_IFLNK | 0777), "lrwxrwxrwx");
}

TEST(VolumeText, ShowsTimesBeforeTheEpochAndFarAway) {
  EXPECT_EQ(readable_time({0, 0}), "1970-01-01 00:00:00");
  EXPECT_EQ(readable_time({-1, 0}), "1969-12-31 23:59:59");
  EXPECT_EQ(exact_time({1, 5}), "1970-01-01T00:00:01.000000005Z");
  EXPECT_FALSE(readable_time({std::int64_t{1} << 62, 0}).empty());
}

TEST(VolumeText, ReadsThePositionsItPrints) {
  volume::Position position{7, 123456789, {}};
  position.chain_tag[0] = std::byte{0xab};
  const auto again = parse_position(to_text(position));
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again.value(), position);
}

TEST(VolumeText, RefusesWhatIsNoPosition) {
  for (const char* text : {"", "1", "1.2", "1.2.", "1.2.00", "a.b.c", "1.2.0000000000000000000000000000000g"}) {
    EXPECT_FALSE(parse_position(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace casemate::volume_tool
