// All keys of a mounted volume, derived from the volume key (docs/formats/volume.md, "Keys").
//
// Each read-write mount draws a fresh random salt and seals everything under a key of its own, with nonces that count.
// So two mounts of the same state of a volume (a copy, a snapshot, a rollback) never use a (key, nonce) pair twice.
//
// Threads: any.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <span>

#include "base/result.h"
#include "crypto/aead.h"
#include "volume/format.h"
#include "volume/volume.h"

namespace casemate::volume {

struct MountSalt {
  std::uint32_t epoch = 0;
  Salt salt{};
};

// What a data unit is bound to besides its nonce.
struct PageIdentity {
  InodeNumber inode = 0;
  std::uint64_t page = 0;
};

// "inode 12, bytes from 4096: ..."
Error damaged_page(const PageIdentity& identity);

crypto::AeadNonce nonce_for(Domain domain, std::uint64_t counter);
std::array<std::byte, 16> associated_data(const PageIdentity& identity);

class Keyring {
 public:
  Keyring(const VolumeKey& key, const VolumeId& id) : key_(key.duplicate()), id_(id) {}

  void add(const MountSalt& salt);
  // The cipher of one mount. Errors: kFormat when no salt of that epoch is known.
  Result<const crypto::Aes256Gcm*> cipher(std::uint32_t epoch) const;
  // For one purpose outside of mounts: superblocks (fresh salt each), salt pages.
  Result<crypto::Aes256Gcm> purpose_cipher(ByteView salt, std::string_view purpose) const;
  // Not secret: tells a wrong key from a damaged volume.
  Result<std::array<std::byte, 16>> key_check() const;
  // Keys the hash of names, so that nobody can make names collide on purpose.
  Result<std::array<std::byte, 16>> name_hash_key() const;

 private:
  VolumeKey key_;
  VolumeId id_;
  mutable std::mutex mutex_;
  std::map<std::uint32_t, Salt> salts_;
  mutable std::map<std::uint32_t, std::unique_ptr<crypto::Aes256Gcm>> ciphers_;
};

}  // namespace casemate::volume
