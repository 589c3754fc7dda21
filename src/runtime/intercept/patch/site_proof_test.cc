// Proofs over bytes laid out by hand, above all those that must not be given.
#include "runtime/intercept/patch/site_proof.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>
#include <initializer_list>
#include <vector>

namespace casemate::runtime {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes operator+(const Bytes& left, const Bytes& right) {
  Bytes sum = left;
  sum.insert(sum.end(), right.begin(), right.end());
  return sum;
}

const Bytes kGetpid = {0xb8, 0x27, 0, 0, 0, 0x0f, 0x05};  // mov $39,%eax; syscall
Bytes nops(std::size_t count) { return Bytes(count, 0x90); }
Bytes traps(std::size_t count) { return Bytes(count, 0xcc); }

// An anonymous page that begins with `bytes`.
class Code {
 public:
  explicit Code(const Bytes& bytes) {
    void* mapped = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    std::memset(mapped, 0xcc, kSize);
    std::memcpy(mapped, bytes.data(), bytes.size());
    mapping_.start = reinterpret_cast<std::uint64_t>(mapped);
    mapping_.end = mapping_.start + kSize;
    mapping_.backing = CodeBacking::kAnonymous;
  }
  ~Code() { munmap(reinterpret_cast<void*>(mapping_.start), kSize); }
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;

  SiteProof prove(std::uint64_t offset) const { return prove_site(mapping_, mapping_.start + offset); }

 private:
  static constexpr std::size_t kSize = 4096;
  CodeMapping mapping_{};
};

TEST(SiteProof, AcceptsGeneratedCodeAtTheStartOfItsMapping) {
  const SiteProof proof = Code(kGetpid).prove(5);
  EXPECT_EQ(proof.kind, ProofKind::kMappingStart);
  ASSERT_EQ(proof.before_count, 1);
  EXPECT_EQ(proof.before_size[0], 5);
}

TEST(SiteProof, AcceptsACallThatIsTheFirstInstruction) {
  const SiteProof proof = Code(Bytes{0x0f, 0x05, 0xc3}).prove(0);
  EXPECT_EQ(proof.kind, ProofKind::kMappingStart);
  EXPECT_EQ(proof.before_count, 0);
}

TEST(SiteProof, AcceptsUnanimousStreams) {
  const SiteProof proof = Code(nops(200) + kGetpid).prove(205);
  EXPECT_EQ(proof.kind, ProofKind::kUnanimous);
  ASSERT_GE(proof.before_count, 2);
  EXPECT_EQ(proof.before_size[0], 5);
  EXPECT_EQ(proof.before_size[1], 1);
}

// movabs $0x.., %rax whose immediate is `mov $39,%eax; syscall; ret`, and something jumps into it.
const Bytes kMovabs = Bytes{0x48, 0xb8} + kGetpid + Bytes{0xc3};
constexpr std::size_t kInsideMovabs = 7;

TEST(SiteProof, RejectsSyscallBytesInsideImmediate) {
  for (const std::size_t before : {0u, 1u, 5u, 14u, 15u, 16u, 31u, 63u, 64u, 159u, 160u, 161u, 1000u}) {
    EXPECT_EQ(Code(nops(before) + kMovabs).prove(before + kInsideMovabs).kind, ProofKind::kNone) << before;
    EXPECT_EQ(Code(traps(before) + kMovabs).prove(before + kInsideMovabs).kind, ProofKind::kNone) << before;
  }
}

TEST(SiteProof, RejectsSyscallBytesInsideImmediateBehindOrdinaryCode) {
  // push %rbp; mov %rsp,%rbp; sub $16,%rsp; mov $1,%edi; lea 0x10(%rip),%rsi; test %rdi,%rdi; jz +2
  const Bytes prologue = {0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x10, 0xbf, 1,    0,    0, 0,
                          0x48, 0x8d, 0x35, 0x10, 0,    0,    0,    0x48, 0x85, 0xff, 0x74, 2};
  EXPECT_EQ(Code(prologue + kMovabs).prove(prologue.size() + kInsideMovabs).kind, ProofKind::kNone);
  EXPECT_EQ(Code(traps(150) + prologue + kMovabs).prove(150 + prologue.size() + kInsideMovabs).kind, ProofKind::kNone);
  EXPECT_NE(Code(traps(150) + prologue + kGetpid).prove(150 + prologue.size() + 5).kind, ProofKind::kNone);
}

TEST(SiteProof, RejectsSyscallBytesInsideDisplacementAndOtherImmediates) {
  const std::initializer_list<std::pair<Bytes, std::size_t>> cases = {
      {{0xb8, 0x0f, 0x05, 0, 0}, 1},                                // mov imm32
      {{0x8b, 0x80, 0, 0x0f, 0x05, 0}, 3},                          // mov disp32(%rax),%eax
      {{0xe8, 0, 0x0f, 0x05, 0}, 2},                                // call rel32
      {{0xc7, 0x44, 0x24, 0x0f, 0x05, 0, 0, 0}, 3},                 // disp8 and immediate
      {{0x62, 0xf1, 0x7c, 0x48, 0x10, 0x80, 0x0f, 0x05, 0, 0}, 6},  // EVEX
  };
  for (const auto& [bytes, offset] : cases) {
    EXPECT_EQ(Code(nops(100) + bytes).prove(100 + offset).kind, ProofKind::kNone) << offset;
    EXPECT_EQ(Code(bytes).prove(offset).kind, ProofKind::kNone) << offset;
  }
}

// An instruction the decoder does not know may have any length, so nothing may be concluded across it.
TEST(SiteProof, RejectsWhatStandsBehindUnknownInstructions) {
  const Bytes unknown = {0x0f, 0x0f, 0xc0, 0x0d};  // 3DNow!
  EXPECT_EQ(Code(unknown + kGetpid).prove(unknown.size() + 5).kind, ProofKind::kNone);
}

TEST(SiteProof, RejectsAddressesWithoutSystemCall) {
  EXPECT_EQ(Code(kGetpid).prove(4).kind, ProofKind::kNone);
  EXPECT_EQ(Code(nops(100)).prove(50).kind, ProofKind::kNone);
  EXPECT_EQ(Code(nops(100)).prove(4095).kind, ProofKind::kNone);
}

// An ELF object in memory: one page of headers and frames, then one page of code at 0x1000 with one function
// [0x1000, 0x1010).
class FrameObject {
 public:
  FrameObject() {
    void* mapped = mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bytes_ = static_cast<std::uint8_t*>(mapped);
    std::memset(bytes_ + 4096, 0x90, 4096);
    put(0, {0x7f, 'E', 'L', 'F', 2, 1, 1});
    put16(18, 62);  // x86-64
    put64(32, 64);  // program headers
    put16(54, 56);
    put16(56, 3);
    segment(0, 1, 4, 0, 0, 0x1000);
    segment(1, 1, 5, 0x1000, 0x1000, 0x1000);
    segment(2, 0x6474e550, 4, 0x300, 0x300, 20);
    put(0x300, {1, 0x1b, 3, 0x3b});
    put32(0x308, 1);
    put32(0x30c, 0x1000 - 0x300);  // location
    put32(0x310, 0x420 - 0x300);   // frame
    put32(0x400, 0x14);            // CIE
    put(0x408, {1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x1b});
    put32(0x420, 0x10);  // FDE
    put32(0x424, 0x24);
    put32(0x428, 0x1000 - 0x428);
    put32(0x42c, 0x10);
  }
  ~FrameObject() { munmap(bytes_, 8192); }
  FrameObject(const FrameObject&) = delete;
  FrameObject& operator=(const FrameObject&) = delete;

