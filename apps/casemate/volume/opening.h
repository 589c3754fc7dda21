// A volume as the commands use it: key, host file with its lock, anchor and mounted engine, taken in this order and
// given back in the opposite one.
//
// What a hostile host can do here -> what we answer
//   give an older copy, another volume or damaged bytes -> the engine refuses; we add what the owner can do about it
//   show the key file to others                         -> refused before it is read
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "casemate/volume/options.h"
#include "casemate/volume/tree.h"
#include "keeper/host_store.h"
#include "volume/volume.h"

namespace casemate::volume_tool {

// Which of the options name the key and the anchor of one volume.
struct Credentials {
  const char* option;  // "--key-file": what a message asks for
  std::string key_file;
  std::optional<int> key_fd;
  std::string anchor;
};

Credentials credentials_of(const Options& options);
Credentials other_credentials_of(const Options& options);  // of the second volume; falls back to those of the first

Result<volume::VolumeKey> read_key(const Credentials& credentials);
// Makes a key and a file of mode 0600 that holds it. Errors: kSystem, also when the file exists.
Result<volume::VolumeKey> make_key(const std::string& path);

// A new file survives a crash only when its directory does.
Result<void> make_entry_durable(const std::string& path);

// An error of the engine as the owner needs it: which volume, and what to do about it.
Error of_volume(const Error& error, const std::string& path);

enum class FreshnessNotice { kSay, kSilent };

class OpenedVolume {
 public:
  // `notice` kSilent: for commands whose business freshness is.
  static Result<std::unique_ptr<OpenedVolume>> open(const Options& options, const Credentials& credentials,
                                                    const std::string& path, volume::Access access,
                                                    FreshnessNotice notice = FreshnessNotice::kSay);
  // Without close(): the next mount recovers, as after a crash.
  ~OpenedVolume();

  volume::Volume& engine() { return *volume_; }
  // An anchor under this volume's key, whatever the volume was mounted with.
  Result<std::unique_ptr<volume::Anchor>> anchor_in(const std::string& file) const;
  const std::string& path() const { return path_; }
  // Device and inode of the volume's own file on the host.
  NodeIdentity identity() const { return identity_; }

  // What was done until now is durable and anchored when this returns.
  Result<void> commit();
  // Clean end. The engine must not be used afterwards.
  Result<void> close();

 private:
  std::string path_;
  volume::VolumeKey key_;
  NodeIdentity identity_;
  std::unique_ptr<keeper::HostStore> store_;
  std::unique_ptr<volume::Clock> clock_;
  std::unique_ptr<volume::Anchor> anchor_;
  std::unique_ptr<volume::Volume> volume_;
};

}  // namespace casemate::volume_tool
