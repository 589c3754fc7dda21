// Maps an ELF file as a loader would (segments private from the file, nothing relocated or run) and finds its system
// call instructions with Zydis, so that tests can prove, plan and patch real programs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace casemate::runtime::testing {

class MappedElf {
 public:
  // Not ok() when the file is missing or no ELF file for x86-64.
  explicit MappedElf(const std::string& path);
  ~MappedElf();
  MappedElf(const MappedElf&) = delete;
  MappedElf& operator=(const MappedElf&) = delete;

  bool ok() const { return size_ != 0; }
  // Addresses of `0f 05` that a linear sweep meets as instructions, and all others.
  const std::vector<std::uint64_t>& sites() const { return sites_; }
  const std::vector<std::uint64_t>& other_occurrences() const { return others_; }

 private:
  void sweep(std::uint64_t start, std::uint64_t size);

  std::uint64_t base_ = 0, size_ = 0;
  std::vector<std::uint64_t> sites_, others_;
};

}  // namespace casemate::runtime::testing
