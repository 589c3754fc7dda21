#include "base/text_buffer.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <limits>
#include <string>

namespace casemate {
namespace {

TEST(TextBuffer, WritesNumbersInEachBase) {
  char storage[128];
  TextBuffer text(storage);
  text.append("a").append(' ').append_unsigned(0).append(' ').append_signed(-17).append(' ');
  text.append_hex(0xbeef).append(' ').append_hex(1, 4).append(' ').append_octal(0755).append(' ').append_octal(0);
  EXPECT_STREQ(text.c_str(), "a 0 -17 0xbeef 0x0001 0755 0");
  EXPECT_EQ(text.size(), std::strlen(text.c_str()));
  EXPECT_FALSE(text.truncated());
}

TEST(TextBuffer, WritesTheLimitsOfTheTypes) {
  char storage[128];
  TextBuffer text(storage);
  text.append_signed(std::numeric_limits<std::int64_t>::min()).append(' ');
  text.append_unsigned(std::numeric_limits<std::uint64_t>::max()).append(' ');
  text.append_octal(std::numeric_limits<std::uint64_t>::max());
  EXPECT_STREQ(text.c_str(), "-9223372036854775808 18446744073709551615 01777777777777777777777");
}

TEST(TextBuffer, PadsFractionsWithZeros) {
  char storage[16];
  TextBuffer text(storage);
  text.append_unsigned(3).append('.').append_padded(42, 6);
  EXPECT_STREQ(text.c_str(), "3.000042");
}

TEST(TextBuffer, CutsOffAndTellsInsteadOfWritingBehindTheBuffer) {
  std::array<char, 12> storage;
  storage.fill('#');
  TextBuffer text(storage.data(), 8);
  text.append("0123456789");
  EXPECT_STREQ(text.c_str(), "0123456");
  EXPECT_TRUE(text.truncated());
  for (std::size_t i = 8; i < storage.size(); ++i) EXPECT_EQ(storage[i], '#') << i;
}

TEST(TextBuffer, AcceptsTextThatFitsExactly) {
  char storage[4];
  TextBuffer text(storage);
  text.append("abc");
  EXPECT_FALSE(text.truncated());
  text.append('d');
  EXPECT_TRUE(text.truncated());
  EXPECT_STREQ(text.c_str(), "abc");
}

TEST(TextBuffer, WritesNothingIntoABufferOfSizeZero) {
  char guard = '#';
  TextBuffer text(&guard, 0);
  text.append("x").append_unsigned(1);
  EXPECT_EQ(guard, '#');
  EXPECT_STREQ(text.c_str(), "");
  EXPECT_TRUE(text.truncated());
}

TEST(TextBuffer, StartsAgainAfterClear) {
  char storage[4];
  TextBuffer text(storage);
  text.append("overflow");
  text.clear();
  text.append("ok");
  EXPECT_STREQ(text.c_str(), "ok");
  EXPECT_FALSE(text.truncated());
}

TEST(TextBuffer, NamesANullPointerInsteadOfReadingIt) {
  char storage[16];
  TextBuffer text(storage);
  text.append(static_cast<const char*>(nullptr));
  EXPECT_STREQ(text.c_str(), "(null)");
}

TEST(TextBuffer, IsUsableAtCompileTime) {
  constexpr std::size_t kSize = [] {
    char storage[32] = {};
    TextBuffer text(storage);
    return text.append_hex(255).size();
  }();
  static_assert(kSize == 4);
}

}  // namespace
}  // namespace casemate
