// What the loader's tests share: files to load, and the answer of the real kernel to the same files.
#pragma once

#include <elf.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace casemate::runtime::testing {

// A private directory, removed with everything in it.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  std::string path(const std::string& name) const { return path_ + "/" + name; }
  // Writes a file and returns its path.
  std::string write(const std::string& name, const std::string& content, unsigned mode = 0755) const;
  // Compiles a C program; empty string when the compiler is not there or fails.
  std::string compile(const std::string& name, const std::string& source, const std::string& command) const;

 private:
  std::string path_;
};

std::string read_file(const std::string& path);
std::span<const std::byte> bytes_of(const std::string& text);

// A small valid program: code that ends with status 42 at its entry, a writable segment with .bss, PT_GNU_STACK.
// Tests change fields before calling file().
struct SmallElf {
  explicit SmallElf(std::uint16_t type);
  std::string file() const;
  void add_interpreter(const std::string& path);  // `path` with whatever NUL bytes the test wants

  Elf64_Ehdr header = {};
  std::vector<Elf64_Phdr> segments;
  std::string content;  // behind the headers; byte 0 is byte 0 of the file
};

enum class NativeStart { kError, kKilled, kStarted };

// What Linux did with execve(path).
struct NativeExec {
  NativeStart start = NativeStart::kKilled;
  int error_number = 0;                     // kError
  std::vector<std::string> arguments = {};  // kStarted: argv of the new program
  std::string maps = {};                    // kStarted: /proc/<pid>/maps before its first instruction
  std::vector<std::pair<std::uint64_t, std::uint64_t>> auxiliary = {};
  std::uint64_t auxiliary_value(std::uint64_t type) const;
};

enum class NativeAddresses { kRandom, kFixed };

NativeExec run_natively(const std::string& path, NativeAddresses addresses = NativeAddresses::kRandom);

// One line of a maps file.
struct Mapping {
  std::uint64_t start, end, offset;
  std::string protection, name;
  bool operator==(const Mapping&) const = default;
};

std::vector<Mapping> parse_maps(const std::string& text);

}  // namespace casemate::runtime::testing
