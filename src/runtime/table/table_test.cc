// The table against the kernel's own list of system calls, and against its own rules.
#include "runtime/table/table.h"

#include <gtest/gtest.h>

#include <cctype>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "runtime/intercept/dispatch.h"

namespace casemate::runtime {
namespace {

// __NR_ constants of <asm/unistd_64.h>.
std::map<std::uint64_t, std::string> kernel_calls() {
  std::map<std::uint64_t, std::string> calls;
  std::ifstream header(CASEMATE_UNISTD_HEADER);
  for (std::string line; std::getline(header, line);) {
    std::istringstream words(line);
    std::string define, name;
    std::uint64_t number = 0;
    if (words >> define >> name >> number && define == "#define" && name.rfind("__NR_", 0) == 0) {
      calls[number] = name.substr(5);
    }
  }
  return calls;
}

bool has_row(std::uint64_t number) { return syscall_entry(number).status != Status::kUnknown; }

std::vector<std::uint64_t> rows() {
  std::vector<std::uint64_t> numbers;
  for (std::uint64_t number = 0; number < kSyscallLimit; number++) {
    if (has_row(number)) numbers.push_back(number);
  }
  return numbers;
}

// Every row of the text, including one whose number is wrong and would replace nothing.
std::vector<std::pair<std::uint64_t, std::string>> rows_in_file() {
  return {
#define CALL(number, name, ...) {number, #name},
#define REFUSED(number, name, ...) {number, #name},
#include "runtime/table/syscalls.def"
#undef CALL
#undef REFUSED
  };
}

TEST(SyscallTable, HasEveryCallOfTheKernelHeadersUnderItsNumber) {
  const auto calls = kernel_calls();
  ASSERT_GT(calls.size(), 350U) << "cannot read " << CASEMATE_UNISTD_HEADER;
  for (const auto& [number, name] : calls) EXPECT_EQ(syscall_entry(number).name, name) << number;
}

TEST(SyscallTable, HasTheNewerCallsThatTheHeadersOfDebian12DoNotKnow) {
  const std::map<std::uint64_t, std::string> newer = {{451, "cachestat"},         {452, "fchmodat2"},
                                                      {453, "map_shadow_stack"},  {454, "futex_wake"},
                                                      {455, "futex_wait"},        {456, "futex_requeue"},
                                                      {457, "statmount"},         {458, "listmount"},
                                                      {459, "lsm_get_self_attr"}, {460, "lsm_set_self_attr"},
                                                      {461, "lsm_list_modules"},  {462, "mseal"},
                                                      {463, "setxattrat"},        {464, "getxattrat"},
                                                      {465, "listxattrat"},       {466, "removexattrat"},
                                                      {467, "open_tree_attr"},    {468, "file_getattr"},
                                                      {469, "file_setattr"},      {470, "listns"},
                                                      {335, "uretprobe"},         {336, "uprobe"}};
  for (const auto& [number, name] : newer) EXPECT_EQ(syscall_entry(number).name, name) << number;
}

TEST(SyscallTable, NamesAreUniqueAndInOrder) {
  std::set<std::string> names;
  std::uint64_t previous = 0;
  for (const auto& [number, name] : rows_in_file()) {
    EXPECT_TRUE(names.insert(name).second) << name << " twice";
    EXPECT_TRUE(number == 0 || number > previous) << name << " out of order";
    previous = number;
  }
  EXPECT_EQ(names.size(), rows().size());
}

TEST(SyscallTable, UnknownNumbersAnswerEnosys) {
  for (const std::uint64_t number : {std::uint64_t{337}, std::uint64_t{423}, std::uint64_t{kSyscallLimit},
                                     std::uint64_t{0x40000000}, ~std::uint64_t{0}, std::uint64_t{1} << 63}) {
    const SyscallEntry& entry = syscall_entry(number);
    EXPECT_STREQ(entry.name, "unknown") << number;
    EXPECT_EQ(entry.refused_errno, ENOSYS) << number;
    EXPECT_EQ(entry.handler, &refuse) << number;
  }
}

TEST(SyscallTable, HandlersFollowFromTheStatus) {
  std::set<SyscallHandler> own;
  for (const std::uint64_t number : rows()) {
    const SyscallEntry& entry = syscall_entry(number);
    if (entry.status == Status::kPass) {
      EXPECT_EQ(entry.handler, &pass_through) << entry.name;
    } else if (entry.status == Status::kRefused) {
      EXPECT_EQ(entry.handler, &refuse) << entry.name;
    } else {
      EXPECT_TRUE(own.insert(entry.handler).second) << entry.name << " shares a handler";
      EXPECT_NE(entry.handler, &pass_through) << entry.name;
      EXPECT_NE(entry.handler, &refuse) << entry.name;
    }
  }
  EXPECT_EQ(syscall_entry(9).handler, &sys_mmap);
  EXPECT_EQ(syscall_entry(435).handler, &sys_clone3);
}

// What the file shield must see: a row that the kernel serves alone could reach a volume's file by its host name.
TEST(SyscallTable, NoCallWithAPathOrAnAddressIsPassed) {
  for (const std::uint64_t number : rows()) {
    const SyscallEntry& entry = syscall_entry(number);
    for (int index = 0; index < entry.argument_count; ++index) {
      const ArgumentForm form = entry.arguments[index].form;
      const bool names = form == ArgumentForm::kPath || form == ArgumentForm::kDirFd ||
                         form == ArgumentForm::kSocketAddress || form == ArgumentForm::kMessage;
      EXPECT_FALSE(names && entry.status == Status::kPass) << entry.name;
    }
  }
}

TEST(SyscallTable, OnlyRefusedRowsHaveAnErrno) {
  for (const std::uint64_t number : rows()) {
    const SyscallEntry& entry = syscall_entry(number);
    EXPECT_EQ(entry.refused_errno > 0, entry.status == Status::kRefused) << entry.name;
    EXPECT_LT(entry.refused_errno, 134) << entry.name;
  }
}

TEST(SyscallTable, NotesStandWhereAUserNeedsThem) {
  for (const std::uint64_t number : rows()) {
    const SyscallEntry& entry = syscall_entry(number);
    const std::string note = entry.note;
    const bool required = entry.status == Status::kPartial || entry.status == Status::kRefused;
    EXPECT_FALSE(required && note.empty()) << entry.name;
    if (note.empty()) continue;
    EXPECT_EQ(note.back(), '.') << entry.name;
    EXPECT_EQ(note.find('|'), std::string::npos) << entry.name << ": would break the page's table";
    EXPECT_EQ(note.find("  "), std::string::npos) << entry.name;
  }
}

// What must hold of the argument that another argument refers to.
bool is_good_reference(const SyscallEntry& entry, const ArgumentKind& kind) {
  using enum ArgumentForm;
  const int index = kind.reference;
  const bool exists = index >= 0 && index < entry.argument_count;
  const ArgumentForm form = exists ? entry.arguments[index].form : kNone;
  switch (kind.form) {
    case kSized:
    case kBlock:
    case kPages:
    case kByteBits:
    case kOptionValue:
      return form == kSize;
    case kBuffer:
      return form == kSize;
    case kArray:
    case kIoVector:
    case kMessages:
      return form == kCount;
    case kBits:
      return form == kCount;
    case kPointedBuffer:
      return form == kLengthPointer;
    case kSocketAddress:
      return kind.direction == Direction::kIn ? form == kSize : form == kLengthPointer;
    case kIoctlArgument:
    case kFcntlArgument:
    case kPrctlArgument:
    case kArchPrctlArgument:
    case kFutexTimeout:
    case kSocketOption:
    case kSemctlArgument:
      return form == kValue;
    case kMultiplexed:
      return exists;
    case kFixedArray:
      return index > 0 && index <= 16;
    default:
      return index == kNoReference;
  }
}

bool is_memory(ArgumentForm form) { return form >= ArgumentForm::kPath && form <= ArgumentForm::kLengthPointer; }

TEST(SyscallTable, SizesReferToArgumentsThatAreSizes) {
  for (const std::uint64_t number : rows()) {
    const SyscallEntry& entry = syscall_entry(number);
    for (unsigned i = 0; i < entry.argument_count; i++) {
      const ArgumentKind& kind = entry.arguments[i];
      EXPECT_TRUE(is_good_reference(entry, kind)) << entry.name << " argument " << i;
      EXPECT_NE(static_cast<int>(i), kind.form == ArgumentForm::kFixedArray ? -2 : kind.reference) << entry.name;
      EXPECT_TRUE(kind.form != ArgumentForm::kNone) << entry.name << " argument " << i;
      EXPECT_TRUE(!is_memory(kind.form) || kind.direction != Direction::kNone) << entry.name << " argument " << i;
    }
    for (unsigned i = entry.argument_count; i < 6; i++) {
      EXPECT_TRUE(entry.arguments[i].form == ArgumentForm::kNone) << entry.name;
    }
  }
}

// An out buffer is filled as far as the result says: the result must then be a number of bytes.
TEST(SyscallTable, ResultsMeasureOutBuffers) {
  for (const std::uint64_t number : rows()) {
    const SyscallEntry& entry = syscall_entry(number);
    for (unsigned i = 0; i < entry.argument_count; i++) {
      const ArgumentKind& kind = entry.arguments[i];
      const bool by_result = kind.direction == Direction::kOut &&
                             (kind.form == ArgumentForm::kBuffer || kind.form == ArgumentForm::kByteBits);
      const bool is_measured =
          entry.result == ResultKind::kSize || entry.status == Status::kRefused || std::string(entry.name) == "syslog";
      EXPECT_TRUE(!by_result || is_measured) << entry.name << " argument " << i;
    }
  }
}

TEST(SyscallTable, CallsThatEndTheProgramDoNotReturn) {
  for (const int number : {15, 59, 60, 231, 322}) {
    EXPECT_EQ(syscall_entry(static_cast<std::uint64_t>(number)).result, ResultKind::kNone);
  }
}

// The refuse list of the design, one by one, so that nobody loosens a row unnoticed.
TEST(SyscallTable, RefusesWhatWouldBypassTheRuntime) {
  const std::map<std::string, int> refused = {{"ptrace", EPERM},
                                              {"process_vm_readv", EPERM},
                                              {"process_vm_writev", EPERM},
                                              {"userfaultfd", EPERM},
                                              {"io_uring_setup", ENOSYS},
                                              {"io_uring_enter", ENOSYS},
                                              {"io_uring_register", ENOSYS},
                                              {"pidfd_getfd", EPERM},
                                              {"open_by_handle_at", EPERM},
                                              {"modify_ldt", ENOSYS},
                                              {"pkey_alloc", ENOSPC},
                                              {"pkey_free", EINVAL},
                                              {"seccomp", EINVAL},
                                              {"map_shadow_stack", EOPNOTSUPP},
                                              {"restart_syscall", EINTR}};
  std::size_t found = 0;
  for (const std::uint64_t number : rows()) {
    const SyscallEntry& entry = syscall_entry(number);
    const auto expected = refused.find(entry.name);
    if (expected == refused.end()) continue;
    found++;
    EXPECT_TRUE(entry.status == Status::kRefused) << entry.name;
    EXPECT_EQ(entry.refused_errno, expected->second) << entry.name;
  }
  EXPECT_EQ(found, refused.size());
}

// A call that takes a signal mask could block SIGSYS: it must go through a handler that strips it.
TEST(SyscallTable, CallsWithASignalMaskHaveAHandler) {
  for (const std::uint64_t number : rows()) {
    const SyscallEntry& entry = syscall_entry(number);
    for (const ArgumentKind& kind : entry.arguments) {
      const bool is_mask = kind.direction == Direction::kIn && kind.form == ArgumentForm::kStructure &&
                           (kind.structure() == Structure::sigset || kind.structure() == Structure::sigset_argument);
      EXPECT_FALSE(is_mask && entry.status == Status::kPass) << entry.name;
    }
  }
}

}  // namespace
}  // namespace casemate::runtime
