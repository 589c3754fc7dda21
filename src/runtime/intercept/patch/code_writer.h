// Writes to memory that is not writable: the program's code, and stubs.
//
// Two ways, measured on Linux 6.18 (one byte, page already private / first touch):
//  - /proc/self/mem: 7 / 10 us including open and close; never makes a page writable. But the descriptor is visible to
//    other threads meanwhile (which may expect the lowest number, or close it): so only while there is one thread.
//  - mprotect, write, mprotect: 12 / 14 us alone, 70 us with other threads running. While threads run the page keeps
//    PROT_EXEC for them, so for these microseconds it is writable and executable. Alone, PROT_EXEC is dropped.
#pragma once

#include <cstdint>
#include <span>

namespace casemate::runtime {

enum class CodeOwner : std::uint8_t { kProgram, kStubs };
enum class Concurrency : std::uint8_t { kAlone, kThreads };

struct CodeWindow {
  std::uint64_t start, end;
  std::uint32_t protection;  // what the pages have, and have again afterwards
  CodeOwner owner;
};

// One per patch, on the stack. No two at a time (the patcher's lock).
class CodeWriter {
 public:
  explicit CodeWriter(Concurrency concurrency);
  ~CodeWriter();
  CodeWriter(const CodeWriter&) = delete;
  CodeWriter& operator=(const CodeWriter&) = delete;

  // Makes [window.start, window.end) writable through write(). At most one window is open.
  [[nodiscard]] bool open(const CodeWindow& window);
  [[nodiscard]] bool write(std::uint64_t address, std::span<const std::uint8_t> bytes);
  void close();

  Concurrency concurrency() const { return concurrency_; }

 private:
  Concurrency concurrency_;
  int memory_fd_ = -1;
  bool changed_protection_ = false;
  CodeWindow window_{};
};

// Once per process, and in children of fork as needed: lets synchronize_cores work.
void register_core_synchronization();
// Afterwards every thread of this address space has executed a core-serialising instruction: none runs on bytes it
// fetched before. False: not possible here.
[[nodiscard]] bool synchronize_cores();

}  // namespace casemate::runtime
