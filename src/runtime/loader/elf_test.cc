#include "runtime/loader/elf.h"

#include <elf.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <random>

#include "runtime/loader/testing/support.h"

namespace casemate::runtime {
namespace {

using testing::bytes_of;
using testing::NativeStart;
using testing::SmallElf;

static_assert(sizeof(ProgramHeader) == sizeof(Elf64_Phdr));
static_assert(offsetof(ProgramHeader, alignment) == offsetof(Elf64_Phdr, p_align));
static_assert(offsetof(ProgramHeader, memory_size) == offsetof(Elf64_Phdr, p_memsz));
static_assert(offsetof(ProgramHeader, address) == offsetof(Elf64_Phdr, p_vaddr));
static_assert(kElfHeaderSize == sizeof(Elf64_Ehdr));

LoadError parse(const std::string& file, ElfPlan& plan) { return parse_elf(bytes_of(file), plan); }
LoadError parse(const std::string& file) {
  ElfPlan plan;
  return parse(file, plan);
}

struct Defect {
  const char* name;
  LoadError error;
  std::function<void(SmallElf&)> apply;
};

void PrintTo(const Defect& defect, std::ostream* out) { *out << defect.name; }

const Defect kDefects[] = {
    {"WrongMagic", LoadError::kNotElf, [](SmallElf& elf) { elf.header.e_ident[3] = 'G'; }},
    {"RelocatableObject", LoadError::kNotExecutableType, [](SmallElf& elf) { elf.header.e_type = ET_REL; }},
    {"CoreDump", LoadError::kNotExecutableType, [](SmallElf& elf) { elf.header.e_type = ET_CORE; }},
    {"Aarch64", LoadError::kWrongMachine, [](SmallElf& elf) { elf.header.e_machine = EM_AARCH64; }},
    {"Riscv", LoadError::kWrongMachine, [](SmallElf& elf) { elf.header.e_machine = EM_RISCV; }},
    {"Arm32", LoadError::k32Bit,
     [](SmallElf& elf) {
       elf.header.e_machine = EM_ARM;
       elf.header.e_ident[EI_CLASS] = ELFCLASS32;
     }},
    {"X32Layout", LoadError::k32Bit,
     [](SmallElf& elf) {
       elf.header.e_ident[EI_CLASS] = ELFCLASS32;
       elf.header.e_phentsize = 7;
     }},
    {"BigEndianS390", LoadError::kBigEndian,
     [](SmallElf& elf) {
       elf.header.e_ident[EI_DATA] = ELFDATA2MSB;
       elf.header.e_type = 0x0200;
       elf.header.e_machine = EM_S390 << 8;
     }},
    {"EntrySize", LoadError::kHeaderEntrySize, [](SmallElf& elf) { elf.header.e_phentsize = 55; }},
    {"TooManyHeaders", LoadError::kTooManyProgramHeaders, [](SmallElf& elf) { elf.header.e_phnum = 1171; }},
    {"ExtendedCount", LoadError::kTooManyProgramHeaders, [](SmallElf& elf) { elf.header.e_phnum = 0xffff; }},
    {"MostHeadersBehindEnd", LoadError::kTruncatedTable, [](SmallElf& elf) { elf.header.e_phnum = 1170; }},
    {"InterpreterPathOfOneByte", LoadError::kInterpreterPathSize,
     [](SmallElf& elf) { elf.add_interpreter(std::string("\0", 1)); }},
    {"InterpreterPathTooLong", LoadError::kInterpreterPathSize,
     [](SmallElf& elf) {
       elf.add_interpreter("/lib64/ld-linux-x86-64.so.2");
       elf.segments[0].p_filesz = 4097;
     }},
    {"InterpreterPathWithoutNul", LoadError::kInterpreterPathUnterminated,
     [](SmallElf& elf) { elf.add_interpreter("/lib64/ld-linux-x86-64.so.2"); }},
    {"InterpreterPathBehindEnd", LoadError::kInterpreterPathTruncated,
     [](SmallElf& elf) {
       elf.add_interpreter(std::string("/x", 3));
       elf.segments[0].p_offset = 0x20fe;
     }},
    {"NothingToLoad", LoadError::kNoLoadSegments,
     [](SmallElf& elf) { elf.segments[0].p_type = elf.segments[1].p_type = PT_NOTE; }},
    {"FileLargerThanMemory", LoadError::kSegmentFileExceedsMemory,
     [](SmallElf& elf) { elf.segments[1].p_filesz = elf.segments[1].p_memsz + 1; }},
    {"AddressBehindUserSpace", LoadError::kSegmentOutsideAddressSpace,
     [](SmallElf& elf) { elf.segments[1].p_vaddr = 0x7ffffffff000; }},
    {"AddressInKernel", LoadError::kSegmentOutsideAddressSpace,
     [](SmallElf& elf) { elf.segments[1].p_vaddr = 0xffffffff80000000; }},
    {"MemorySizeWraps", LoadError::kSegmentOutsideAddressSpace,
     [](SmallElf& elf) { elf.segments[1].p_memsz = ~std::uint64_t{0}; }},
    {"MemoryReachesOut", LoadError::kSegmentOutsideAddressSpace,
     [](SmallElf& elf) { elf.segments[1].p_memsz = 0x7ffffffff000 - elf.segments[1].p_vaddr + 1; }},
    {"OffsetAndAddressDisagree", LoadError::kSegmentMisaligned, [](SmallElf& elf) { elf.segments[0].p_offset = 8; }},
    {"OffsetNegative", LoadError::kSegmentOffsetOverflow,
     [](SmallElf& elf) { elf.segments[1].p_offset = 0x8000000000002000; }},
    {"OffsetAtLimit", LoadError::kSegmentOffsetOverflow,
     [](SmallElf& elf) { elf.segments[1].p_offset = 0x7ffffffffffff000; }},
};

class ElfDefects : public ::testing::TestWithParam<Defect> {};

TEST_P(ElfDefects, AreNamed) {
  SmallElf elf(ET_EXEC);
  GetParam().apply(elf);
  EXPECT_EQ(parse(elf.file()), GetParam().error);
}

// The kernel is asked about the same bytes: same error number, or death where the table says so.
TEST_P(ElfDefects, AreRefusedByLinuxInTheSameWay) {
  SmallElf elf(ET_EXEC);
  GetParam().apply(elf);
  const testing::TemporaryDirectory directory;
  const testing::NativeExec native = testing::run_natively(directory.write("program", elf.file()));
  const LoadError error = GetParam().error;
  if (native_outcome(error, ImageRole::kProgram) == NativeOutcome::kReturnsError) {
    EXPECT_EQ(native.start, NativeStart::kError);
    EXPECT_EQ(native.error_number, errno_of(error, ImageRole::kProgram));
  } else if (error == LoadError::kNoLoadSegments) {
    EXPECT_EQ(native.start, NativeStart::kStarted);  // at an address where nothing is: it dies at once
  } else {
    EXPECT_EQ(native.start, NativeStart::kKilled);
  }
}

INSTANTIATE_TEST_SUITE_P(Each, ElfDefects, ::testing::ValuesIn(kDefects),
                         [](const auto& each) { return std::string(each.param.name); });

TEST(ElfHeader, NamesTheProcessorOfForeignPrograms) {
  SmallElf elf(ET_EXEC);
  elf.header.e_machine = EM_AARCH64;
  ElfPlan plan;
  EXPECT_EQ(parse(elf.file(), plan), LoadError::kWrongMachine);
  EXPECT_STREQ(machine_name(plan.header.machine), "aarch64");
  elf.header.e_ident[EI_DATA] = ELFDATA2MSB;
  elf.header.e_machine = EM_S390 << 8;
  EXPECT_EQ(parse(elf.file(), plan), LoadError::kBigEndian);
  EXPECT_STREQ(machine_name(plan.header.machine), "s390");
}

TEST(ElfHeader, RefusesEveryTruncationOfHeaderAndTable) {
  const std::string file = SmallElf(ET_EXEC).file();
  const std::size_t complete = sizeof(Elf64_Ehdr) + 3 * sizeof(Elf64_Phdr);
  for (std::size_t size = 0; size < complete; ++size) {
    const LoadError expected = size < 4                    ? LoadError::kNotElf
                               : size < sizeof(Elf64_Ehdr) ? LoadError::kTruncatedHeader
                                                           : LoadError::kTruncatedTable;
    EXPECT_EQ(parse(file.substr(0, size)), expected) << size;
  }
  EXPECT_EQ(parse(file.substr(0, complete)), LoadError::kNone);
}

TEST(ElfHeader, IgnoresClassByteOrderAndVersionAsLinuxDoes) {
  SmallElf elf(ET_EXEC);
  elf.header.e_ident[EI_CLASS] = 9;
  elf.header.e_ident[EI_DATA] = 9;
  elf.header.e_ident[EI_VERSION] = elf.header.e_version = 9;
  elf.header.e_ehsize = 1;
  const testing::TemporaryDirectory directory;
  EXPECT_EQ(parse(elf.file()), LoadError::kNone);
  EXPECT_EQ(testing::run_natively(directory.write("program", elf.file())).start, NativeStart::kStarted);
}

TEST(ElfPlan, DescribesSmallProgram) {
  SmallElf elf(ET_EXEC);
  elf.segments[1].p_align = 0x200000;
  elf.segments[0].p_align = 0x3000;  // not a power of two: no meaning
  ElfPlan plan;
  const std::string file = elf.file();
  ASSERT_EQ(parse(file, plan), LoadError::kNone);
  EXPECT_EQ(plan.header.type, ElfType::kFixedAddress);
  EXPECT_EQ(plan.header.entry, 0x10001000u);
  EXPECT_EQ(plan.load_count, 2u);
  EXPECT_EQ(plan.span_begin, 0x10000000u);
  EXPECT_EQ(plan.span_end, 0x10006000u);
  EXPECT_EQ(plan.end_of_bss, 0x10005100u);
  EXPECT_EQ(plan.table_address, 0x10000040u);
  EXPECT_EQ(plan.maximum_alignment, 0x200000u);
  EXPECT_EQ(plan.stack, StackExecution::kForbidden);
  EXPECT_FALSE(has_interpreter(plan));
}

TEST(ElfPlan, LastStackHeaderCountsAndAbsenceIsTheDefault) {
  SmallElf elf(ET_EXEC);
  ElfPlan plan;
  elf.segments.push_back({PT_GNU_STACK, PF_R | PF_W | PF_X, 0, 0, 0, 0, 0, 0});
  ASSERT_EQ(parse(elf.file(), plan), LoadError::kNone);
  EXPECT_EQ(plan.stack, StackExecution::kAllowed);
  elf.segments.resize(2);
  ASSERT_EQ(parse(elf.file(), plan), LoadError::kNone);
  EXPECT_EQ(plan.stack, StackExecution::kDefault);
}

TEST(ElfPlan, FirstInterpreterCounts) {
  SmallElf elf(ET_DYN);
  elf.add_interpreter(std::string("/first", 7));
  elf.segments.push_back({PT_INTERP, PF_R, 0, 0, 0, 1, 1, 1});
  ElfPlan plan;
  ASSERT_EQ(parse(elf.file(), plan), LoadError::kNone);
  EXPECT_EQ(plan.interpreter_size, 7u);
}

TEST(ElfPlan, AcceptsAsManyHeadersAsLinux) {
  SmallElf elf(ET_EXEC);
  elf.segments.resize(1170, {PT_NULL, 0, 0, 0, 0, 0, 0, 0});
  elf.header.e_phoff = 0x4001;  // behind everything, and misaligned
  ElfPlan plan;
  const std::string file = elf.file();
  ASSERT_EQ(parse(file, plan), LoadError::kNone);
  EXPECT_EQ(plan.table_address, 0u);
  const testing::TemporaryDirectory directory;
  const testing::NativeExec native = testing::run_natively(directory.write("program", file));
  ASSERT_EQ(native.start, NativeStart::kStarted);
  EXPECT_EQ(native.auxiliary_value(AT_PHNUM), 1170u);
  EXPECT_EQ(native.auxiliary_value(AT_PHDR), 0u);
}

TEST(LoadSegment, SplitsFilePartPaddingAndBss) {
  const ProgramHeader header = {PT_LOAD, PF_R | PF_W, 0x2340, 0x5340, 0, 0x100, 0x2000, 0x1000};
  const LoadSegment segment = load_segment(header);
  EXPECT_EQ(segment.protection, std::uint32_t{PROT_READ | PROT_WRITE});
  EXPECT_EQ(segment.file_address, 0x5000u);
  EXPECT_EQ(segment.file_offset, 0x2000u);
  EXPECT_EQ(segment.file_size, 0x1000u);
  EXPECT_EQ(segment.pad_address, 0x5440u);
  EXPECT_EQ(segment.pad_size, 0xbc0u);
  EXPECT_EQ(segment.bss_address, 0x6000u);
  EXPECT_EQ(segment.bss_size, 0x2000u);
}

TEST(LoadSegment, KeepsFileContentBehindSegmentWithoutBss) {
  const LoadSegment segment = load_segment({PT_LOAD, PF_R | PF_W, 0x2340, 0x5340, 0, 0x100, 0x100, 0x1000});
  EXPECT_EQ(segment.pad_size, 0u);
  EXPECT_EQ(segment.bss_size, 0u);
}

TEST(LoadSegment, MapsPureBssFromItsFirstPage) {
  const LoadSegment segment = load_segment({PT_LOAD, PF_R, 0x17, 0x5340, 0, 0, 0x1000, 0x1000});
  EXPECT_EQ(segment.file_size, 0u);
  EXPECT_EQ(segment.bss_address, 0x5000u);
  EXPECT_EQ(segment.bss_size, 0x2000u);
}

TEST(CoveredRanges, JoinNeighboursAndOverlapsInAnyOrder) {
  SmallElf elf(ET_DYN);
  elf.segments = {{PT_LOAD, PF_R, 0, 0x9000, 0, 0x10, 0x10, 0},
                  {PT_LOAD, PF_R, 0, 0x1000, 0, 0x1800, 0x1800, 0},
                  {PT_LOAD, PF_R, 0, 0x2000, 0, 0x2000, 0x2000, 0},
                  {PT_LOAD, PF_R, 0, 0x4000, 0, 0, 0x1, 0},
                  {PT_LOAD, PF_R, 0, 0x7000, 0, 0, 0, 0}};
  const std::string file = elf.file();
  ElfPlan plan;
  ASSERT_EQ(parse(file, plan), LoadError::kNone);
  PageRange range = next_covered_range(plan, 0);
  EXPECT_EQ(range.begin, 0x1000u);
  EXPECT_EQ(range.end, 0x5000u);
  range = next_covered_range(plan, range.end);
  EXPECT_EQ(range.begin, 0x9000u);
  EXPECT_EQ(range.end, 0xa000u);
  EXPECT_EQ(next_covered_range(plan, range.end).end, 0u);
}

struct RealProgram {
  const char* path;
  const char* interpreter;
};
void PrintTo(const RealProgram& program, std::ostream* out) { *out << program.path; }

class RealPrograms : public ::testing::TestWithParam<RealProgram> {};

TEST_P(RealPrograms, AreAccepted) {
  const std::string file = testing::read_file(GetParam().path);
  ASSERT_FALSE(file.empty());
  ElfPlan plan;
  ASSERT_EQ(parse(file, plan), LoadError::kNone);
  EXPECT_EQ(plan.header.type, ElfType::kPositionIndependent);
  EXPECT_EQ(plan.table_address, plan.header.table_offset);
  EXPECT_STREQ(has_interpreter(plan) ? file.c_str() + plan.interpreter_offset : "", GetParam().interpreter);
  EXPECT_EQ(plan.stack, StackExecution::kForbidden);
}

INSTANTIATE_TEST_SUITE_P(Debian, RealPrograms,
                         ::testing::Values(RealProgram{"/bin/true", "/lib64/ld-linux-x86-64.so.2"},
                                           RealProgram{"/bin/bash", "/lib64/ld-linux-x86-64.so.2"},
                                           RealProgram{"/lib64/ld-linux-x86-64.so.2", ""}));

// Byte-level mutations of headers: Linux and we must agree whether the file starts, dies or is refused, and why.
TEST(ElfMutations, LinuxAgrees) {
  std::mt19937 random(20261123);
  const testing::TemporaryDirectory directory;
  const std::uint8_t interesting[] = {0, 1, 2, 3, 6, 7, 8, 0x10, 0x38, 0x7f, 0x80, 0xff};
  for (unsigned round = 0; round < 400; ++round) {
    std::string file = SmallElf(round % 2 ? ET_EXEC : ET_DYN).file();
    const std::size_t at = 16 + random() % (sizeof(Elf64_Ehdr) + 3 * sizeof(Elf64_Phdr) - 16);
    file[at] = static_cast<char>(interesting[random() % sizeof interesting]);
    const testing::NativeExec native = testing::run_natively(directory.write("program", file));
    ElfPlan plan;
    const LoadError error = parse(file, plan);
    SCOPED_TRACE("round " + std::to_string(round) + " byte " + std::to_string(at) + " error " + describe(error).why +
                 " native " + std::to_string(static_cast<int>(native.start)));
    if (native.start == NativeStart::kError) {
      EXPECT_EQ(errno_of(error, ImageRole::kProgram), native.error_number);
    } else if (native.start == NativeStart::kStarted) {
      EXPECT_TRUE(error == LoadError::kNone || error == LoadError::kNoLoadSegments);
      if (error == LoadError::kNone) {
        EXPECT_EQ(plan.header.table_count, native.auxiliary_value(AT_PHNUM));
      }
    } else if (error != LoadError::kNone) {
      // Killed while loading. Files that parse may still fail to map (zeroing behind the end, address 0).
      EXPECT_EQ(native_outcome(error, ImageRole::kProgram), NativeOutcome::kKillsProcess);
    }
  }
}

}  // namespace
}  // namespace casemate::runtime