  void put(std::size_t at, const Bytes& bytes) { std::memcpy(bytes_ + at, bytes.data(), bytes.size()); }
  void put16(std::size_t at, std::uint16_t value) { std::memcpy(bytes_ + at, &value, 2); }
  void put32(std::size_t at, std::uint32_t value) { std::memcpy(bytes_ + at, &value, 4); }
  void put64(std::size_t at, std::uint64_t value) { std::memcpy(bytes_ + at, &value, 8); }
  std::uint8_t& at(std::size_t offset) { return bytes_[offset]; }

  SiteProof prove(std::size_t offset) const {
    CodeMapping mapping{};
    mapping.start = reinterpret_cast<std::uint64_t>(bytes_) + 4096;
    mapping.end = mapping.start + 4096;
    mapping.backing = CodeBacking::kFile;
    return prove_site(mapping, mapping.start + offset);
  }

 private:
  void segment(std::size_t index, std::uint32_t type, std::uint32_t flags, std::uint64_t offset, std::uint64_t address,
               std::uint64_t size) {
    const std::size_t at = 64 + index * 56;
    put32(at, type);
    put32(at + 4, flags);
    put64(at + 8, offset);
    put64(at + 16, address);
    put64(at + 32, size);
    put64(at + 40, size);
  }
  std::uint8_t* bytes_;
};

TEST(SiteProof, DecodesTheEnclosingFunction) {
  FrameObject object;
  object.put(0x1000, Bytes{0x48, 0x89, 0xf8} + kGetpid + Bytes{0x48, 0x3d, 0, 0xf0, 0xff, 0xff});
  const SiteProof proof = object.prove(8);
  EXPECT_EQ(proof.kind, ProofKind::kFunction);
  ASSERT_EQ(proof.before_count, 2);
  EXPECT_EQ(proof.before_size[0], 5);
  EXPECT_EQ(proof.before_size[1], 3);
  EXPECT_EQ(proof.code_end % 4096, 0x10u);
}

TEST(SiteProof, NotesBranchesToTheCall) {
  FrameObject object;
  object.put(0x1000, kGetpid + Bytes{0x75, 0xfc});  // jne to the syscall
  EXPECT_EQ(object.prove(5).target_mask, 1ull << kTargetRange);
}

TEST(SiteProof, RejectsSyscallBytesInsideImmediateOfTheFunction) {
  FrameObject object;
  object.put(0x1000, kMovabs);
  EXPECT_EQ(object.prove(kInsideMovabs).kind, ProofKind::kNone);
}

// Each field of the frame tables broken in turn: the function is not found (so other rules decide), nothing crashes.
TEST(SiteProof, SurvivesBrokenFrameTables) {
  for (std::size_t offset = 0; offset < 0x440; ++offset) {
    for (const std::uint8_t value : {0x00, 0x7f, 0xff}) {
      FrameObject object;
      object.put(0x1000, kMovabs);
      object.at(offset) = value;
      EXPECT_EQ(object.prove(kInsideMovabs).kind, ProofKind::kNone) << offset << " = " << int{value};
    }
  }
}

}  // namespace
}  // namespace casemate::runtime
