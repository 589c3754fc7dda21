#include "runtime/loader/image.h"

#include <elf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "runtime/loader/elf_file.h"
#include "runtime/loader/testing/support.h"

namespace casemate::runtime {
namespace {

using testing::Mapping;
using testing::NativeStart;
using testing::SmallElf;

// An image mapped into the test process, unmapped at the end.
class Loaded {
 public:
  explicit Loaded(const std::string& path, ImageRole role = ImageRole::kProgram,
                  Randomization randomization = Randomization::kOn) {
    file_.fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    file_.scratch = scratch_;
    failure = read_head(file_, role);
    if (!failed(failure)) failure = read_plan(file_, role);
    const MapRequest request = {
        .fd = file_.fd, .role = role, .randomization = randomization, .on_code_mapped = {&Loaded::note_code, this}};
    if (!failed(failure)) failure = map_image(file_.plan, request, image);
  }
  ~Loaded() {
    if (!failed(failure)) unmap_image(file_.plan, image);
    release_elf(file_);
    close(file_.fd);
  }
  Loaded(const Loaded&) = delete;
  Loaded& operator=(const Loaded&) = delete;

  const ElfPlan& plan() const { return file_.plan; }

  LoadFailure failure;
  MappedImage image = {};
  std::vector<PageRange> code;

 private:
  static void note_code(void* self, std::uint64_t start, std::uint64_t size) {
    static_cast<Loaded*>(self)->code.push_back({start, start + size});
  }

