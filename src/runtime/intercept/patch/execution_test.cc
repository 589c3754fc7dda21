// Runs patched code: every form, from every boundary, interrupted at every instruction of its stub, and while other
// threads patch it and take it back. Each time all registers, flags, vector registers and the red zone must be what the
// unpatched code leaves.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <thread>

#include "runtime/intercept/patch/patch_table.h"
#include "runtime/intercept/patch/patcher.h"
#include "runtime/intercept/patch/stub_memory.h"
#include "runtime/intercept/patch/testing/code_page.h"
#include "runtime/intercept/patch/testing/runtime_double.h"

extern "C" void test_entry();

namespace casemate::runtime {
namespace {

using testing::CodePage;
using testing::Registers;
using testing::Snippet;
using testing::TestThread;

class Execution : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { patcher_init(reinterpret_cast<std::uint64_t>(&test_entry), testing::kTestCookie); }
  void SetUp() override { testing::adopt_thread(thread_); }
  void TearDown() override {
    testing::set_thread_count(1);
    testing::use_gs(0);
  }

  TestThread thread_{};
};

bool is_patched(const CodePage& page) {
  for (std::size_t i = 0; i < patch_count(); ++i) {
    if (patch_at(i).site() == page.site() && patch_at(i).state == PatchState::kLive) return true;
  }
  return false;
}

void expect_equal(const Registers& native, const Registers& patched, const Snippet& snippet, unsigned offset) {
  const char* name = testing::difference(native, patched);
  EXPECT_EQ(name, nullptr) << name << " differs in: " << snippet.name << ", entered at +" << offset;
}

void compare_patched_with_native(const Snippet& snippet, TestThread& thread) {
  const CodePage page(snippet);
  std::vector<Registers> inputs, native;
  for (const std::uint8_t offset : snippet.boundaries) {
    inputs.push_back(testing::random_registers(offset + 1u));
    native.push_back(testing::run(page.code() + offset, inputs.back()));
  }
  testing::trap_until_patched(page.site());
  ASSERT_TRUE(is_patched(page)) << snippet.name;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const unsigned offset = snippet.boundaries[i];
    const std::uint64_t calls = thread.calls;
    expect_equal(native[i], testing::run(page.code() + offset, inputs[i]), snippet, offset);
    if (i == 0) {
      EXPECT_EQ(thread.calls, calls + 1) << snippet.name << " did not go through the stub";
    }
  }
}

TEST_F(Execution, PatchedCodeLeavesEveryRegisterAsUnpatchedCodeDoes) {
  for (const Snippet& snippet : testing::snippets()) compare_patched_with_native(snippet, thread_);
}

TEST_F(Execution, CodePatchedWhileThreadsRunBehavesTheSame) {
  testing::set_thread_count(2);
  for (const Snippet& snippet : testing::snippets()) compare_patched_with_native(snippet, thread_);
}

TEST_F(Execution, RipRelativeOperandsReachTheProgramsData) {
  for (const Snippet& snippet : testing::snippets()) {
    if (std::string_view(snippet.name) != "store to rip-relative") continue;
    const CodePage page(snippet);
    testing::trap_until_patched(page.site());
    ASSERT_TRUE(is_patched(page));
    Registers input = testing::random_registers(7);
    input.rsi = 0xfeedface;
    testing::run(page.code(), input);
    EXPECT_EQ(page.data_word(), 0x11223344feedfaceu);
  }
}

// A signal at any point of a stub is delivered at patcher_original_pc; afterwards the program goes on from there.
TEST_F(Execution, EveryInstructionOfAStubCanBeRewoundToTheProgram) {
  for (const Snippet& snippet : testing::snippets()) {
    const CodePage page(snippet);
    const std::uint64_t start = page.code() + snippet.boundaries[0];
    const Registers input = testing::random_registers(99);
    const Registers native = testing::run(start, input);
    testing::trap_until_patched(page.site());
    ASSERT_TRUE(is_patched(page));
    unsigned steps = 0;
    for (Registers output; testing::run_interrupted(start, input, steps + 1, output); ++steps) {
      const char* name = testing::difference(native, output);
      EXPECT_EQ(name, nullptr) << name << " differs in: " << snippet.name << ", interrupted at step " << steps + 1;
    }
    EXPECT_GE(steps, 6u) << snippet.name;
  }
}

