#include "las/image_layout.h"

#include <elf.h>
#include <gtest/gtest.h>

#include <cstring>
#include <span>

namespace casemate::las {
namespace {

using protocol::LasRefusal;

constexpr std::uint64_t kBias = 0x7f1200000000;
constexpr std::uint64_t kStackEnd = 0x7ffd00021000;

Elf64_Phdr load(std::uint32_t flags, std::uint64_t address, std::uint64_t offset, std::uint64_t file_size,
                std::uint64_t memory_size) {
  Elf64_Phdr segment = {};
  segment.p_type = PT_LOAD;
  segment.p_flags = flags;
  segment.p_vaddr = address;
  segment.p_offset = offset;
  segment.p_filesz = file_size;
  segment.p_memsz = memory_size;
  return segment;
}

crypto::Bytes image(const std::vector<Elf64_Phdr>& segments) {
  Elf64_Ehdr header = {};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_machine = EM_X86_64;
  header.e_type = ET_DYN;
  header.e_phoff = sizeof(header);
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = static_cast<std::uint16_t>(segments.size());
  crypto::Bytes bytes = crypto::to_bytes(std::as_bytes(std::span(&header, 1)));
  crypto::append(bytes, std::as_bytes(std::span(segments)));
  return bytes;
}

std::vector<Elf64_Phdr> usual() {
  return {load(PF_R, 0, 0, 0x800, 0x800), load(PF_R | PF_X, 0x1000, 0x1000, 0x1fff, 0x1fff),
          load(PF_R | PF_W, 0x3f00, 0x3f00, 0x200, 0x5000)};
}

const MappedFile kFile = {"fe:00", 42};

Mapping of_file(std::uint64_t start, std::uint64_t end, const char* permissions, std::uint64_t offset) {
  return {kBias + start, kBias + end, offset, kFile.inode, permissions, kFile.device, "/opt/casemate-runtime", 0};
}
Mapping anonymous(std::uint64_t start, std::uint64_t end, const char* permissions, const char* name) {
  return {start, end, 0, 0, permissions, "00:00", name, 0};
}

// As the kernel maps usual().
std::vector<Mapping> fresh() {
  return {of_file(0, 0x1000, "r--p", 0),
          of_file(0x1000, 0x3000, "r-xp", 0x1000),
          of_file(0x3000, 0x5000, "rw-p", 0x3000),
          anonymous(kBias + 0x5000, kBias + 0x9000, "rw-p", ""),
          anonymous(kStackEnd - 0x21000, kStackEnd, "rw-p", "[stack]"),
          anonymous(0x7ffd00100000, 0x7ffd00104000, "r--p", "[vvar]"),
          anonymous(0x7ffd00104000, 0x7ffd00106000, "r-xp", "[vdso]"),
          anonymous(0xffffffffff600000, 0xffffffffff601000, "--xp", "[vsyscall]")};
}

LasRefusal judge(const std::vector<Mapping>& found) {
  const auto expected = expected_mappings(image(usual()));
  EXPECT_TRUE(expected.has_value());
  return judge_mappings(found, expected.value(), kFile);
}

TEST(ImageLayout, KnowsWhatTheKernelMaps) {
  const auto expected = expected_mappings(image(usual()));
  ASSERT_TRUE(expected.has_value()) << expected.error().message();
  const std::vector<ExpectedMapping> wanted = {{0, 0x1000, 0, "r--p", true},
                                               {0x1000, 0x3000, 0x1000, "r-xp", true},
                                               {0x3000, 0x5000, 0x3000, "rw-p", true},
                                               {0x5000, 0x9000, 0, "rw-p", false}};
  EXPECT_EQ(expected.value(), wanted);
}

TEST(ImageLayout, AcceptsAFreshImage) { EXPECT_EQ(judge(fresh()), LasRefusal::kNone); }

TEST(ImageLayout, RefusesAnyFurtherMapping) {
  for (const Mapping& more :
       {anonymous(0x400000, 0x401000, "r-xp", ""), anonymous(0x500000, 0x501000, "rw-p", "[heap]"),
        anonymous(0x500000, 0x501000, "rw-p", "[anon:vdso]"), of_file(0x100000, 0x101000, "r--p", 0),
        Mapping{0x400000, 0x401000, 0, 7, "r-xp", "00:01", "[vdso]", 0}}) {
    std::vector<Mapping> found = fresh();
    found.push_back(more);
    EXPECT_EQ(judge(found), LasRefusal::kProgramMapped) << more.name;
  }
}

TEST(ImageLayout, RefusesWhatIsMissingOrElsewhere) {
  for (std::size_t i = 0; i < 4; ++i) {
    std::vector<Mapping> found = fresh();
    found.erase(found.begin() + static_cast<std::ptrdiff_t>(i));
    EXPECT_EQ(judge(found), LasRefusal::kProgramMapped) << i;
    found = fresh();
    found[i].end += 0x1000;
    EXPECT_EQ(judge(found), LasRefusal::kProgramMapped) << i;
    found = fresh();
    found[i].permissions = "rwxp";
    EXPECT_EQ(judge(found), LasRefusal::kProgramMapped) << i;
  }
}

TEST(ImageLayout, RefusesAnotherFileAtTheSamePlaces) {
  std::vector<Mapping> found = fresh();
  found[1].inode = 43;
  EXPECT_EQ(judge(found), LasRefusal::kProgramMapped);
  found = fresh();
  found[1].device = "fe:01";
  EXPECT_EQ(judge(found), LasRefusal::kProgramMapped);
  found = fresh();
  found[1].offset = 0x2000;
  EXPECT_EQ(judge(found), LasRefusal::kProgramMapped);
}

TEST(ImageLayout, RefusesChangedCodeButNotChangedData) {
  for (const std::size_t constant : {0U, 1U}) {
    std::vector<Mapping> found = fresh();
    found[constant].private_pages_kib = 4;
    EXPECT_EQ(judge(found), LasRefusal::kCodeChanged);
  }
  std::vector<Mapping> found = fresh();
  found[2].private_pages_kib = 8;
  EXPECT_EQ(judge(found), LasRefusal::kNone);
}

TEST(ImageLayout, RefusesAnExecutableStack) {
  std::vector<Mapping> found = fresh();
  found[4].permissions = "rwxp";
  EXPECT_EQ(judge(found), LasRefusal::kProgramMapped);
}

LasRefusal judge_hosted(const std::vector<Mapping>& found) {
  return judge_hosted_mappings(found, expected_mappings(image(usual())).value(), kFile);
}

TEST(HostedImage, MayHaveMemoryWithoutAFileThatIsNotExecutable) {
  std::vector<Mapping> found = fresh();
  found.push_back(anonymous(0x500000, 0x521000, "rw-p", "[heap]"));
  found.push_back(anonymous(0x600000, 0x621000, "---p", ""));
  found[2].end = kBias + 0x4000;  // RELRO: the first part became constant
  found[2].permissions = "r--p";
  found[2].private_pages_kib = 4;
  found.push_back(of_file(0x4000, 0x5000, "rw-p", 0x4000));
  EXPECT_EQ(judge_hosted(found), LasRefusal::kNone);
  EXPECT_EQ(judge_hosted(fresh()), LasRefusal::kNone);
}

TEST(HostedImage, MayHaveNoOtherCodeAndNoOtherFile) {
  for (const Mapping& more :
       {anonymous(0x400000, 0x401000, "r-xp", ""), anonymous(0x400000, 0x401000, "rwxp", "[heap]"),
        of_file(0x100000, 0x101000, "r--p", 0), of_file(0x9000, 0xa000, "r-xp", 0x1000),
        Mapping{0x400000, 0x401000, 0, 7, "rw-s", "00:01", "/memfd:x", 0},
        Mapping{0x400000, 0x401000, 0, 0, "rw-s", "00:00", "", 0}}) {
    std::vector<Mapping> found = fresh();
    found.push_back(more);
    EXPECT_EQ(judge_hosted(found), LasRefusal::kProgramMapped) << more.name;
  }
}

TEST(HostedImage, MustHaveAllOfItsCodeUnchanged) {
  std::vector<Mapping> found = fresh();
  found[1].private_pages_kib = 4;
  EXPECT_EQ(judge_hosted(found), LasRefusal::kCodeChanged);
  found = fresh();
  found[1].end -= 0x1000;
  EXPECT_EQ(judge_hosted(found), LasRefusal::kProgramMapped);
  found = fresh();
  found.erase(found.begin() + 1);
  EXPECT_EQ(judge_hosted(found), LasRefusal::kProgramMapped);
  EXPECT_EQ(judge_hosted({}), LasRefusal::kProgramMapped);
}

// An image with `note` in a note segment at `offset`.
crypto::Bytes image_with_note(std::uint32_t type, const char* name, std::uint64_t offset) {
  std::vector<Elf64_Phdr> segments = usual();
  Elf64_Phdr segment = load(PF_R, offset, offset, 24, 24);
  segment.p_type = PT_NOTE;
  segments.push_back(segment);
  crypto::Bytes bytes = image(segments);
  bytes.resize(0x1000);
  const Elf64_Nhdr note = {9, 0, type};
  std::memcpy(bytes.data() + offset, &note, sizeof(note));
  std::memcpy(bytes.data() + offset + sizeof(note), name, 9);
  return bytes;
}

TEST(HostedImage, SaysSoByANoteThatIsMeasured) {
  EXPECT_TRUE(is_hosted(image_with_note(kHostedNote, "Casemate", 0x400)));
  EXPECT_FALSE(is_hosted(image_with_note(kHostedNote + 1, "Casemate", 0x400)));
  EXPECT_FALSE(is_hosted(image_with_note(kHostedNote, "casemate", 0x400)));
  EXPECT_FALSE(is_hosted(image_with_note(kHostedNote, "Casemate", 0x7f0)));  // behind the mapped part of the segment
  EXPECT_FALSE(is_hosted(image(usual())));
  EXPECT_FALSE(is_hosted({}));
}

TEST(ImageLayout, NoticesAddressesThatAreNotRandom) {
  EXPECT_TRUE(is_randomized(fresh()));
  std::vector<Mapping> found = fresh();
  found[4].end = 0x7ffffffff000;
  EXPECT_FALSE(is_randomized(found));
  EXPECT_FALSE(is_randomized({}));
}

TEST(ImageLayout, RefusesFilesThatAreNoStaticExecutables) {
  EXPECT_FALSE(expected_mappings({}).has_value());
  EXPECT_FALSE(expected_mappings(image({})).has_value());
  crypto::Bytes file = image(usual());
  EXPECT_FALSE(expected_mappings(crypto::ByteView(file).first(100)).has_value());
  file[EI_CLASS] = std::byte{ELFCLASS32};
  EXPECT_FALSE(expected_mappings(file).has_value());
  std::vector<Elf64_Phdr> interpreted = usual();
  interpreted.push_back({});
  interpreted.back().p_type = PT_INTERP;
  EXPECT_FALSE(expected_mappings(image(interpreted)).has_value());
  EXPECT_FALSE(expected_mappings(image(std::vector<Elf64_Phdr>(17, usual()[0]))).has_value());
}

TEST(ImageLayout, RefusesImplausibleSegments) {
  for (const Elf64_Phdr& broken :
       {load(PF_R, 0, 0, 0x2000, 0x1000), load(PF_R, 0x100, 0, 1, 1), load(PF_R, ~0UL & ~0xfffUL, 0, 0x1000, 0x1000),
        load(PF_R, 0, 0, 1, ~0UL), load(PF_R | PF_W, 0, 0, 0, 0x1000)}) {
    EXPECT_FALSE(expected_mappings(image({broken})).has_value());
  }
}

}  // namespace
}  // namespace casemate::las
