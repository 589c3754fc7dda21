#include "keeper/memory_limit.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>

namespace casemate::keeper {
namespace {

constexpr std::uint64_t kUnknown = ~std::uint64_t{0};

std::uint64_t available_memory() {
  std::ifstream information("/proc/meminfo");
  std::string key;
  std::uint64_t kibibytes = 0;
  std::string unit;
  while (information >> key >> kibibytes) {
    std::getline(information, unit);
    if (key == "MemAvailable:") return kibibytes << 10;
  }
  return std::uint64_t{1} << 30;
}

std::uint64_t read_limit(const std::string& path) {
  std::ifstream file(path);
  std::uint64_t bytes = 0;
  return file >> bytes ? bytes : kUnknown;  // "max" is no number
}

// Lines of /proc/self/cgroup: "0::/path" (version 2) or "7:memory:/path" (version 1). Every ancestor limits, too.
std::uint64_t control_group_limit() {
  std::ifstream groups("/proc/self/cgroup");
  std::string line;
  std::uint64_t limit = kUnknown;
  while (std::getline(groups, line)) {
    const bool unified = line.starts_with("0::");
    const std::size_t memory = line.find(":memory:");
    if (!unified && memory == std::string::npos) continue;
    const std::string root = unified ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
    const std::string file = unified ? "/memory.max" : "/memory.limit_in_bytes";
    std::string path = line.substr(unified ? 3 : memory + 8);
    for (;;) {
      limit = std::min(limit, read_limit(root + (path == "/" ? "" : path) + file));
      const std::size_t slash = path.rfind('/');
      if (slash == std::string::npos || path == "/" || path.empty()) break;
      path.resize(slash);
    }
  }
  return limit;
}

}  // namespace

std::uint64_t memory_limit() { return std::min(available_memory(), control_group_limit()); }

}  // namespace casemate::keeper
