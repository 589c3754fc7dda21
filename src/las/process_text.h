// The kernel's text about a process (/proc/PID/{smaps,status,stat}; proc(5)), parsed strictly: what is not understood
// is an error, because a caller is judged by it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace casemate::las {

struct Mapping {
  std::uint64_t start = 0, end = 0, offset = 0, inode = 0;
  std::string permissions;              // "r-xp"
  std::string device;                   // "fe:00"
  std::string name;                     // path, "[stack]" ..., or empty
  std::uint64_t private_pages_kib = 0;  // "Anonymous" + "Swap": pages that are no longer the file's

  bool operator==(const Mapping&) const = default;
};

struct ProcessStatus {
  std::int64_t tracer = 0;  // process id, 0: nobody
  std::uint64_t threads = 0;
  std::uint64_t seccomp_filters = 0;
  std::uint64_t peak_kib = 0, size_kib = 0;  // of the address space: largest since exec, now
};

// Errors of all: kFormat.
Result<std::vector<Mapping>> parse_smaps(std::string_view text);
// /proc/PID/maps: the same without private_pages_kib.
Result<std::vector<Mapping>> parse_maps(std::string_view text);
Result<ProcessStatus> parse_status(std::string_view text);
// Field 22 of /proc/PID/stat: clock ticks since boot. With the process id it names a process, however often it execs.
Result<std::uint64_t> parse_start_time(std::string_view text);

}  // namespace casemate::las
