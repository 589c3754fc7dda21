// HKDF with SHA-256 (RFC 5869): keys for one purpose each from one key of full entropy.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "base/result.h"
#include "crypto/secret.h"

namespace casemate::crypto {

// Fills `out` (at most 255 * 32 bytes). `purpose` is the label that tells uses apart ("info" in the RFC); `salt` may be
// empty. Errors: kSystem when the library refuses.
Result<void> hkdf_sha256(std::span<const std::byte> key, std::span<const std::byte> salt, std::string_view purpose,
                         std::span<std::byte> out);

template <std::size_t kSize>
Result<SecretBytes<kSize>> derive_key(std::span<const std::byte> key, std::span<const std::byte> salt,
                                      std::string_view purpose) {
  SecretBytes<kSize> derived;
  if (auto done = hkdf_sha256(key, salt, purpose, derived.expose_for_writing()); !done) return done.error();
  return derived;
}

}  // namespace casemate::crypto
