// Bytes of any size that are wiped when they go: what a sealed row opens to.
#pragma once

#include <string_view>
#include <utility>

#include "crypto/bytes.h"
#include "crypto/secret.h"

namespace casemate::cas {

using crypto::Bytes;
using crypto::ByteView;

// Move-only; the bytes never move in memory while they grow, because they do not grow. Threads: one at a time to
// change.
class SecretValue {
 public:
  SecretValue() = default;
  explicit SecretValue(Bytes bytes) : bytes_(std::move(bytes)) {}
  static SecretValue copy_of(ByteView bytes) { return SecretValue(crypto::to_bytes(bytes)); }
  static SecretValue copy_of(std::string_view text) { return copy_of(crypto::as_byte_view(text)); }
  SecretValue(SecretValue&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  SecretValue& operator=(SecretValue&& other) noexcept {
    if (this != &other) {
      crypto::wipe(bytes_);
      bytes_ = std::exchange(other.bytes_, {});
    }
    return *this;
  }
  SecretValue(const SecretValue&) = delete;
  SecretValue& operator=(const SecretValue&) = delete;
  ~SecretValue() { crypto::wipe(bytes_); }

  SecretValue duplicate() const { return copy_of(bytes_); }
  std::size_t size() const { return bytes_.size(); }
  // Valid as long as the object.
  ByteView expose() const { return bytes_; }
  std::span<std::byte> expose_for_writing() { return bytes_; }

 private:
  Bytes bytes_;
};

}  // namespace casemate::cas