TEST_F(Execution, ForeignGsIsNoticedAndRepaired) {
  const CodePage page(testing::snippets()[0]);
  const Registers input = testing::random_registers(5);
  const Registers native = testing::run(page.code(), input);
  testing::trap_until_patched(page.site());
  ASSERT_TRUE(is_patched(page));
  static std::uint64_t foreign[8] = {1, 2, 3};
  for (const std::uint64_t base : {reinterpret_cast<std::uint64_t>(foreign), std::uint64_t{0}, std::uint64_t{0x100}}) {
    const std::uint64_t traps = testing::trap_count();
    testing::use_gs(base);
    expect_equal(native, testing::run(page.code(), input), page.snippet(), 0);
    EXPECT_EQ(testing::trap_count(), traps + 1);
  }
}

TEST_F(Execution, ResumeAddressesAvoidTheTrap) {
  for (const Snippet& snippet : testing::snippets()) {
    const CodePage page(snippet);
    std::vector<Registers> native;
    const Registers input = testing::random_registers(11);
    for (const std::uint8_t offset : snippet.boundaries) native.push_back(testing::run(page.code() + offset, input));
    testing::trap_until_patched(page.site());
    ASSERT_TRUE(is_patched(page));
    const std::uint64_t traps = testing::trap_count();
    for (std::size_t i = 0; i < snippet.boundaries.size(); ++i) {
      const std::uint64_t address = patcher_resume_address(page.code() + snippet.boundaries[i]);
      expect_equal(native[i], testing::run(address, input), snippet, snippet.boundaries[i]);
    }
    EXPECT_EQ(testing::trap_count(), traps) << snippet.name;
  }
}

TEST_F(Execution, OwnsOnlyThePartThatReachesTheEntryPoint) {
  const CodePage page(testing::snippets()[2]);
  testing::trap_until_patched(page.site());
  const Patch& patch = patch_at(patch_count() - 1);
  ASSERT_EQ(patch.site(), page.site());
  EXPECT_TRUE(patcher_owns(patch.stub + patch.check));
  EXPECT_TRUE(patcher_owns(patch.stub + patch.entered - 1));
  EXPECT_FALSE(patcher_owns(patch.stub + patch.entered));
  EXPECT_EQ(patcher_original_pc(patch.stub + patch.check), page.site());
  EXPECT_EQ(patcher_original_pc(patch.stub + patch.entered), page.site() + 2);
  EXPECT_EQ(patcher_original_pc(page.site()), 0u);
  EXPECT_EQ(patcher_redirect(page.code() - 100).kind, PatchRedirectKind::kNotOurs);
}

TEST_F(Execution, CodeThatBecomesWritableGetsItsBytesBack) {
  for (const std::uint32_t threads : {1u, 2u}) {
    testing::set_thread_count(threads);
    for (const Snippet& snippet : testing::snippets()) {
      const CodePage page(snippet);
      testing::trap_until_patched(page.site());
      ASSERT_TRUE(is_patched(page));
      EXPECT_FALSE(page.has_original_bytes());
      patcher_code_changed(page.code() & ~4095ull, 4096);
      EXPECT_TRUE(page.has_original_bytes()) << snippet.name;
      EXPECT_FALSE(is_patched(page));
    }
  }
}

// The kernel refused the munmap that was announced: the jump is still there, and so must be its answers.
TEST_F(Execution, CodeThatStaysAfterAllKeepsWorking) {
  for (const Snippet& snippet : testing::snippets()) {
    const CodePage page(snippet);
    testing::trap_until_patched(page.site());
    ASSERT_TRUE(is_patched(page));
    patcher_code_unmapped(page.code() & ~4095ull, 4096);
    for (const std::uint8_t offset : snippet.boundaries) {
      const CodePage fresh(snippet);
      const Registers input = testing::random_registers(offset);
      Registers native = testing::run(fresh.code() + offset, input);
      if (offset <= snippet.site) native.rcx += page.code() - fresh.code();
      expect_equal(native, testing::run(page.code() + offset, input), snippet, offset);
    }
  }
}

bool was_ever_patched(const CodePage& page) {
  for (std::size_t i = 0; i < patch_count(); ++i) {
    if (patch_at(i).site() == page.site()) return true;
  }
  return false;
}

TEST_F(Execution, ReturningCodeUsesItsOldStub) {
  // Other cases leave records for addresses that are mapped again here.
  std::vector<std::unique_ptr<CodePage>> pages;
  do {
    pages.push_back(std::make_unique<CodePage>(testing::snippets()[2]));
  } while (was_ever_patched(*pages.back()));
  const CodePage& page = *pages.back();
  testing::trap_until_patched(page.site());
  const std::size_t count = patch_count();
  patcher_code_changed(page.code() & ~4095ull, 4096);
  testing::trap_until_patched(page.site());
  EXPECT_TRUE(is_patched(page));
  EXPECT_EQ(patch_count(), count);
}

