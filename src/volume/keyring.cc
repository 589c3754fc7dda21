#include "volume/keyring.h"

#include <string>

#include "crypto/kdf.h"
#include "volume/check.h"
#include "volume/errors.h"

namespace casemate::volume {

Error damaged_page(const PageIdentity& identity) {
  return damaged("inode " + std::to_string(identity.inode) + ", bytes from " +
                 std::to_string(identity.page * kPageSize) + ": the data is not what was written there");
}

crypto::AeadNonce nonce_for(Domain domain, std::uint64_t counter) {
  crypto::AeadNonce nonce;
  store_number(nonce.data(), static_cast<std::uint32_t>(domain));
  store_number(nonce.data() + 4, counter);
  return nonce;
}

std::array<std::byte, 16> associated_data(const PageIdentity& identity) {
  std::array<std::byte, 16> bytes;
  store_number(bytes.data(), identity.inode);
  store_number(bytes.data() + 8, identity.page);
  return bytes;
}

void Keyring::add(const MountSalt& salt) {
  const std::lock_guard lock(mutex_);
  salts_[salt.epoch] = salt.salt;
}

Result<const crypto::Aes256Gcm*> Keyring::cipher(std::uint32_t epoch) const {
  const std::lock_guard lock(mutex_);
  if (const auto known = ciphers_.find(epoch); known != ciphers_.end()) return known->second.get();
  const auto salt = salts_.find(epoch);
  if (salt == salts_.end()) return damaged("the volume names mount " + std::to_string(epoch) + ", which never was");
  Bytes full_salt(salt->second.begin(), salt->second.end());
  ByteWriter writer(full_salt);
  writer.bytes(id_);
  writer.number(epoch);
  auto cipher = std::make_unique<crypto::Aes256Gcm>(CASEMATE_TRY(purpose_cipher(full_salt, "casemate volume mount")));
  return ciphers_.emplace(epoch, std::move(cipher)).first->second.get();
}

Result<crypto::Aes256Gcm> Keyring::purpose_cipher(ByteView salt, std::string_view purpose) const {
  const auto key = CASEMATE_TRY(crypto::derive_key<crypto::kAeadKeySize>(key_.expose(), salt, purpose));
  return crypto::Aes256Gcm::create(key.expose());
}

Result<std::array<std::byte, 16>> Keyring::key_check() const {
  std::array<std::byte, 16> check;
  VOLUME_CHECK(crypto::hkdf_sha256(key_.expose(), id_, "casemate volume key check", check));
  return check;
}

Result<std::array<std::byte, 16>> Keyring::name_hash_key() const {
  std::array<std::byte, 16> key;
  VOLUME_CHECK(crypto::hkdf_sha256(key_.expose(), id_, "casemate volume name hash", key));
  return key;
}

}  // namespace casemate::volume
