// One line of text in a fixed buffer: what core code uses for messages. Truncates silently.
#pragma once

#include <cstdint>

namespace casemate::runtime {

class Line {
 public:
  Line& text(const char* text) {
    while (*text != 0) put(*text++);
    return *this;
  }
  Line& hex(std::uint64_t value) {
    text("0x");
    int shift = 60;
    while (shift > 0 && ((value >> shift) & 15) == 0) shift -= 4;
    for (; shift >= 0; shift -= 4) put("0123456789abcdef"[(value >> shift) & 15]);
    return *this;
  }
  Line& number(std::int64_t value) {
    if (value < 0) put('-');
    std::uint64_t rest = value < 0 ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
    char digits[20];
    unsigned count = 0;
    do {
      digits[count++] = static_cast<char>('0' + rest % 10);
      rest /= 10;
    } while (rest != 0);
    while (count > 0) put(digits[--count]);
    return *this;
  }
  const char* data() const { return buffer_; }
  std::uint64_t size() const { return size_; }
  // NUL-terminated.
  const char* c_str() {
    buffer_[size_ < sizeof(buffer_) ? size_ : sizeof(buffer_) - 1] = 0;
    return buffer_;
  }

 private:
  void put(char c) {
    if (size_ < sizeof(buffer_) - 1) buffer_[size_++] = c;
  }
  char buffer_[512];
  std::uint64_t size_ = 0;
};

}  // namespace casemate::runtime
