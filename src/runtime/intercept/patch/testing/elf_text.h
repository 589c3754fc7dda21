// Reads the executable segments of an ELF file for tests that run over real programs.
#pragma once

#include <elf.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

namespace casemate::runtime::testing {

struct Segment {
  std::uint64_t address;  // p_vaddr
  std::uint64_t offset;
  std::vector<std::uint8_t> bytes;
};

inline std::vector<std::uint8_t> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// Empty when the file is missing or no x86-64 ELF file.
inline std::vector<Segment> executable_segments(const std::vector<std::uint8_t>& file) {
  std::vector<Segment> result;
  Elf64_Ehdr header;
  if (file.size() < sizeof(header)) return result;
  std::memcpy(&header, file.data(), sizeof(header));
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_machine != EM_X86_64) return result;
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    std::memcpy(&segment, file.data() + header.e_phoff + i * sizeof(segment), sizeof(segment));
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0) continue;
    const auto begin = file.begin() + static_cast<std::ptrdiff_t>(segment.p_offset);
    const auto end = begin + static_cast<std::ptrdiff_t>(segment.p_filesz);
    result.push_back({segment.p_vaddr, segment.p_offset, {begin, end}});
  }
  return result;
}

}  // namespace casemate::runtime::testing
