#include "crypto/one_time_password.h"

#include <gtest/gtest.h>

#include <utility>

namespace casemate::crypto {
namespace {

// RFC 6238, appendix B, for SHA-1; the last six of its eight digits.
TEST(OneTimePassword, HasTheValuesOfTheStandard) {
  const std::pair<std::uint64_t, const char*> rows[] = {{59, "287082"},         {1111111109, "081804"},
                                                        {1111111111, "050471"}, {1234567890, "005924"},
                                                        {2000000000, "279037"}, {20000000000, "353130"}};
  for (const auto& [seconds, expected] : rows) {
    EXPECT_EQ(one_time_password(as_byte_view("12345678901234567890"), seconds / 30).value(), expected) << seconds;
  }
}

}  // namespace
}  // namespace casemate::crypto
