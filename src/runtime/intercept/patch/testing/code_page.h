// Pieces of code with a system call, placed in memory of their own and run with every register set.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

namespace casemate::runtime::testing {

struct Registers {
  std::uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15, rflags;
  std::uint8_t xmm[16][16];
  std::uint64_t red_zone;
};

struct Snippet {
  const char* name;
  std::vector<std::uint8_t> bytes;       // ends with ret
  std::uint8_t site;                     // offset of the call
  std::vector<std::uint8_t> boundaries;  // offsets of all instructions up to the last covered one
};
const std::vector<Snippet>& snippets();

// Two pages: code (nops, then the snippet; readable and executable) and data (writable; for RIP-relative operands).
class CodePage {
 public:
  static constexpr std::uint64_t kCodeOffset = 1024;

  explicit CodePage(const Snippet& snippet);
  ~CodePage();
  CodePage(const CodePage&) = delete;
  CodePage& operator=(const CodePage&) = delete;

  std::uint64_t code() const { return base_ + kCodeOffset; }
  std::uint64_t site() const { return code() + snippet_.site; }
  const Snippet& snippet() const { return snippet_; }
  std::uint64_t data_word() const { return *reinterpret_cast<volatile std::uint64_t*>(base_ + 4096); }
  bool has_original_bytes() const {
    return std::memcmp(as_pointer(code()), snippet_.bytes.data(), snippet_.bytes.size()) == 0;
  }

 private:
  static void* as_pointer(std::uint64_t address) { return reinterpret_cast<void*>(address); }

  const Snippet& snippet_;
  std::uint64_t base_;
};

// What test_entry.S knows as GS base.
struct TestThread {
  std::uint64_t cookie, stack_top, scratch, resume, calls;
  alignas(16) std::uint8_t stack[4096];
};

inline constexpr std::uint32_t kTestCookie = 0x5eed1234;

// Gives the calling thread a GS block, a signal stack, and (once for all) the SIGTRAP and SIGSEGV handlers that a
// runtime has. The block must outlive the thread's use of patched code.
void adopt_thread(TestThread& thread);
void use_gs(std::uint64_t base);

// Runs code at `address`. rcx and r11 are not inputs (a call destroys them).
Registers run(std::uint64_t address, const Registers& input);
Registers random_registers(std::uint64_t seed);
// Names the first register that differs; null when all are equal.
const char* difference(const Registers& left, const Registers& right);

// Single-steps and, at the `step`-th instruction inside stubs (from 1), moves RIP to patcher_original_pc(RIP), as a
// signal would. Returns false when the code ran through fewer instructions in stubs.
bool run_interrupted(std::uint64_t address, const Registers& input, unsigned step, Registers& output);

std::uint64_t trap_count();

}  // namespace casemate::runtime::testing
