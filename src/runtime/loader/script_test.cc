#include "runtime/loader/script.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <random>

#include "runtime/loader/testing/support.h"

namespace casemate::runtime {
namespace {

using testing::bytes_of;
using testing::NativeStart;

std::string text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// "path|argument", "path" without argument, or the error's description.
std::string parsed(const std::string& file) {
  ScriptLine line;
  const LoadError error = parse_script_line(bytes_of(file), line);
  if (error != LoadError::kNone) return describe(error).what;
  std::string result = text(line.interpreter);
  if (line.argument.data() != nullptr) result.append("|").append(text(line.argument));
  return result;
}

const std::string kNoInterpreter = describe(LoadError::kScriptWithoutInterpreter).what;
const std::string kCutPath = describe(LoadError::kScriptPathTruncated).what;

TEST(ScriptLine, SplitsPathAndOneArgument) {
  EXPECT_EQ(parsed("#!/bin/sh\necho\n"), "/bin/sh");
  EXPECT_EQ(parsed("#! \t/bin/sh \t\n"), "/bin/sh");
  EXPECT_EQ(parsed("#!/usr/bin/env -S a b \t\nx"), "/usr/bin/env|-S a b");
  EXPECT_EQ(parsed("#!/bin/sh"), "/bin/sh");
  EXPECT_EQ(parsed("#!/bin/sh -x"), "/bin/sh|-x");
  EXPECT_EQ(parsed("#!/bin/sh\r\n"), "/bin/sh\r");
}

TEST(ScriptLine, RefusesLinesWithoutPath) {
  EXPECT_EQ(parsed("#!"), "");  // NUL behind it ends an empty path
  EXPECT_EQ(parsed("#!\n/bin/sh"), kNoInterpreter);
  EXPECT_EQ(parsed("#! \t \n"), kNoInterpreter);
  EXPECT_EQ(parsed("#!" + std::string(300, ' ') + "/bin/sh\n"), kNoInterpreter);
  EXPECT_EQ(parsed("#"), describe(LoadError::kUnknownFormat).what);
  EXPECT_EQ(parsed(" #!/bin/sh\n"), describe(LoadError::kUnknownFormat).what);
}

TEST(ScriptLine, RefusesPathsThatMayGoOnBehindTheBuffer) {
  EXPECT_EQ(parsed("#!" + std::string(254, 'a') + "\n"), kCutPath);
  EXPECT_EQ(parsed("#!" + std::string(253, 'a') + " x\n"), std::string(253, 'a'));
  EXPECT_EQ(parsed("#!" + std::string(253, 'a') + "\n"), std::string(253, 'a'));
  EXPECT_EQ(parsed("#!" + std::string(253, 'a')), std::string(253, 'a'));
}

TEST(ScriptLine, CutsLongArgumentsAtByte255) {
  EXPECT_EQ(parsed("#!/x " + std::string(300, 'b') + "\n"), "/x|" + std::string(250, 'b'));
}

TEST(ScriptLine, EndsBothPartsAtNul) {
  EXPECT_EQ(parsed(std::string("#!/a\0/b c\n", 10)), "/a");
  EXPECT_EQ(parsed(std::string("#!/a b\0c\n", 9)), "/a|b");
  EXPECT_EQ(parsed("#!/a "), "/a|");  // Linux, too, passes an empty argument here
  EXPECT_EQ(parsed(std::string("#!/a \0", 6)), "/a|");
}

// Random lines over the characters that matter; Linux gets the same file, and its argv shows what it read.
TEST(ScriptLine, LinuxAgreesOnRandomLines) {
  std::mt19937 random(20261123);
  const testing::TemporaryDirectory directory;
  const std::string interpreter = directory.path("i");
  ASSERT_EQ(symlink("/bin/true", interpreter.c_str()), 0);
  const std::string pieces[] = {" ",
                                "\t",
                                "\n",
                                std::string(1, '\0'),
                                "x",
                                interpreter,
                                std::string(100, ' '),
                                std::string(90, 'y'),
                                interpreter + " "};
  for (unsigned round = 0; round < 400; ++round) {
    std::string file = "#!";
    for (unsigned count = random() % 7; count != 0; --count) file += pieces[random() % std::size(pieces)];
    if (round % 3 == 0) file += "\n";
    const std::string path = directory.write("script", file);
    const testing::NativeExec native = testing::run_natively(path);
    SCOPED_TRACE(::testing::PrintToString(file));
    ScriptLine line;
    const LoadError error = parse_script_line(bytes_of(file), line);
    if (error != LoadError::kNone) {
      EXPECT_EQ(native.start, NativeStart::kError);
      EXPECT_EQ(native.error_number, errno_of(error, ImageRole::kProgram));
    } else if (text(line.interpreter) == interpreter) {
      ASSERT_EQ(native.start, NativeStart::kStarted);
      std::vector<std::string> expected = {interpreter};
      if (line.argument.data() != nullptr) expected.push_back(text(line.argument));
      expected.push_back(path);
      EXPECT_EQ(native.arguments, expected);
    } else {
      EXPECT_EQ(native.start, NativeStart::kError);
      EXPECT_NE(native.error_number, ENOEXEC);
    }
  }
}

}  // namespace
}  // namespace casemate::runtime
