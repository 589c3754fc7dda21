// Sealing of rows: AES-256-GCM under a key of the hierarchy, bound to the place where the row belongs.
//
// A sealed row is salt (16 bytes) || counter (8) || ciphertext || tag (16). Every sealer draws a salt when it is made
// and derives its own key from the long-lived one with it (HKDF), then counts. So no (key, nonce) pair comes twice even
// when the disk is set back to an older state and the CAS starts from there, which counters kept on that disk could not
// promise.
//
// What a hostile disk can do here -> what we answer
//   change a row                              -> does not open: kFormat
//   put a row in another's place, or an older version of it -> associated data differ: does not open
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>

#include "base/result.h"
#include "cas/store/secret_value.h"
#include "crypto/aead.h"

namespace casemate::cas {

using SealingKey = crypto::SecretBytes<32>;

inline constexpr std::size_t kSealOverhead = 16 + 8 + crypto::kAeadTagSize;

// Threads: any number at once.
class Sealer {
 public:
  // Keeps its own copy of the key. Errors: kSystem.
  static Result<std::unique_ptr<Sealer>> create(const SealingKey& key);

  // Errors: kSystem.
  Result<Bytes> seal(ByteView associated, ByteView plaintext);
  // Errors: kFormat when not sealed with this key for this place, or changed since.
  Result<SecretValue> open(ByteView associated, ByteView sealed);

 private:
  using Salt = std::array<std::byte, 16>;
  explicit Sealer(SealingKey key) : key_(std::move(key)) {}
  // The cipher that sealed with this salt, derived at its first use.
  Result<const crypto::Aes256Gcm*> cipher_of(const Salt& salt);

  SealingKey key_;
  Salt own_salt_{};
  std::atomic<std::uint64_t> counter_{0};
  std::mutex mutex_;
  std::map<Salt, std::unique_ptr<crypto::Aes256Gcm>> ciphers_;  // entries are never removed
};

}  // namespace casemate::cas
