// Reads little-endian fields out of bytes that somebody else wrote, and writes them back. Every read says first whether
// that much is left; nothing is allocated, and views point into the input.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstdint>
#include <string>

#include "base/result.h"
#include "crypto/bytes.h"

namespace casemate::evidence {

using crypto::Bytes;
using crypto::ByteView;

template <std::size_t kSize>
using FixedBytes = std::array<std::byte, kSize>;

class ByteReader {
 public:
  // `what` names the structure in errors; it must outlive the reader.
  ByteReader(ByteView data, const char* what) : rest_(data), what_(what) {}

  std::size_t left() const { return rest_.size(); }
  ByteView rest() const { return rest_; }

  Result<ByteView> take(std::uint64_t size) {
    if (size > rest_.size()) {
      return Error(ErrorCategory::kFormat, std::string(what_) + ": cut off, " + std::to_string(size) +
                                               " bytes wanted and " + std::to_string(rest_.size()) + " left");
    }
    const ByteView taken = rest_.first(static_cast<std::size_t>(size));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }

  template <std::unsigned_integral Number>
  Result<Number> number() {
    const ByteView bytes = CASEMATE_TRY(take(sizeof(Number)));
    std::uint64_t value = 0;
    for (std::size_t i = bytes.size(); i-- > 0;) value = value << 8 | std::to_integer<std::uint64_t>(bytes[i]);
    return static_cast<Number>(value);
  }

  Result<void> finish() const {
    if (rest_.empty()) return {};
    return Error(ErrorCategory::kFormat, std::string(what_) + ": " + std::to_string(rest_.size()) + " bytes too many");
  }

 private:
  ByteView rest_;
  const char* what_;
};

// Fields at fixed offsets of a structure whose size was checked: the reader of layouts that vendors give as tables.
class FieldView {
 public:
  explicit FieldView(ByteView structure) : bytes_(structure) {}

  template <std::size_t kSize>
  FixedBytes<kSize> bytes(std::size_t offset) const {
    FixedBytes<kSize> copy;
    std::ranges::copy(bytes_.subspan(offset, kSize), copy.begin());
    return copy;
  }
  template <std::unsigned_integral Number>
  Number number(std::size_t offset) const {
    std::uint64_t value = 0;
    for (std::size_t i = sizeof(Number); i-- > 0;) {
      value = value << 8 | std::to_integer<std::uint64_t>(bytes_[offset + i]);
    }
    return static_cast<Number>(value);
  }
  bool is_zero(std::size_t offset, std::size_t size) const { return crypto::is_all_zero(bytes_.subspan(offset, size)); }

 private:
  ByteView bytes_;
};

// The opposite: fills fields of a structure that starts all zero.
class FieldWriter {
 public:
  explicit FieldWriter(std::size_t size) : bytes_(size) {}

  FieldWriter& bytes(std::size_t offset, ByteView field) {
    std::ranges::copy(field, bytes_.begin() + static_cast<std::ptrdiff_t>(offset));
    return *this;
  }
  template <std::unsigned_integral Number>
  FieldWriter& number(std::size_t offset, Number value) {
    for (std::size_t i = 0; i < sizeof(Number); ++i) {
      bytes_[offset + i] = static_cast<std::byte>(static_cast<std::uint64_t>(value) >> (8 * i) & 0xff);
    }
    return *this;
  }
  Bytes finish() { return std::move(bytes_); }

 private:
  Bytes bytes_;
};

template <std::unsigned_integral Number>
void append_number(Bytes& target, Number value) {
  for (std::size_t i = 0; i < sizeof(Number); ++i) {
    target.push_back(static_cast<std::byte>(static_cast<std::uint64_t>(value) >> (8 * i) & 0xff));
  }
}

inline Result<ByteView> require_size(ByteView data, std::size_t size, const char* what) {
  if (data.size() == size) return data;
  return Error(ErrorCategory::kFormat,
               std::string(what) + ": " + std::to_string(data.size()) + " bytes instead of " + std::to_string(size));
}

}  // namespace casemate::evidence
