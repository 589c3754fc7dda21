#include "runtime/loader/load_error.h"

#include <gtest/gtest.h>

#include <cstring>

namespace casemate::runtime {
namespace {

TEST(LoadErrors, EachHasTextAndErrorNumber) {
  for (unsigned value = 1; value < static_cast<unsigned>(LoadError::kCount); ++value) {
    const auto error = static_cast<LoadError>(value);
    const LoadErrorText text = describe(error);
    for (const char* part : {text.what, text.why, text.remedy}) {
      EXPECT_GT(std::strlen(part), 0u) << value;
      EXPECT_NE(part[std::strlen(part) - 1], '.') << part;
    }
    EXPECT_GT(errno_of(error, ImageRole::kProgram), 0) << value;
    EXPECT_GT(errno_of(error, ImageRole::kInterpreter), 0) << value;
  }
}

TEST(LoadErrors, ValuesOutsideTheEnumAreAnswered) {
  EXPECT_STREQ(describe(static_cast<LoadError>(250)).what, describe(LoadError::kSystemRefused).what);
}

TEST(MachineNames, UnknownNumbersAreCalledUnknown) {
  EXPECT_STREQ(machine_name(183), "aarch64");
  EXPECT_STREQ(machine_name(40), "arm");
  EXPECT_STREQ(machine_name(3), "i386");
  EXPECT_STREQ(machine_name(243), "riscv");
  EXPECT_STREQ(machine_name(0xfffe), "unknown");
}

}  // namespace
}  // namespace casemate::runtime
