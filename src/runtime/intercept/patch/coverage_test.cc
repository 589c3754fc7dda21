// Every system call instruction of real programs: can it be proven, planned, placed and patched? And no `0f 05` inside
// another instruction may be. Programs that are not installed are skipped; libc and ld.so always exist.
#include <gtest/gtest.h>

#include <cstdio>
#include <map>

#include "runtime/intercept/patch/patch_plan.h"
#include "runtime/intercept/patch/patch_table.h"
#include "runtime/intercept/patch/patcher.h"
#include "runtime/intercept/patch/site_proof.h"
#include "runtime/intercept/patch/testing/mapped_elf.h"
#include "runtime/intercept/patch/testing/runtime_double.h"
#include "runtime/memory/code_map.h"

namespace casemate::runtime {
namespace {

// Hand-checked: in these every system call is an instruction, and every one but the return from signal handlers (left
// alone on purpose) must be patched.
const char* const kCompletePrograms[] = {
    "/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2", "/usr/lib/x86_64-linux-gnu/libgomp.so.1",
    "/lib/ld-musl-x86_64.so.1",        "/usr/lib/go-1.19/bin/go",     "/sbin/ldconfig",
};
// Large programs that hardly make system calls of their own, but contain the bytes everywhere. (A linear sweep takes
// tables in libcrypto and node for code: one "site" each, which must not be proven.)
const char* const kOtherPrograms[] = {
    "/usr/lib/x86_64-linux-gnu/libcrypto.so.3",
    "/usr/lib/jvm/java-17-openjdk-amd64/lib/server/libjvm.so",
    "/usr/bin/node",
};

bool is_signal_return(std::uint64_t site) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(site);
  return bytes[-4] == 15 && bytes[-3] == 0 && (bytes[-5] == 0xb8 || bytes[-5] == 0xc0);
}

class Coverage : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { patcher_init(0x1000, 0x12345); }
};

const Patch* live_patch_of(std::uint64_t site) {
  for (std::size_t i = 0; i < patch_count(); ++i) {
    if (patch_at(i).site() == site && patch_at(i).state == PatchState::kLive) return &patch_at(i);
  }
  return nullptr;
}

// Checks the bytes of a patch and returns its inner boundaries as bits.
unsigned check_patch(const Patch& patch) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(patch.jump);
  EXPECT_EQ(bytes[0], 0xe9);
  unsigned pattern = 0;
  for (unsigned i = 1; i < kJumpSize; ++i) {
    if ((patch.boundary_mask >> i & 1) == 0) continue;
    EXPECT_EQ(bytes[i], 0xcc) << "boundary " << i << " of the patch at " << std::hex << patch.jump;
    pattern |= 1u << i;
  }
  return pattern;
}

void patch_everything(const char* path) {
  const testing::MappedElf elf(path);
  if (!elf.ok()) return;
  std::map<ProofKind, unsigned> proofs;
  std::map<unsigned, unsigned> patterns;
  const PatcherStatistics before = patcher_statistics();
  unsigned patched = 0;
  for (const std::uint64_t site : elf.sites()) {
    const CodeLookup code = code_map_find(site);
    ASSERT_TRUE(code.found);
    const bool expected = !is_signal_return(site);
    const SiteProof proof = prove_site(code.mapping, site);
    ++proofs[proof.kind];
    EXPECT_NE(proof.kind, ProofKind::kNone);
    testing::trap_until_patched(site);
    const Patch* patch = live_patch_of(site);
    EXPECT_EQ(patch != nullptr, expected) << path << " +" << std::hex << site - code.mapping.start;
    if (patch == nullptr) continue;
    ++patched;
    ++patterns[check_patch(*patch)];
  }
  const PatcherStatistics after = patcher_statistics();
  std::printf("%s: %zu sites, %u patched; function %u unanimous %u; %lu stub bytes, %lu pages, %lu chunks; boundaries",
              path, elf.sites().size(), patched, proofs[ProofKind::kFunction], proofs[ProofKind::kUnanimous],
              after.stub_bytes - before.stub_bytes, after.stub_pages - before.stub_pages,
              after.stub_chunks - before.stub_chunks);
  for (const auto& [pattern, count] : patterns) std::printf(" %x:%u", pattern, count);
  std::printf("\n");
}

void expect_no_proof(const char* path) {
  const testing::MappedElf elf(path);
  if (!elf.ok()) return;
  for (const std::uint64_t address : elf.other_occurrences()) {
    const CodeLookup code = code_map_find(address);
    ASSERT_TRUE(code.found);
    EXPECT_EQ(prove_site(code.mapping, address).kind, ProofKind::kNone)
        << path << " +" << std::hex << address - code.mapping.start;
  }
  std::printf("%s: %zu occurrences inside other instructions\n", path, elf.other_occurrences().size());
}

TEST_F(Coverage, PatchesEverySystemCallOfRealPrograms) {
  for (const char* path : kCompletePrograms) patch_everything(path);
}

TEST_F(Coverage, NeverProvesSystemCallBytesInsideOtherInstructions) {
  for (const char* path : kCompletePrograms) expect_no_proof(path);
  for (const char* path : kOtherPrograms) expect_no_proof(path);
}

TEST_F(Coverage, KeepsStubsOfLibcInFewPages) {
  const testing::MappedElf elf("/lib/x86_64-linux-gnu/libc.so.6");
  ASSERT_TRUE(elf.ok());
  const PatcherStatistics before = patcher_statistics();
  for (const std::uint64_t site : elf.sites()) testing::trap_until_patched(site);
  const PatcherStatistics after = patcher_statistics();
  EXPECT_LE(after.stub_pages - before.stub_pages, 32u);
  EXPECT_LE(after.stub_chunks - before.stub_chunks, 4u);
}

}  // namespace
}  // namespace casemate::runtime
