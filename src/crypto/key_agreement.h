// X25519 (RFC 7748): two parties that know each other's public key agree on bytes that nobody else knows; and a box for
// one holder made of it: what is sealed to a public key, only the holder of its private key opens.
#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"
#include "crypto/bytes.h"
#include "crypto/secret.h"

struct evp_pkey_st;

namespace casemate::crypto {

using AgreementPublicKey = std::array<std::byte, 32>;

// Threads: immutable; may be used from any threads. OpenSSL owns the secret numbers and wipes them with the last copy.
class AgreementKey {
 public:
  static Result<AgreementKey> generate();
  // PKCS#8 PEM, as `openssl genpkey -algorithm X25519` writes. Errors: kFormat.
  static Result<AgreementKey> from_pem(std::string_view pem);
  // PKCS#8, unencrypted: the caller decides where such text may go.
  std::string to_pem() const;

  const AgreementPublicKey& public_key() const { return public_key_; }
  // Not uniform: derive keys from it together with both public keys. Errors: kFormat for a public key of low order.
  Result<SecretBytes<32>> agree(const AgreementPublicKey& other) const;

 private:
  explicit AgreementKey(std::shared_ptr<evp_pkey_st> handle, const AgreementPublicKey& public_key)
      : handle_(std::move(handle)), public_key_(public_key) {}
  static Result<AgreementKey> adopt(evp_pkey_st* handle);

  std::shared_ptr<evp_pkey_st> handle_;
  AgreementPublicKey public_key_;
};

// Ephemeral public key (32 bytes) || AES-256-GCM ciphertext || tag. The key is HKDF-SHA-256(agreed bytes, salt =
// ephemeral key || holder's key, `purpose`); it is used once, so the nonce is zero. `associated` must be the same again
// for opening. Errors: kSystem; kFormat for a holder key of low order.
Result<Bytes> seal_to_holder(const AgreementPublicKey& holder, std::string_view purpose, ByteView associated,
                             ByteView plaintext);

// Seals to many holders as seal_to_holder() does, with one ephemeral key for all within a short time: making one costs
// as much as agreeing. It is never used twice for the same holder, so that no key of a box is, and is forgotten when
// its time is over at the next use. Threads: any.
class HolderSealer {
 public:
  static constexpr std::chrono::milliseconds kLifetime{1000};
  static constexpr std::size_t kMostHolders = 4096;

  Result<Bytes> seal(const AgreementPublicKey& holder, std::string_view purpose, ByteView associated,
                     ByteView plaintext);

 private:
  Result<AgreementKey> key_for(const AgreementPublicKey& holder);

  std::mutex mutex_;
  std::optional<AgreementKey> key_;
  std::chrono::steady_clock::time_point made_;
  std::set<AgreementPublicKey> holders_;  // that a box of key_ was sealed to
};

// Errors: kFormat when it was not sealed to this key with this purpose and associated data, or was changed.
Result<Bytes> open_as_holder(const AgreementKey& key, std::string_view purpose, ByteView associated, ByteView box);

// scrypt (RFC 7914): a key from what people can remember, as expensive to guess as `cost` says: 2^cost blocks of 8 *
// 128 bytes each (15: 32 MiB and about 0.1 s). Errors: kUsage for a cost outside of 10 to 20; kSystem.
Result<SecretBytes<32>> derive_key_from_passphrase(std::string_view passphrase, ByteView salt, unsigned cost);

}  // namespace casemate::crypto
