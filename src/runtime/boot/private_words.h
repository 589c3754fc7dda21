// Arguments and environment that must not pass through the kernel's exec, where /proc shows them to everybody: a memory
// file at LaunchState::words_fd with this header, then argument_count and variable_count strings, each with its NUL.
#pragma once

#include <cstdint>

namespace casemate::runtime {

inline constexpr std::uint64_t kWordsMagic = 0x31736472576d7343;
inline constexpr std::uint64_t kWordsTextLimit = std::uint64_t{2} << 20;  // bytes of all strings
inline constexpr std::uint32_t kWordsCountLimit = 1 << 17;

struct PrivateWords {
  std::uint64_t magic;
  std::uint32_t argument_count, variable_count;
  std::uint64_t text_size;
};

}  // namespace casemate::runtime
