// Volume keys from files and descriptors: for the keeper and for the offline tools.
//
// A key file holds either the 32 bytes of the key themselves, or the same as 64 hexadecimal digits (upper or lower
// case), optionally followed by one newline. Nothing else is accepted: a passphrase is no key. It must be a regular
// file that belongs to the caller (or root) and that nobody else may read or write (mode 0600 or 0400).
//
// What a hostile host can do here -> what we answer
//   give another key                          -> the volume does not verify: "wrong key"
//   make the path a link, a FIFO or a device  -> links are followed, and what is opened is checked, not what was named
#pragma once

#include <span>
#include <string>

#include "base/result.h"
#include "volume/volume.h"

namespace casemate::keeper {

// Errors name `path` and say what to do (chmod 600 ...). Blocks on the disk.
Result<volume::VolumeKey> read_key_file(const std::string& path);

// From an open descriptor (a pipe, say), read to its end; permissions are the giver's business. `name` is for messages.
Result<volume::VolumeKey> read_key_descriptor(int fd, const std::string& name);

// Makes a new file (never an existing one) of mode 0600 with a fresh random key as 64 hex digits and a newline; durable
// when it returns.
Result<volume::VolumeKey> create_key_file(const std::string& path);

// What both readers accept as contents. Errors: kFormat, with `name`.
Result<volume::VolumeKey> parse_key(std::span<const std::byte> contents, const std::string& name);

}  // namespace casemate::keeper
