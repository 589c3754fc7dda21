#include "base/result.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <type_traits>

#include "base/unique_fd.h"

namespace casemate {
namespace {

Result<int> parse(int input) {
  if (input < 0) return Error(ErrorCategory::kFormat, "negative");
  return input;
}

Result<int> parse_and_double(int input) {
  int value = CASEMATE_TRY(parse(input));
  return value * 2;
}

TEST(Result, CarriesTheValue) {
  Result<int> result = parse_and_double(21);
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(result.value(), 42);
}

TEST(Result, TryReturnsTheFirstErrorUnchanged) {
  Result<int> result = parse_and_double(-1);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().category(), ErrorCategory::kFormat);
  EXPECT_EQ(result.error().message(), "negative");
}

TEST(Result, HoldsTypesThatOnlyMove) {
  Result<std::unique_ptr<int>> result(std::make_unique<int>(7));
  std::unique_ptr<int> value = std::move(result).value();
  EXPECT_EQ(*value, 7);
}

TEST(Result, OfNothingStillCarriesTheError) {
  Result<void> success;
  EXPECT_TRUE(success.has_value());
  Result<void> failure = Error(ErrorCategory::kUsage, "no");
  EXPECT_FALSE(failure.has_value());
  EXPECT_EQ(failure.error().message(), "no");
}

TEST(ResultDeathTest, StopsWhenAMissingValueIsRead) {
  EXPECT_DEATH(
      {
        Result<int> result = parse(-1);
        static_cast<void>(result.value());
      },
      "");
}

TEST(Error, FromErrnoNamesTheSystemsReason) {
  Error error = Error::from_errno("cannot open x", ENOENT);
  EXPECT_EQ(error.system_code(), ENOENT);
  EXPECT_EQ(error.message(), "cannot open x: No such file or directory");
  EXPECT_EQ(error.with_context("casemate").message(), "casemate: cannot open x: No such file or directory");
  EXPECT_EQ(error.with_context("casemate").system_code(), ENOENT);
}

TEST(UniqueFd, ClosesExactlyOnce) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  UniqueFd write_end(ends[1]);
  {
    UniqueFd read_end(ends[0]);
    UniqueFd moved(std::move(read_end));
    EXPECT_FALSE(read_end.is_open());
    EXPECT_TRUE(moved.is_open());
  }
  EXPECT_EQ(close(ends[0]), -1);
  EXPECT_EQ(errno, EBADF);
  static_assert(!std::is_copy_constructible_v<UniqueFd>);
}

}  // namespace
}  // namespace casemate
