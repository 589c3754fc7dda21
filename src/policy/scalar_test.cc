#include "policy/scalar.h"

#include <gtest/gtest.h>

#include "policy/suggestion.h"

namespace casemate::policy {
namespace {

TEST(PlainScalar, IsTextOrACanonicalNumberWhenNobodyReadsItOtherwise) {
  for (const char* text : {"hello", "/bin/true", "a:b", "1.2.3", "0.3.10", "12ab", "node", "-", "2026", "1e"}) {
    const PlainMeaning meaning = meaning_of_plain(text);
    EXPECT_TRUE(meaning == PlainMeaning::kText || meaning == PlainMeaning::kCanonicalNumber) << text;
  }
  for (const char* text : {"0", "8080", "-1", "0.3", "123456789012345"}) {
    EXPECT_EQ(meaning_of_plain(text), PlainMeaning::kCanonicalNumber) << text;
  }
}

TEST(PlainScalar, IsSomethingElseInEveryNotationOfYaml) {
  for (const char* text : {"yes", "No", "TRUE", "off", "y", "N"})
    EXPECT_EQ(meaning_of_plain(text), PlainMeaning::kBoolean) << text;
  for (const char* text : {"", "~", "null", "NULL"}) EXPECT_EQ(meaning_of_plain(text), PlainMeaning::kNull) << text;
  for (const char* text : {"0644", "0x1F", "0o17", "0b1", "1_000", "1e3", "1.5e-3", ".5", "5.", "1.10", "22:22",
                           "1:30:00", "+1", "-0", ".inf", "-.INF", ".NaN", "1234567890123456"}) {
    EXPECT_EQ(meaning_of_plain(text), PlainMeaning::kOtherNumber) << text;
  }
  for (const char* text : {"2026-11-23", "2026-1-2", "2026-11-23T10:00:00Z"})
    EXPECT_EQ(meaning_of_plain(text), PlainMeaning::kTimestamp) << text;
}

TEST(EditDistance, CountsInsertionsDeletionsReplacementsAndSwaps) {
  EXPECT_EQ(edit_distance("secrets", "secrets"), 0U);
  EXPECT_EQ(edit_distance("secrest", "secrets"), 1U);
  EXPECT_EQ(edit_distance("secret", "secrets"), 1U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance("ANY", "any"), 0U);
  EXPECT_EQ(edit_distance("", "abc"), 3U);
}

TEST(Suggestion, NamesTheNearestWordOrAllOfThem) {
  constexpr std::string_view kWords[] = {"command", "environment", "pwd"};
  EXPECT_EQ(suggest("comand", kWords), "did you mean `command`?");
  EXPECT_EQ(suggest("env", kWords), "did you mean `environment`?");
  EXPECT_EQ(suggest("zzz", kWords), "known are command, environment, pwd");
  EXPECT_EQ(suggest("zzz", {}), "none is declared");
}

}  // namespace
}  // namespace casemate::policy
