// SHA-256 and SHA-512 (FIPS 180-4), in one call or piece by piece.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>

namespace casemate::crypto {

using Sha256Digest = std::array<std::byte, 32>;
using Sha512Digest = std::array<std::byte, 64>;

Sha256Digest sha256(std::span<const std::byte> data);
Sha512Digest sha512(std::span<const std::byte> data);

// Threads: one object by one thread at a time.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void update(std::span<const std::byte> data);
  // The digest of everything so far. The object starts again from nothing.
  Sha256Digest finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class Sha512 {
 public:
  Sha512();
  ~Sha512();
  Sha512(const Sha512&) = delete;
  Sha512& operator=(const Sha512&) = delete;

  void update(std::span<const std::byte> data);
  Sha512Digest finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace casemate::crypto
