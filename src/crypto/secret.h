// Memory for keys: move-only, wiped when it goes, kept out of swap and core dumps as far as the kernel allows.
//
// The bytes live in a small arena of whole pages of their own (mlock and MADV_DONTDUMP, both best effort:
// RLIMIT_MEMLOCK may be 0 in containers), so that a stray overrun of an ordinary buffer does not reach them and one
// madvise covers many keys. There is no operator<<, no comparison and no copy: whoever wants the bytes says expose(),
// which is easy to find.
//
// Threads: distinct objects may be used from any threads. Allocates: from the arena; throws std::bad_alloc when the
// kernel refuses even a page.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>

#include "base/result.h"
#include "crypto/random.h"

namespace casemate::crypto {

// Overwrites bytes in a way that the compiler keeps.
void wipe(std::span<std::byte> bytes);

// Compares without telling by its duration where the difference is. Sizes are not secret.
bool equal_in_constant_time(std::span<const std::byte> left, std::span<const std::byte> right);

namespace internal {

// Zeroed memory from the arena; release wipes it.
std::byte* allocate_secret(std::size_t size);
void release_secret(std::byte* bytes, std::size_t size) noexcept;

}  // namespace internal

template <std::size_t kSize>
class SecretBytes {
 public:
  static constexpr std::size_t size() { return kSize; }

  // All zero, to be filled through expose_for_writing().
  SecretBytes() : bytes_(internal::allocate_secret(kSize)) {}
  // Copies; wiping the source is the caller's business.
  explicit SecretBytes(std::span<const std::byte, kSize> source) : SecretBytes() {
    std::copy(source.begin(), source.end(), bytes_);
  }
  static Result<SecretBytes> random() {
    SecretBytes fresh;
    if (auto filled = random_bytes(fresh.expose_for_writing()); !filled) return filled.error();
    return fresh;
  }

  SecretBytes(SecretBytes&& other) noexcept : bytes_(std::exchange(other.bytes_, nullptr)) {}
  SecretBytes& operator=(SecretBytes&& other) noexcept {
    if (this != &other) {
      release();
      bytes_ = std::exchange(other.bytes_, nullptr);
    }
    return *this;
  }
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;
  ~SecretBytes() { release(); }

  // A second secret with the same bytes; named, so that it does not happen by accident.
  SecretBytes duplicate() const { return SecretBytes(expose()); }

  // The bytes themselves. Requires: not moved from (the process stops otherwise). Valid as long as the object.
  std::span<const std::byte, kSize> expose() const { return std::span<const std::byte, kSize>(require(), kSize); }
  std::span<std::byte, kSize> expose_for_writing() { return std::span<std::byte, kSize>(require(), kSize); }

 private:
  std::byte* require() const {
    if (bytes_ == nullptr) __builtin_trap();
    return bytes_;
  }
  void release() noexcept {
    if (bytes_ != nullptr) internal::release_secret(bytes_, kSize);
    bytes_ = nullptr;
  }

  std::byte* bytes_;
};

}  // namespace casemate::crypto