TEST_F(Execution, ForkedChildPatchesForItself) {
  const CodePage first(testing::snippets()[0]), second(testing::snippets()[2]);
  testing::trap_until_patched(first.site());
  patcher_before_fork();
  const pid_t child = fork();
  if (child == 0) {
    patcher_after_fork_in_child();
    testing::trap_until_patched(second.site());
    const Registers input = testing::random_registers(3);
    const auto self = static_cast<std::uint64_t>(getpid());
    const bool good = is_patched(second) && testing::run(first.code(), input).rax == self &&
                      testing::run(second.code() + 2, input).rax == self;
    _exit(good ? 0 : 1);
  }
  patcher_after_fork_in_parent();
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(second.has_original_bytes());
}

TEST_F(Execution, StubMemoryIsProtectedFromTheProgram) {
  const CodePage page(testing::snippets()[0]);
  testing::trap_until_patched(page.site());
  const std::uint64_t stub = patch_at(patch_count() - 1).stub;
  bool listed = false;
  for (const auto& range : testing::protected_ranges()) listed |= stub - range.start < range.size;
  EXPECT_TRUE(listed);
}

struct Runner {
  std::atomic<const CodePage*>* current;
  std::atomic<bool>* stop;
  std::atomic<std::uint64_t> runs{0}, mismatches{0};
};

// Runs whatever page is current from changing boundaries. `reference` holds the same snippet and is never patched.
void run_pages(Runner& runner, const std::vector<std::unique_ptr<CodePage>>& references, std::uint64_t seed) {
  auto thread = std::make_unique<TestThread>();
  testing::adopt_thread(*thread);
  while (!*runner.stop) {
    const CodePage& page = *runner.current->load();
    const Snippet& snippet = page.snippet();
    const CodePage& reference = *references[static_cast<std::size_t>(&snippet - testing::snippets().data())];
    const Registers input = testing::random_registers(++seed);
    const std::uint64_t offset = snippet.boundaries[seed % snippet.boundaries.size()];
    Registers native = testing::run(reference.code() + offset, input);
    const Registers output = testing::run(page.code() + offset, input);
    if (offset <= snippet.site) native.rcx += page.code() - reference.code();
    runner.mismatches += testing::difference(native, output) != nullptr;
    ++runner.runs;
  }
  testing::use_gs(0);
}

TEST_F(Execution, ThreadsRunCorrectlyWhileTheirCodeIsPatchedAndTakenBack) {
  testing::set_thread_count(4);
  constexpr unsigned kThreads = 3, kPagesPerSnippet = 2, kCycles = 8;
  std::vector<std::unique_ptr<CodePage>> references, pages;
  for (const Snippet& snippet : testing::snippets()) references.push_back(std::make_unique<CodePage>(snippet));
  for (unsigned i = 0; i < kPagesPerSnippet; ++i) {
    for (const Snippet& snippet : testing::snippets()) pages.push_back(std::make_unique<CodePage>(snippet));
  }
  std::atomic<const CodePage*> current{pages[0].get()};
  std::atomic<bool> stop{false};
  Runner runners[kThreads];
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < kThreads; ++i) {
    runners[i].current = &current;
    runners[i].stop = &stop;
    threads.emplace_back([&, i] { run_pages(runners[i], references, i * 1000003ull); });
  }
  unsigned patched = 0;
  for (const auto& page : pages) {
    current = page.get();
    for (unsigned cycle = 0; cycle < kCycles; ++cycle) {
      testing::trap_until_patched(page->site());
      patched += is_patched(*page);
      const std::uint64_t before = runners[0].runs;
      while (runners[0].runs < before + 3) std::this_thread::yield();
      patcher_code_changed(page->code() & ~4095ull, 4096);
    }
  }
  stop = true;
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(patched, pages.size() * kCycles);
  std::uint64_t runs = 0, mismatches = 0;
  for (const Runner& runner : runners) {
    runs += runner.runs;
    mismatches += runner.mismatches;
  }
  EXPECT_EQ(mismatches, 0u);
  std::printf("%u patches and restores under %lu runs, %lu traps redirected\n", patched, runs, testing::trap_count());
}

}  // namespace
}  // namespace casemate::runtime
