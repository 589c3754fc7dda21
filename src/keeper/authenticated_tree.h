// A read-only tree whose shape comes from a manifest and whose contents come from a directory of the host, verified
// chunk by chunk on their way into the page cache. Programs run from the verified copy, never from the host's file.
//
// What a hostile host can do here -> what we answer
//   change the manifest                     -> its SHA-256 differs from the description's: refused at the start
//   change, remove or exchange any file     -> EIO for what differs, and a line that names the file
//   change a file after it was read         -> what is cached stays; what is loaded again is verified again
//   put links into paths                    -> not followed: EIO
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "base/unique_fd.h"
#include "keeper/manifest.h"
#include "keeper/memory_volume.h"

namespace casemate::keeper {

class AuthenticatedTree final : public MemoryVolume {
 public:
  // `sha256`: 64 hex digits, lower case.
  static Result<std::unique_ptr<AuthenticatedTree>> open(const volume::Clock& clock, const std::string& source,
                                                         const std::string& manifest_path, const std::string& sha256);

  Result<std::size_t> read(volume::InodeNumber inode, std::uint64_t offset, std::span<std::byte> out) override;

 private:
  struct Contents {
    std::string path;  // below the source, without '/' at its begin
    std::uint64_t size = 0;
    std::vector<crypto::Sha256Digest> chunks;
  };

  AuthenticatedTree(const volume::Clock& clock, const Options& options, std::string source, UniqueFd directory)
      : MemoryVolume(clock, options), source_(std::move(source)), directory_(std::move(directory)) {}
  Result<void> build(const std::vector<ManifestEntry>& entries);
  Result<void> read_chunk(int file, const Contents& contents, std::size_t index, std::span<std::byte> out) const;

  std::string source_;
  UniqueFd directory_;
  std::unordered_map<volume::InodeNumber, Contents> contents_;  // immutable once open
};

}  // namespace casemate::keeper
