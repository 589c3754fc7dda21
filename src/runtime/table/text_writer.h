// Text in a caller's buffer, for core code: no allocation, no locale, no floating point. What does not fit is dropped
// and remembered, so that a line can be closed properly after its middle was too long (set_limit).
#pragma once

#include <cstddef>
#include <cstdint>

namespace casemate::runtime {

class TextWriter {
 public:
  TextWriter(char* buffer, std::size_t capacity) : buffer_(buffer), capacity_(capacity), limit_(capacity) {}

  const char* data() const { return buffer_; }
  std::size_t size() const { return size_; }
  bool is_full() const { return size_ >= limit_; }
  // Whether text was dropped.
  bool is_cut() const { return cut_; }
  // From now on at most `limit` characters in all (never more than the capacity).
  void set_limit(std::size_t limit) { limit_ = limit < capacity_ ? limit : capacity_; }

  TextWriter& put(char character) {
    if (size_ < limit_) {
      buffer_[size_++] = character;
    } else {
      cut_ = true;
    }
    return *this;
  }
  // Out of line: there are hundreds of uses.
  [[gnu::noinline]] TextWriter& text(const char* text) {
    while (*text != 0) put(*text++);
    return *this;
  }
  TextWriter& pad_to(std::size_t column) {
    while (size_ < column && !is_full()) put(' ');
    return *this;
  }
  TextWriter& decimal(std::int64_t value) {
    if (value < 0) put('-');
    return unsigned_decimal(value < 0 ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value));
  }
  TextWriter& unsigned_decimal(std::uint64_t value, unsigned minimum_digits = 1) {
    return digits(value, 10, minimum_digits);
  }
  TextWriter& right_aligned(std::uint64_t value, unsigned width) {
    unsigned used = 1;
    for (std::uint64_t rest = value / 10; rest != 0; rest /= 10) used++;
    for (; used < width; used++) put(' ');
    return unsigned_decimal(value);
  }
  // 0x1f; zero is "0".
  TextWriter& hex(std::uint64_t value) { return value == 0 ? put('0') : text("0x").digits(value, 16, 1); }
  // 0644
  TextWriter& octal(std::uint64_t value) { return put('0').digits(value, 8, 3); }
  TextWriter& plain_hex(std::uint64_t value, unsigned minimum_digits) { return digits(value, 16, minimum_digits); }

  // The inside of a C string literal.
  TextWriter& escaped(const char* bytes, std::size_t size) {
    for (std::size_t i = 0; i < size && !is_full(); i++) {
      const bool digit_follows = i + 1 < size && bytes[i + 1] >= '0' && bytes[i + 1] <= '7';
      escape(static_cast<unsigned char>(bytes[i]), digit_follows ? 3 : 1);
    }
    return *this;
  }

 private:
  [[gnu::noinline]] TextWriter& digits(std::uint64_t value, unsigned base, unsigned minimum) {
    char reversed[24];
    unsigned count = 0;
    do {
      reversed[count++] = "0123456789abcdef"[value % base];
      value /= base;
    } while ((value != 0 || count < minimum) && count < sizeof(reversed));
    while (count > 0) put(reversed[--count]);
    return *this;
  }
  void escape(unsigned char byte, unsigned octal_digits) {
    static constexpr char kShort[] = {'n', '\n', 't', '\t', 'r', '\r', 'v', '\v', 'f', '\f', '"', '"', '\\', '\\'};
    for (std::size_t i = 0; i < sizeof(kShort); i += 2) {
      if (static_cast<unsigned char>(kShort[i + 1]) == byte) {
        put('\\').put(kShort[i]);
        return;
      }
    }
    if (byte >= 0x20 && byte < 0x7f) {
      put(static_cast<char>(byte));
    } else {
      put('\\').digits(byte, 8, octal_digits);
    }
  }

  char* buffer_;
  std::size_t capacity_;
  std::size_t limit_;
  std::size_t size_ = 0;
  bool cut_ = false;
};

}  // namespace casemate::runtime
