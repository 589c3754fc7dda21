// Manifests of authenticated directories: everything below a directory with attributes and SHA-256 of contents. The
// SHA-256 of the manifest itself, which a run description names, fixes the whole tree.
//
// Text, one line per node, so that people can read and compare it:
//
//     casemate-manifest 1
//     directory 0755 0 0 /
//     file 0755 0 0 1204224 <sha256>,<sha256> /bin/bash
//     link 0777 0 0 /lib usr/lib
//
// mode (octal), uid, gid; for files size and the SHA-256 of each started 128 KiB; path below the directory; for links
// the target. Bytes of paths and targets up to 0x20, above 0x7e, and '%' are written as %XX. Lines are in the order of
// paths (as bytes), so one tree has one manifest. Other kinds of files have no line.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "crypto/hash.h"

namespace casemate::keeper {

inline constexpr std::size_t kManifestChunk = 128 * 1024;

struct ManifestEntry {
  std::uint32_t mode = 0;  // with the type: S_IFDIR, S_IFREG or S_IFLNK
  std::uint32_t uid = 0, gid = 0;
  std::uint64_t size = 0;
  std::vector<crypto::Sha256Digest> chunks;
  std::string path;  // begins with '/'; the directory itself is "/"
  std::string target;
};

struct ManifestSummary {
  std::uint64_t files = 0, bytes = 0;
  std::uint64_t skipped = 0;  // sockets, devices and the like
};

// Reads the whole tree. `progress(bytes)` is called now and then. Errors: kSystem with the path.
Result<std::string> make_manifest(const std::string& directory, ManifestSummary* summary,
                                  const std::function<void(std::uint64_t)>& progress);

// Errors: kFormat with the line.
Result<std::vector<ManifestEntry>> parse_manifest(std::string_view text);

// 64 hex digits, lower case: what a run description names.
std::string manifest_digest(std::string_view text);

}  // namespace casemate::keeper
