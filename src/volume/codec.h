// Little-endian numbers in and out of byte ranges. A reader never runs over its end: it remembers that it would have.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

namespace casemate::volume {

using Bytes = std::vector<std::byte>;
using ByteView = std::span<const std::byte>;

template <typename Number>
Number load_number(const std::byte* place) {
  static_assert(std::is_unsigned_v<Number>);
  Number number;
  std::memcpy(&number, place, sizeof number);  // x86-64 is little-endian
  return number;
}

template <typename Number>
void store_number(std::byte* place, Number number) {
  static_assert(std::is_unsigned_v<Number>);
  std::memcpy(place, &number, sizeof number);
}

class ByteWriter {
 public:
  explicit ByteWriter(Bytes& out) : out_(out) {}

  template <typename Number>
  void number(Number value) {
    const std::size_t place = out_.size();
    out_.resize(place + sizeof value);
    store_number(out_.data() + place, value);
  }
  void bytes(ByteView data) {
    if (data.empty()) return;
    const std::size_t place = out_.size();
    out_.resize(place + data.size());
    std::memcpy(out_.data() + place, data.data(), data.size());
  }
  // One byte of length, then the bytes. Requires: at most 255.
  void short_bytes(ByteView data) {
    number(static_cast<std::uint8_t>(data.size()));
    bytes(data);
  }

 private:
  Bytes& out_;
};

class ByteReader {
 public:
  explicit ByteReader(ByteView data) : rest_(data) {}

  template <typename Number>
  Number number() {
    const ByteView place = bytes(sizeof(Number));
    return place.empty() ? Number{0} : load_number<Number>(place.data());
  }
  // Empty when there are not so many.
  ByteView bytes(std::size_t size) {
    if (size > rest_.size()) {
      failed_ = true;
      rest_ = {};
      return {};
    }
    const ByteView part = rest_.first(size);
    rest_ = rest_.subspan(size);
    return part;
  }
  ByteView short_bytes() { return bytes(number<std::uint8_t>()); }
  template <std::size_t kSize>
  std::array<std::byte, kSize> array() {
    std::array<std::byte, kSize> out{};
    const ByteView part = bytes(kSize);
    if (!part.empty()) std::memcpy(out.data(), part.data(), kSize);
    return out;
  }

  bool failed() const { return failed_; }
  bool at_end() const { return rest_.empty(); }
  // Everything was there and nothing is left over.
  bool complete() const { return !failed_ && rest_.empty(); }

 private:
  ByteView rest_;
  bool failed_ = false;
};

}  // namespace casemate::volume
