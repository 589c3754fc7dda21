// The run description behind `casemate run --fs FILE`: which paths of the program are which kind of region.
// docs/runtime/files.md shows every key. Whoever gives the description decides what is protected: it is the owner's.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "keeper/file_anchor.h"
#include "volume/volume.h"

namespace casemate::keeper {

enum class RegionKind { kHost, kEncrypted, kAuthenticated, kEphemeral, kFile, kSkeleton };
enum class RegionAccess { kReadWrite, kReadOnly };
enum class Freshness {
  kLocal,
  kBounded,
  kStrict,  // with `granted` only: fsync returns when the CAS has the position
};

// A volume whose key and newest position came from the CAS, instead of files.
struct GrantedAccess {
  volume::VolumeKey key;
  std::shared_ptr<NotingAnchor> anchor;
};

struct RegionDescription {
  RegionKind kind = RegionKind::kHost;
  std::string path;  // absolute, normalised, without '/' at its end; "/" itself is "/"
  RegionAccess access = RegionAccess::kReadWrite;
  std::string source;                            // host, authenticated: directory of the host
  std::string volume;                            // encrypted: file of the host
  std::string key_file;                          // encrypted
  std::string anchor;                            // encrypted; empty: no freshness (said loudly)
  std::shared_ptr<const GrantedAccess> granted;  // encrypted; instead of key_file and anchor
  std::string directory = "/";                   // encrypted: what of the volume appears at `path`
  Freshness freshness = Freshness::kLocal;
  std::uint64_t bound_milliseconds = 1000;  // freshness bounded
  std::string manifest;                     // authenticated
  std::string manifest_sha256;              // authenticated: 64 hex digits, lower case
  std::uint64_t size = 0;                   // ephemeral, bytes; 0: half of the memory limit
  std::uint32_t mode = 0755;                // ephemeral, file
  std::uint32_t uid = 0, gid = 0;           // ephemeral, file
  std::string text;                         // file
};

struct RunDescription {
  std::uint64_t cache_size = 0;  // bytes; 0: a quarter of the memory limit
  std::vector<RegionDescription> regions;
};

// `directory`: what relative host paths are relative to (the description's own). Errors: kFormat with line and column.
Result<RunDescription> parse_description(std::string_view text, const std::string& directory);

// Reads and parses; messages begin with the path.
Result<RunDescription> load_description(const std::string& path);

// "512M" -> bytes: a whole number with an optional K, M, G or T (powers of 1024). nullopt: not such a number.
std::optional<std::uint64_t> parse_size(std::string_view text);

}  // namespace casemate::keeper
