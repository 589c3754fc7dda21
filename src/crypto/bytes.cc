#include "crypto/bytes.h"

#include <algorithm>
#include <array>

namespace casemate::crypto {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::string_view kBase64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kWhiteSpace = " \t\r\n";
constexpr std::size_t kPemLineLength = 64;

constexpr int kNoDigit = -1;

int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return kNoDigit;
}

constexpr std::array<signed char, 256> make_base64_values() {
  std::array<signed char, 256> values{};
  values.fill(kNoDigit);
  for (std::size_t i = 0; i < kBase64Digits.size(); ++i) {
    values[static_cast<unsigned char>(kBase64Digits[i])] = static_cast<signed char>(i);
  }
  return values;
}
constexpr std::array<signed char, 256> kBase64Values = make_base64_values();

bool is_filler(char character) { return character == '\0' || kWhiteSpace.find(character) != std::string_view::npos; }

Error not_pem(std::string_view label, const std::string& why) {
  return Error(ErrorCategory::kFormat, "not a PEM text of " + std::string(label) + ": " + why);
}

}  // namespace

ByteView as_byte_view(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }

std::string_view as_text(ByteView bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

Bytes to_bytes(ByteView view) { return Bytes(view.begin(), view.end()); }

bool equal(ByteView left, ByteView right) { return std::ranges::equal(left, right); }

bool is_all_zero(ByteView bytes) {
  return std::ranges::all_of(bytes, [](std::byte value) { return value == std::byte{0}; });
}

void append(Bytes& target, ByteView more) { target.insert(target.end(), more.begin(), more.end()); }

std::string to_hex(ByteView bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (std::byte value : bytes) {
    text.push_back(kHexDigits[std::to_integer<unsigned>(value) >> 4]);
    text.push_back(kHexDigits[std::to_integer<unsigned>(value) & 0xf]);
  }
  return text;
}

Result<Bytes> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return Error(ErrorCategory::kFormat, "an odd number of hexadecimal digits");
  Bytes bytes;
  bytes.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_value(text[i]), low = hex_value(text[i + 1]);
    if (high == kNoDigit || low == kNoDigit) {
      return Error(ErrorCategory::kFormat, "not a hexadecimal digit at offset " + std::to_string(i));
    }
    bytes.push_back(static_cast<std::byte>(high * 16 + low));
  }
  return bytes;
}

Result<Bytes> from_base64(std::string_view text) {
  Bytes bytes;
  std::uint32_t group = 0;
  unsigned digits = 0, padding = 0;
  for (char character : text) {
    if (kWhiteSpace.find(character) != std::string_view::npos) continue;
    if (character == '=') {
      ++padding;
      continue;
    }
    const int value = kBase64Values[static_cast<unsigned char>(character)];
    if (value == kNoDigit || padding != 0) return Error(ErrorCategory::kFormat, "not base64");
    group = group << 6 | static_cast<std::uint32_t>(value);
    if (++digits % 4 != 0) continue;
    for (int shift : {16, 8, 0}) bytes.push_back(static_cast<std::byte>(group >> shift & 0xff));
    group = 0;
  }
  const unsigned left = digits % 4;
  if (padding != (4 - left) % 4 || left == 1) return Error(ErrorCategory::kFormat, "base64 with wrong padding");
  if (left == 2) {
    if ((group & 0xf) != 0) return Error(ErrorCategory::kFormat, "base64 with stray bits");
    bytes.push_back(static_cast<std::byte>(group >> 4 & 0xff));
  } else if (left == 3) {
    if ((group & 0x3) != 0) return Error(ErrorCategory::kFormat, "base64 with stray bits");
    bytes.push_back(static_cast<std::byte>(group >> 10 & 0xff));
    bytes.push_back(static_cast<std::byte>(group >> 2 & 0xff));
  }
  return bytes;
}

std::string to_base64(ByteView bytes) {
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      group = group << 8 | (j < count ? std::to_integer<std::uint32_t>(bytes[i + j]) : 0U);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      text.push_back(j <= count ? kBase64Digits[group >> (18 - 6 * j) & 0x3f] : '=');
    }
  }
  return text;
}

Result<std::vector<Bytes>> from_pem(std::string_view text, std::string_view label) {
  const std::string begin = "-----BEGIN " + std::string(label) + "-----";
  const std::string end = "-----END " + std::string(label) + "-----";
  std::vector<Bytes> blocks;
  while (true) {
    while (!text.empty() && is_filler(text.front())) text.remove_prefix(1);
    if (text.empty()) break;
    if (!text.starts_with(begin)) return not_pem(label, "other text before a block");
    text.remove_prefix(begin.size());
    const std::size_t stop = text.find(end);
    if (stop == std::string_view::npos) return not_pem(label, "a block does not end");
    Result<Bytes> block = from_base64(text.substr(0, stop));
    if (!block) return not_pem(label, block.error().message());
    blocks.push_back(std::move(block).value());
    text.remove_prefix(stop + end.size());
  }
  if (blocks.empty()) return not_pem(label, "it is empty");
  return blocks;
}

std::string to_pem(ByteView der, std::string_view label) {
  std::string text = "-----BEGIN " + std::string(label) + "-----\n";
  const std::string digits = to_base64(der);
  for (std::size_t i = 0; i < digits.size(); i += kPemLineLength) text += digits.substr(i, kPemLineLength) + "\n";
  return text + "-----END " + std::string(label) + "-----\n";
}

}  // namespace casemate::crypto
