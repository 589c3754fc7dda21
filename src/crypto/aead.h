// AES-256-GCM (NIST SP 800-38D) for many small pieces under one key.
//
// Setting a key costs as much as sealing 1.3 KiB, so an Aes256Gcm keeps contexts that already have it; a Session
// borrows one. Take a session per batch, not per piece.
//
// Nonces are the caller's duty: one (key, nonce) pair seals at most once, ever. Whoever breaks that loses both
// confidentiality and authenticity.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>

#include "base/result.h"
#include "crypto/secret.h"

namespace casemate::crypto {

inline constexpr std::size_t kAeadKeySize = 32;
inline constexpr std::size_t kAeadNonceSize = 12;
inline constexpr std::size_t kAeadTagSize = 16;

using AeadKey = SecretBytes<kAeadKeySize>;
using AeadNonce = std::array<std::byte, kAeadNonceSize>;
using AeadTag = std::array<std::byte, kAeadTagSize>;

// Threads: any number at once; each works in its own Session.
class Aes256Gcm {
 public:
  class Session;

  // Keeps its own copy of the key. Errors: kSystem when the library has no AES-256-GCM.
  static Result<Aes256Gcm> create(std::span<const std::byte, kAeadKeySize> key);
  Aes256Gcm(Aes256Gcm&&) noexcept;
  Aes256Gcm& operator=(Aes256Gcm&&) noexcept;
  ~Aes256Gcm();

  Session session() const;

  // One piece, with a session of its own.
  AeadTag seal(const AeadNonce& nonce, std::span<const std::byte> associated, std::span<const std::byte> plaintext,
               std::span<std::byte> ciphertext) const;
  [[nodiscard]] bool open(const AeadNonce& nonce, std::span<const std::byte> associated,
                          std::span<const std::byte> ciphertext, const AeadTag& tag,
                          std::span<std::byte> plaintext) const;

 private:
  struct Pool;
  explicit Aes256Gcm(std::unique_ptr<Pool> pool);
  std::unique_ptr<Pool> pool_;
};

// Threads: one at a time. Requires: the Aes256Gcm outlives it.
class Aes256Gcm::Session {
 public:
  Session(Session&& other) noexcept;
  Session& operator=(Session&&) = delete;
  ~Session();

  // Requires: equal sizes below 2^31; the two may be the same bytes but not overlap otherwise. A failure of the library
  // (none is possible once the context exists) stops the process: unsealed bytes must not go on.
  AeadTag seal(const AeadNonce& nonce, std::span<const std::byte> associated, std::span<const std::byte> plaintext,
               std::span<std::byte> ciphertext);
  // False: not sealed with this key, nonce and associated data, or changed since; `plaintext` is zeroed then.
  [[nodiscard]] bool open(const AeadNonce& nonce, std::span<const std::byte> associated,
                          std::span<const std::byte> ciphertext, const AeadTag& tag, std::span<std::byte> plaintext);

 private:
  friend class Aes256Gcm;
  struct Contexts;
  Session(Pool* pool, std::unique_ptr<Contexts> contexts);
  Pool* pool_;
  std::unique_ptr<Contexts> contexts_;
};

}  // namespace casemate::crypto