  std::byte scratch_[kFileHeadSize] = {};
  ElfFile file_;
};

std::vector<Mapping> mappings_here() { return testing::parse_maps(testing::read_file("/proc/self/maps")); }

// What stands in [start, end), relative to `bias`; neighbours with equal properties joined, as the kernel may or may
// not.
std::vector<Mapping> mapped_between(const std::vector<Mapping>& all, std::uint64_t start, std::uint64_t end,
                                    std::uint64_t bias) {
  std::vector<Mapping> result;
  for (const Mapping& mapping : all) {
    if (mapping.start >= end || mapping.end <= start) continue;
    Mapping relative = mapping;
    relative.start = std::max(mapping.start, start) - bias;
    relative.end = std::min(mapping.end, end) - bias;
    if (relative.name == "[heap]") relative.name.clear();  // bss of programs whose heap follows
    if (!result.empty() && result.back().end == relative.start && result.back().name == relative.name &&
        result.back().protection == relative.protection && relative.name.empty()) {
      result.back().end = relative.end;
      continue;
    }
    result.push_back(relative);
  }
  return result;
}

void PrintMappings(const std::vector<Mapping>& mappings, std::ostream& out) {
  for (const Mapping& mapping : mappings)
    out << std::hex << mapping.start << "-" << mapping.end << " " << mapping.protection << " " << mapping.offset << " "
        << mapping.name << "\n";
}

// Linux and we load the same file; the pages, their protection and origin and the auxiliary vector must agree.
void expect_same_as_natively(const std::string& path) {
  SCOPED_TRACE(path);
  const testing::NativeExec native = testing::run_natively(path);
  ASSERT_EQ(native.start, NativeStart::kStarted);
  const Loaded ours(path);
  ASSERT_EQ(ours.failure.error, LoadError::kNone) << describe(ours.failure.error).why;
  const std::uint64_t native_bias = native.auxiliary_value(AT_ENTRY) - ours.plan().header.entry;
  EXPECT_EQ(native.auxiliary_value(AT_PHDR) - native_bias, ours.image.phdr_address - ours.image.load_bias);
  EXPECT_EQ(native.auxiliary_value(AT_PHNUM), ours.image.phnum);
  EXPECT_EQ(native.auxiliary_value(AT_PHENT), ours.image.phent);
  if (ours.image.type == ElfType::kFixedAddress) {
    EXPECT_EQ(ours.image.load_bias, 0u);
    EXPECT_EQ(native_bias, 0u);
  }
  const std::uint64_t size = ours.image.end - ours.image.start;
  const std::uint64_t native_start = native_bias + ours.plan().span_begin;
  const auto expected =
      mapped_between(testing::parse_maps(native.maps), native_start, native_start + size, native_bias);
  const auto actual = mapped_between(mappings_here(), ours.image.start, ours.image.end, ours.image.load_bias);
  if (expected != actual) {
    ADD_FAILURE() << "mappings differ; native, then ours:";
    PrintMappings(expected, std::cerr);
    std::cerr << "--\n";
    PrintMappings(actual, std::cerr);
  }
  std::size_t executable = 0;
  for (const Mapping& mapping : actual) executable += mapping.protection[2] == 'x' ? 1 : 0;
  EXPECT_EQ(ours.code.size(), executable);
}

constexpr char kProgram[] = "int big[100000]; int start = 7; int main(void) { return big[5] + start - 7; }\n";

TEST(MapImage, GivesTheMappingsThatLinuxGives) {
  expect_same_as_natively("/bin/true");
  expect_same_as_natively("/bin/bash");
  expect_same_as_natively("/lib64/ld-linux-x86-64.so.2");
}

TEST(MapImage, GivesTheMappingsThatLinuxGivesToCompiledPrograms) {
  const testing::TemporaryDirectory directory;
  const struct {
    const char* name;
    const char* command;
  } kinds[] = {
      {"static", "gcc -static"},
      {"static_pie", "gcc -static-pie"},
      {"fixed", "gcc -no-pie"},
      {"aligned_pie", "gcc -pie -Wl,-z,max-page-size=0x200000"},
      {"aligned_static_pie", "gcc -static-pie -Wl,-z,max-page-size=0x200000"},
  };
  for (const auto& kind : kinds) {
    const std::string path = directory.compile(kind.name, kProgram, kind.command);
    ASSERT_FALSE(path.empty()) << kind.command;
    expect_same_as_natively(path);
  }
}

TEST(MapImage, GivesTheMappingsThatLinuxGivesToMuslPrograms) {
  const testing::TemporaryDirectory directory;
  const std::string path = directory.compile("musl", kProgram, "musl-gcc");
  if (path.empty()) GTEST_SKIP() << "musl-gcc is not installed";
  expect_same_as_natively(path);
}

TEST(MapImage, GivesTheMappingsThatLinuxGivesToHandmadePrograms) {
  const testing::TemporaryDirectory directory;
  SmallElf code_in_bss(ET_EXEC);
  code_in_bss.segments[1].p_flags |= PF_X;
  expect_same_as_natively(directory.write("code_in_bss", code_in_bss.file()));
  SmallElf overlap(ET_EXEC);
  overlap.segments[1].p_vaddr = 0x10001000;  // over the code, whose bytes it does not hold
  expect_same_as_natively(directory.write("overlap", overlap.file()));
  SmallElf unreadable(ET_DYN);
  unreadable.segments[1].p_flags = 0;
  expect_same_as_natively(directory.write("unreadable", unreadable.file()));
  SmallElf only_bss(ET_EXEC);
  only_bss.segments[1].p_filesz = 0;
  only_bss.segments[1].p_flags = PF_R;
  expect_same_as_natively(directory.write("only_bss", only_bss.file()));
}

TEST(MapImage, PlacesProgramsWithInterpreterInTheProgramArea) {
  const Loaded first("/bin/true"), second("/bin/true");
  EXPECT_GE(first.image.load_bias, 0x555555554000u);
  EXPECT_LT(first.image.load_bias, 0x565555554000u);
  EXPECT_NE(first.image.load_bias, second.image.load_bias);
  EXPECT_EQ(first.image.brk_start, page_end(first.image.end_of_bss));
}

TEST(MapImage, PlacesProgramsAtTheBaseWithoutRandomisation) {
  const testing::TemporaryDirectory directory;
  SmallElf elf(ET_DYN);
  elf.add_interpreter(std::string("/x", 3));
  elf.segments[1].p_align = 0x10000000;
  const std::string path = directory.write("program", elf.file());
  const Loaded first(path, ImageRole::kProgram, Randomization::kOff);
  const Loaded second(path, ImageRole::kProgram, Randomization::kOff);
  ASSERT_FALSE(failed(first.failure));
  ASSERT_FALSE(failed(second.failure));
  EXPECT_EQ(first.image.load_bias % 0x10000000, 0u);
  EXPECT_EQ(second.image.load_bias % 0x10000000, 0u);
  EXPECT_NE(second.image.load_bias, first.image.load_bias);  // the first one's place is taken
}

TEST(MapImage, HonoursAlignmentOfProgramsWithoutInterpreter) {
  const testing::TemporaryDirectory directory;
  SmallElf elf(ET_DYN);
  elf.segments[0].p_align = 0x40000000;
  const Loaded loaded(directory.write("program", elf.file()));
  ASSERT_FALSE(failed(loaded.failure));
  EXPECT_EQ(loaded.image.load_bias % 0x40000000, 0u);
  EXPECT_EQ(loaded.image.brk_start, 0x555555554000u);
}

TEST(MapImage, ZeroesBehindTheFilePartUpToThePageEnd) {
  const testing::TemporaryDirectory directory;
  SmallElf elf(ET_DYN);
  elf.content.resize(0x3000, 'x');
  const Loaded loaded(directory.write("program", elf.file()));
  ASSERT_FALSE(failed(loaded.failure));
  const char* data = reinterpret_cast<const char*>(loaded.image.load_bias + 0x3000);
  EXPECT_EQ(std::string(data, 0x100), std::string(0x100, 'x'));
  EXPECT_EQ(std::string(data + 0x100, 0x2f00), std::string(0x2f00, '\0'));
}

TEST(MapImage, KeepsTheFileBehindSegmentsWithoutBss) {
  const testing::TemporaryDirectory directory;
  SmallElf elf(ET_DYN);
  elf.content.resize(0x3000, 'x');
  elf.segments[1].p_memsz = elf.segments[1].p_filesz;
  const Loaded loaded(directory.write("program", elf.file()));
  ASSERT_FALSE(failed(loaded.failure));
  EXPECT_EQ(*reinterpret_cast<const char*>(loaded.image.load_bias + 0x3fff), 'x');
}

TEST(MapImage, RefusesToReplaceWhatIsAtAFixedAddress) {
  const testing::TemporaryDirectory directory;
  const std::string path = directory.write("program", SmallElf(ET_EXEC).file());
  void* const taken = mmap(reinterpret_cast<void*>(0x10004000), 4096, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  ASSERT_EQ(taken, reinterpret_cast<void*>(0x10004000));
  std::memcpy(taken, "mine", 4);
  const std::string before = testing::read_file("/proc/self/maps");
  {
    const Loaded loaded(path);
    EXPECT_EQ(loaded.failure.error, LoadError::kAddressConflict);
    EXPECT_EQ(loaded.failure.error_number, EEXIST);
  }
  EXPECT_EQ(std::memcmp(taken, "mine", 4), 0);
  munmap(taken, 4096);
  EXPECT_FALSE(failed(Loaded(path).failure));
}

TEST(MapImage, LeavesNothingBehindOnFailure) {
  const testing::TemporaryDirectory directory;
  SmallElf far(ET_EXEC);  // two ranges: the first is free, the second is taken
  far.segments[1].p_vaddr = 0x10100000;
  const std::string path = directory.write("program", far.file());
  void* const taken = mmap(reinterpret_cast<void*>(0x10100000), 4096, PROT_READ,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  ASSERT_EQ(taken, reinterpret_cast<void*>(0x10100000));
  { EXPECT_EQ(Loaded(path).failure.error, LoadError::kAddressConflict); }
  EXPECT_TRUE(mapped_between(mappings_here(), 0x10000000, 0x10100000, 0).empty());
  munmap(taken, 4096);

  std::string truncated = SmallElf(ET_EXEC).file();
  truncated.resize(0x1f00);  // the writable segment has no page at all
  const std::string cut = directory.write("cut", truncated);
  { EXPECT_EQ(Loaded(cut).failure.error, LoadError::kTruncatedFile); }
  EXPECT_TRUE(mapped_between(mappings_here(), 0x10000000, 0x10200000, 0).empty());
  EXPECT_EQ(testing::run_natively(cut).start, NativeStart::kKilled);
}

TEST(MapImage, RefusesImagesLargerThanTheAddressSpace) {
  const testing::TemporaryDirectory directory;
  SmallElf elf(ET_DYN);
  elf.segments[1].p_memsz = 0x7ffffff00000;
  const std::string path = directory.write("program", elf.file());
  EXPECT_EQ(Loaded(path).failure.error, LoadError::kOutOfMemory);
  EXPECT_EQ(testing::run_natively(path).start, NativeStart::kKilled);
}

TEST(MapImage, RefusesEntryOutsideTheAddressSpace) {
  const testing::TemporaryDirectory directory;
  SmallElf elf(ET_DYN);
  elf.header.e_entry = 0x8000000000000000;
  EXPECT_EQ(Loaded(directory.write("program", elf.file())).failure.error, LoadError::kEntryOutsideAddressSpace);
}

TEST(MapImage, ReadsTablesAnywhereInTheFile) {
  const testing::TemporaryDirectory directory;
  SmallElf elf(ET_EXEC);
  elf.segments.resize(1170, {PT_NULL, 0, 0, 0, 0, 0, 0, 0});
  elf.header.e_phoff = 0x4001;
  expect_same_as_natively(directory.write("program", elf.file()));
}

}  // namespace
}  // namespace casemate::runtime
