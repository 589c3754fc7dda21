// A byte store in memory that can fail, and a clock and an anchor for tests.
#pragma once

#include <cerrno>
#include <cstring>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "volume/byte_store.h"
#include "volume/codec.h"
#include "volume/volume.h"

namespace casemate::volume::testing {

class MemoryStore : public ByteStore {
 public:
  MemoryStore() = default;
  explicit MemoryStore(Bytes bytes) : bytes_(std::move(bytes)) {}

  Result<std::uint64_t> size() const override {
    const std::lock_guard lock(mutex_);
    return std::uint64_t{bytes_.size()};
  }
  Result<void> read(std::uint64_t offset, std::span<std::byte> out) const override {
    const std::lock_guard lock(mutex_);
    if (offset > bytes_.size() || out.size() > bytes_.size() - offset) {
      return Error(ErrorCategory::kFormat, "the store ends before byte " + std::to_string(offset + out.size()), EIO);
    }
    if (!out.empty()) std::memcpy(out.data(), bytes_.data() + offset, out.size());
    return {};
  }
  Result<void> write(std::uint64_t offset, std::span<const std::byte> data) override {
    const std::lock_guard lock(mutex_);
    if (offset + data.size() > bytes_.size()) bytes_.resize(offset + data.size());
    if (!data.empty()) std::memcpy(bytes_.data() + offset, data.data(), data.size());
    return {};
  }
  Result<void> flush() override { return {}; }
  Result<void> resize(std::uint64_t size) override {
    const std::lock_guard lock(mutex_);
    bytes_.resize(size);
    return {};
  }

  // The whole image. Not while somebody writes.
  Bytes& bytes() { return bytes_; }
  const Bytes& bytes() const { return bytes_; }

 private:
  mutable std::mutex mutex_;
  Bytes bytes_;
};

// Advances by a second per look.
class CountingClock : public Clock {
 public:
  Timestamp now() const override {
    const std::lock_guard lock(mutex_);
    return {++seconds_, 5};
  }

 private:
  mutable std::mutex mutex_;
  mutable std::int64_t seconds_ = 1'700'000'000;
};

class MemoryAnchor : public Anchor {
 public:
  void bind(const std::array<std::byte, 16>&) override {}
  Result<std::optional<Position>> load() override { return position; }
  Result<void> store(const Position& newest) override {
    if (is_broken) return Error(ErrorCategory::kSystem, "the anchor is away", EIO);
    position = newest;
    return {};
  }
  std::optional<Position> position;
  bool is_broken = false;
};

inline VolumeKey test_key(std::uint8_t first = 1) {
  VolumeKey key;
  for (std::size_t index = 0; index < key.size(); ++index) {
    key.expose_for_writing()[index] = static_cast<std::byte>(first + index);
  }
  return key;
}

inline CreateOptions small_volume() {
  CreateOptions options;
  options.maximum_size = std::uint64_t{64} << 20;
  options.journal_size = std::uint64_t{1} << 20;
  options.label = "test";
  return options;
}

// Contents that tell where they belong.
inline Bytes pattern(std::size_t size, std::uint64_t seed) {
  Bytes bytes(size);
  std::uint64_t state = seed * 0x9e3779b97f4a7c15ULL + 1;
  for (std::byte& byte : bytes) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    byte = static_cast<std::byte>(state >> 56);
  }
  return bytes;
}

}  // namespace casemate::volume::testing
