// Text formatting into a caller's buffer, for code that has neither libc nor a heap (the runtime core, also inside
// signal handlers) and for hosted code that wants the same words. Text that does not fit is cut off, and truncated()
// tells; nothing is ever written behind the buffer.
#pragma once

#include <cstddef>
#include <cstdint>

namespace casemate {

class TextBuffer {
 public:
  // Requires: `buffer` holds `capacity` bytes and outlives this object. One byte is kept for the NUL of c_str().
  // Allocates: no. [signal-safe]
  constexpr TextBuffer(char* buffer, std::size_t capacity) : buffer_(buffer), capacity_(capacity) {}
  template <std::size_t kCapacity>
  constexpr explicit TextBuffer(char (&buffer)[kCapacity]) : TextBuffer(buffer, kCapacity) {}

  TextBuffer(const TextBuffer&) = delete;
  TextBuffer& operator=(const TextBuffer&) = delete;

  constexpr TextBuffer& append(char character) {
    put(character);
    return *this;
  }

  constexpr TextBuffer& append(const char* text) {
    if (text == nullptr) text = "(null)";
    while (*text != '\0') put(*text++);
    return *this;
  }

  constexpr TextBuffer& append(const char* text, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) put(text[i]);
    return *this;
  }

  constexpr TextBuffer& append_unsigned(std::uint64_t value) { return append_digits(value, 10, 1); }

  constexpr TextBuffer& append_signed(std::int64_t value) {
    if (value >= 0) return append_unsigned(static_cast<std::uint64_t>(value));
    put('-');
    return append_unsigned(0 - static_cast<std::uint64_t>(value));  // correct for the smallest value, too
  }

  // "0x" and at least `minimum_digits` digits.
  constexpr TextBuffer& append_hex(std::uint64_t value, unsigned minimum_digits = 1) {
    put('0');
    put('x');
    return append_digits(value, 16, minimum_digits);
  }

  // A leading "0", as file modes are written; zero itself is "0".
  constexpr TextBuffer& append_octal(std::uint64_t value) {
    if (value != 0) put('0');
    return append_digits(value, 8, 1);
  }

  // Decimal with at least `minimum_digits` digits, filled with zeros: fractions of seconds.
  constexpr TextBuffer& append_padded(std::uint64_t value, unsigned minimum_digits) {
    return append_digits(value, 10, minimum_digits);
  }

  constexpr void clear() {
    size_ = 0;
    truncated_ = false;
  }

  constexpr const char* data() const { return buffer_; }
  constexpr std::size_t size() const { return size_; }
  constexpr bool truncated() const { return truncated_; }
  // NUL-terminated (written here, so data() alone is not). A buffer of capacity 0 yields the empty string.
  constexpr const char* c_str() {
    if (capacity_ == 0) return "";
    buffer_[size_] = '\0';
    return buffer_;
  }

 private:
  static constexpr std::size_t kMaxDigits = 64;

  constexpr void put(char character) {
    if (capacity_ - size_ > 1) {
      buffer_[size_++] = character;
    } else {
      truncated_ = true;
    }
  }

  constexpr TextBuffer& append_digits(std::uint64_t value, unsigned base, unsigned minimum_digits) {
    char digits[kMaxDigits] = {};
    std::size_t count = 0;
    do {
      digits[count++] = "0123456789abcdef"[value % base];
      value /= base;
    } while (value != 0);
    while (count < minimum_digits && count < kMaxDigits) digits[count++] = '0';
    while (count > 0) put(digits[--count]);
    return *this;
  }

  char* buffer_;
  std::size_t capacity_;
  std::size_t size_ = 0;
  bool truncated_ = false;
};

}  // namespace casemate
