// Lines of /proc/self/maps in runs with volumes.
#pragma once

#include <cstdint>

namespace casemate::runtime {

// A line of the kernel's maps, without newline, NUL-terminated. If it is a mapping of a shielded file, writes it with
// the file's device, inode and path as the program knows them into `out`; returns the new size, 0 for other lines.
std::uint64_t shielded_maps_line(const char* line, char* out, std::uint64_t capacity);

}  // namespace casemate::runtime
