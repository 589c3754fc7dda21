#include "runtime/memory/code_map.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <random>
#include <vector>

namespace casemate::runtime {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint32_t kCode = PROT_READ | PROT_EXEC;

class CodeMap : public ::testing::Test {
 protected:
  void SetUp() override { code_map_remove(kPage, 1ull << 40); }
};

TEST_F(CodeMap, FindsWhatWasAdded) {
  code_map_add(0x10000, 0x3000, kCode, CodeSharing::kPrivate, CodeBacking::kFile);
  EXPECT_FALSE(code_map_find(0xffff).found);
  const CodeLookup inside = code_map_find(0x12fff);
  ASSERT_TRUE(inside.found);
  EXPECT_EQ(inside.mapping.start, 0x10000u);
  EXPECT_EQ(inside.mapping.end, 0x13000u);
  EXPECT_EQ(inside.mapping.backing, CodeBacking::kFile);
  EXPECT_FALSE(code_map_find(0x13000).found);
}

TEST_F(CodeMap, RemovingTheMiddleLeavesBothEnds) {
  code_map_add(0x10000, 0x5000, kCode, CodeSharing::kPrivate, CodeBacking::kFile);
  code_map_remove(0x12000, 0x1000);
  EXPECT_EQ(code_map_find(0x11000).mapping.end, 0x12000u);
  EXPECT_FALSE(code_map_find(0x12000).found);
  EXPECT_EQ(code_map_find(0x13000).mapping.start, 0x13000u);
}

TEST_F(CodeMap, ProtectingUnknownMemoryExecutableTakesItForPrivateAnonymous) {
  code_map_protect(0x20000, 0x2000, kCode);
  const CodeLookup code = code_map_find(0x21000);
  ASSERT_TRUE(code.found);
  EXPECT_EQ(code.mapping.sharing, CodeSharing::kPrivate);
  EXPECT_EQ(code.mapping.backing, CodeBacking::kAnonymous);
}

TEST_F(CodeMap, RemembersThatMemoryIsSharedBeforeItBecomesExecutable) {
  code_map_add(0x30000, 0x2000, PROT_READ | PROT_WRITE, CodeSharing::kShared, CodeBacking::kFile);
  code_map_protect(0x30000, 0x2000, kCode);
  const CodeLookup code = code_map_find(0x30000);
  ASSERT_TRUE(code.found);
  EXPECT_EQ(code.mapping.sharing, CodeSharing::kShared);
  EXPECT_EQ(code.mapping.protection, kCode);
}

TEST_F(CodeMap, ProtectionWithoutExecuteForgetsPrivateCode) {
  code_map_add(0x10000, 0x3000, kCode, CodeSharing::kPrivate, CodeBacking::kAnonymous);
  code_map_protect(0x11000, 0x1000, PROT_READ);
  EXPECT_TRUE(code_map_find(0x10000).found);
  EXPECT_FALSE(code_map_find(0x11000).found);
  EXPECT_TRUE(code_map_find(0x12000).found);
}

TEST_F(CodeMap, MovesWithTheMapping) {
  code_map_add(0x10000, 0x2000, kCode, CodeSharing::kShared, CodeBacking::kFile);
  code_map_move(0x10000, 0x2000, 0x50000, 0x4000);
  EXPECT_FALSE(code_map_find(0x10000).found);
  const CodeLookup code = code_map_find(0x53fff);
  ASSERT_TRUE(code.found);
  EXPECT_EQ(code.mapping.sharing, CodeSharing::kShared);
}

TEST_F(CodeMap, IgnoresEmptyAndWrappingRanges) {
  code_map_add(0x10000, 0, kCode, CodeSharing::kPrivate, CodeBacking::kFile);
  code_map_add(~0ull - 100, 4096, kCode, CodeSharing::kPrivate, CodeBacking::kFile);
  code_map_remove(0x10000, ~0ull);
  EXPECT_FALSE(code_map_find(0x10000).found);
}

// Random operations against one byte per page.
TEST_F(CodeMap, AgreesWithAModel) {
  constexpr unsigned kPages = 64;
  struct Cell {
    std::uint32_t protection = 0;
    bool shared = false, noted = false;
  };
  std::vector<Cell> model(kPages);
  const auto is_noted = [](const Cell& cell) { return (cell.protection & PROT_EXEC) != 0 || cell.shared; };
  std::mt19937 random(7);
  for (unsigned step = 0; step < 20000; ++step) {
    const unsigned first = static_cast<unsigned>(random() % kPages);
    const unsigned last = std::min(kPages, first + 1 + static_cast<unsigned>(random() % 8));
    const std::uint64_t start = (first + 16) * kPage, size = (last - first) * kPage;
    const std::uint32_t protection = random() % 2 != 0 ? kCode : PROT_READ;
    const bool shared = random() % 4 == 0;
    const auto operation = random() % 3;
    if (operation == 0) {
      code_map_add(start, size, protection, shared ? CodeSharing::kShared : CodeSharing::kPrivate, CodeBacking::kFile);
    } else if (operation == 1) {
      code_map_remove(start, size);
    } else {
      code_map_protect(start, size, protection);
    }
    for (unsigned page = first; page < last; ++page) {
      if (operation == 0) model[page] = {protection, shared, true};
      if (operation == 1) model[page] = {};
      if (operation == 2) model[page] = {protection, model[page].shared, true};
      if (!is_noted(model[page])) model[page] = {};
    }
    for (unsigned page = 0; page < kPages; ++page) {
      const CodeLookup code = code_map_find((page + 16) * kPage + 5);
      ASSERT_EQ(code.found, model[page].noted) << step << " page " << page;
      if (!code.found) continue;
      ASSERT_EQ(code.mapping.protection, model[page].protection) << step;
      ASSERT_EQ(code.mapping.sharing == CodeSharing::kShared, model[page].shared) << step;
      ASSERT_LE(code.mapping.start, (page + 16) * kPage);
      ASSERT_GT(code.mapping.end, (page + 16) * kPage);
    }
  }
}

}  // namespace
}  // namespace casemate::runtime
