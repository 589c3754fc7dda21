// Internals of MemoryVolume, shared by its two files: names in memory_volume.cc, contents in memory_volume_contents.cc.
#pragma once

#include <sys/stat.h>

#include <array>
#include <string>

#include "keeper/memory_volume.h"

namespace casemate::keeper {

struct MemoryVolume::Page {
  std::array<std::byte, volume::kPageSize> bytes{};
};

struct MemoryVolume::Node {
  volume::Attributes attributes;
  std::string target;                                      // symbolic links
  std::map<std::uint64_t, std::unique_ptr<Page>> pages;    // regular files
  std::map<std::string, Entry, std::less<>> entries;       // directories
  std::map<std::uint64_t, std::string> entries_by_cookie;  // directories
  volume::InodeNumber parent = 0;                          // directories; 0: orphan
  std::map<std::string, std::vector<std::byte>, std::less<>> extended;

  bool is_directory() const { return S_ISDIR(attributes.mode); }
};

inline Error memory_error(int code, const char* what) { return Error(ErrorCategory::kSystem, what, code); }

}  // namespace casemate::keeper
