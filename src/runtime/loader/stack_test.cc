#include "runtime/loader/stack.h"

#include <gtest/gtest.h>
#include <linux/auxvec.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "runtime/loader/testing/support.h"

namespace casemate::runtime {
namespace {

// The address of argc in this process: what the kernel set rsp to. /proc/self/stat field 28 (proc(5)).
std::uint64_t* own_stack_pointer() {
  const std::string stat = testing::read_file("/proc/self/stat");
  std::size_t at = stat.rfind(')') + 2;
  for (int field = 3; field < 28; ++field) at = stat.find(' ', at) + 1;
  return reinterpret_cast<std::uint64_t*>(std::stoul(stat.substr(at)));
}

testing::Mapping own_stack_mapping() {
  for (const testing::Mapping& mapping : testing::parse_maps(testing::read_file("/proc/self/maps"))) {
    if (mapping.name == "[stack]") return mapping;
  }
  return {};
}

TEST(EntryStack, ReadsTheStackThatTheKernelBuilt) {
  const EntryStack stack = read_entry_stack(own_stack_pointer());
  ASSERT_GE(stack.argument_count, 1u);
  EXPECT_EQ(stack.arguments[stack.argument_count], nullptr);
  ASSERT_NE(find_auxiliary(stack, AT_PHDR), nullptr);
  EXPECT_EQ(find_auxiliary(stack, AT_PHDR)->value, getauxval(AT_PHDR));
  EXPECT_EQ(find_auxiliary(stack, AT_RANDOM)->value, getauxval(AT_RANDOM));
  EXPECT_EQ(find_auxiliary(stack, 0x123456), nullptr);
}

TEST(EntryStack, EndsWhereTheStackMappingEnds) {
  EXPECT_EQ(stack_end(read_entry_stack(own_stack_pointer())), own_stack_mapping().end);
}

struct FakeStack {
  std::uint64_t words[40];
  explicit FakeStack(std::initializer_list<AuxEntry> entries) : words{} {
    static char argument[] = "program", variable[] = "A=B";
    std::uint64_t* next = words;
    *next++ = 1;
    *next++ = reinterpret_cast<std::uint64_t>(argument);
    *next++ = 0;
    *next++ = reinterpret_cast<std::uint64_t>(variable);
    *next++ = 0;
    for (const AuxEntry& entry : entries) {
      *next++ = entry.type;
      *next++ = entry.value;
    }
  }
};

const char kKernelName[] = "/dev/fd/9", kProgramName[] = "./program";

std::uint64_t address(const char* text) { return reinterpret_cast<std::uint64_t>(text); }

LoadedProgram loaded_program() {
  LoadedProgram loaded = {};
  loaded.program.phdr_address = 0x1040;
  loaded.program.phent = 56;
  loaded.program.phnum = 11;
  loaded.program.entry = 0x2000;
  loaded.interpreter.load_bias = 0x7000000;
  return loaded;
}

TEST(DescribeProgram, RewritesItsEntriesAndLeavesTheOthers) {
  FakeStack fake({{AT_SYSINFO_EHDR, 1},
                  {AT_PHDR, 2},
                  {AT_PHENT, 3},
                  {AT_PHNUM, 4},
                  {AT_BASE, 5},
                  {AT_ENTRY, 6},
                  {AT_SECURE, 7},
                  {AT_EXECFN, address(kKernelName)},
                  {AT_NULL, 0}});
  const EntryStack stack = read_entry_stack(fake.words);
  EXPECT_STREQ(stack.arguments[0], "program");
  EXPECT_STREQ(stack.environment[0], "A=B");
  ASSERT_EQ(describe_program(stack, loaded_program(), address(kProgramName)), AuxEdit::kDone);
  const AuxEntry expected[] = {
      {AT_SYSINFO_EHDR, 1}, {AT_PHDR, 0x1040},  {AT_PHENT, 56}, {AT_PHNUM, 11},
      {AT_BASE, 0x7000000}, {AT_ENTRY, 0x2000}, {AT_SECURE, 7}, {AT_EXECFN, address(kProgramName)}};
  for (std::size_t index = 0; index < std::size(expected); ++index) {
    EXPECT_EQ(stack.auxiliary[index].type, expected[index].type);
    EXPECT_EQ(stack.auxiliary[index].value, expected[index].value) << expected[index].type;
  }
}

TEST(DescribeProgram, KeepsTheKernelsNameWithoutAnother) {
  FakeStack fake({{AT_PHDR, 2},
                  {AT_PHENT, 3},
                  {AT_PHNUM, 4},
                  {AT_BASE, 5},
                  {AT_ENTRY, 6},
                  {AT_EXECFN, address(kKernelName)},
                  {AT_NULL, 0}});
  const EntryStack stack = read_entry_stack(fake.words);
  ASSERT_EQ(describe_program(stack, loaded_program(), 0), AuxEdit::kDone);
  EXPECT_EQ(find_auxiliary(stack, AT_EXECFN)->value, address(kKernelName));
}

TEST(DescribeProgram, ChangesNothingInAnIncompleteVector) {
  FakeStack fake({{AT_PHDR, 2}, {AT_PHENT, 3}, {AT_EXECFN, address(kKernelName)}, {AT_NULL, 0}});
  const EntryStack stack = read_entry_stack(fake.words);
  EXPECT_EQ(describe_program(stack, loaded_program(), address(kProgramName)), AuxEdit::kEntryMissing);
  EXPECT_EQ(find_auxiliary(stack, AT_PHDR)->value, 2u);
}

TEST(MakeStackExecutable, CoversTheWholeStackMapping) {
  const pid_t child = fork();
  if (child == 0) {
    std::uint64_t* const pointer = own_stack_pointer();
    const testing::Mapping before = own_stack_mapping();
    if (make_stack_executable(reinterpret_cast<std::uint64_t>(pointer), stack_end(read_entry_stack(pointer))) != 0)
      _exit(1);
    const testing::Mapping after = own_stack_mapping();
    _exit(after.start == before.start && after.end == before.end && after.protection == "rwxp" ? 0 : 2);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace casemate::runtime
