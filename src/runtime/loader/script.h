// Reads the "#!" line of a script exactly as Linux's fs/binfmt_script.c does. Pure: no system calls.
//
// What a hostile host or peer can do here -> what we answer
//  - any bytes: only the first 256 are looked at, and a path that may continue behind them is refused, never shortened
#pragma once

#include <cstddef>
#include <span>

#include "runtime/loader/load_error.h"

namespace casemate::runtime {

inline constexpr std::size_t kScriptHeadSize = 256;
// An execve may pass through this many scripts; the next one is ELOOP.
inline constexpr unsigned kMaxScriptDepth = 5;

struct ScriptLine {
  // Views into the parsed bytes, without NUL. An empty path is possible ("#!" followed by NUL); Linux
  // takes it for the working directory.
  std::span<const std::byte> interpreter;
  std::span<const std::byte> argument;  // data() is null: none. May contain blanks, or be empty.
};

[[nodiscard]] bool is_script(std::span<const std::byte> head);

// `head`: the first bytes of the file; fewer than 256 mean that the file ends there.
// kNotElf's sibling kUnknownFormat: no "#!". The argument may be cut at byte 255, as Linux does.
[[nodiscard]] LoadError parse_script_line(std::span<const std::byte> head, ScriptLine& line);

}  // namespace casemate::runtime
