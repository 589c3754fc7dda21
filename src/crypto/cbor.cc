#include "crypto/cbor.h"

namespace casemate::crypto {
namespace {

constexpr unsigned kByteString = 2, kTextString = 3, kArray = 4, kMap = 5;
// Arguments up to here stand in the initial byte itself (RFC 8949, section 3).
constexpr std::uint64_t kLargestShort = 23;
constexpr unsigned kOneByteFollows = 24, kEightBytesFollow = 27;

Error malformed(const char* what) { return Error(ErrorCategory::kFormat, std::string("CBOR: ") + what); }

unsigned octet(std::byte value) { return std::to_integer<unsigned>(value); }

// The size of a UTF-8 sequence at the front of `text` (RFC 3629), or 0.
std::size_t sequence_size(std::string_view text) {
  const auto at = [&](std::size_t index) { return static_cast<unsigned char>(text[index]); };
  const unsigned first = at(0);
  const std::size_t size = first < 0x80   ? 1
                           : first < 0xC2 ? 0
                           : first < 0xE0 ? 2
                           : first < 0xF0 ? 3
                           : first < 0xF5 ? 4
                                          : 0;
  if (size == 0 || size > text.size()) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if ((at(i) & 0xC0) != 0x80) return 0;
  }
  if (first == 0xE0 && at(1) < 0xA0) return 0;   // longer than needed
  if (first == 0xED && at(1) >= 0xA0) return 0;  // surrogates
  if (first == 0xF0 && at(1) < 0x90) return 0;
  if (first == 0xF4 && at(1) >= 0x90) return 0;  // beyond U+10FFFF
  return size;
}

bool is_plain_text(std::string_view text) {
  while (!text.empty()) {
    const std::size_t size = sequence_size(text);
    const auto first = static_cast<unsigned char>(text.front());
    if (size == 0 || first < 0x20 || first == 0x7F) return false;
    if (first == 0xC2 && static_cast<unsigned char>(text[1]) < 0xA0) return false;  // C1 controls: terminals obey them
    text.remove_prefix(size);
  }
  return true;
}

}  // namespace

void CborWriter::head(unsigned major, std::uint64_t value) {
  const auto initial = [&](unsigned argument) { bytes_.push_back(static_cast<std::byte>(major << 5 | argument)); };
  if (value <= kLargestShort) return initial(static_cast<unsigned>(value));
  unsigned exponent = 0;
  while (exponent < 3 && value >> (8U << exponent) != 0) ++exponent;
  initial(kOneByteFollows + exponent);
  for (unsigned shift = 8U << exponent; shift > 0; shift -= 8)
    bytes_.push_back(static_cast<std::byte>(value >> (shift - 8)));
}

void CborWriter::byte_string(ByteView bytes) {
  head(kByteString, bytes.size());
  append(bytes_, bytes);
}

void CborWriter::text_string(std::string_view text) {
  head(kTextString, text.size());
  append(bytes_, as_byte_view(text));
}

Result<ByteView> CborReader::take(std::uint64_t size) {
  if (size > rest_.size()) return malformed("cut off");
  const ByteView taken = rest_.first(static_cast<std::size_t>(size));
  rest_ = rest_.subspan(taken.size());
  return taken;
}

Result<std::uint64_t> CborReader::head(unsigned major) {
  const unsigned initial = octet(CASEMATE_TRY(take(1)).front());
  if (initial >> 5 != major) return malformed("a value of another type was expected");
  const unsigned argument = initial & 31;
  if (argument <= kLargestShort) return argument;
  if (argument > kEightBytesFollow) return malformed("indefinite or reserved length");
  const unsigned exponent = argument - kOneByteFollows;
  std::uint64_t value = 0;
  for (const std::byte next : CASEMATE_TRY(take(std::uint64_t{1} << exponent))) value = value << 8 | octet(next);
  const bool is_shortest = exponent == 0 ? value > kLargestShort : value >> (4U << exponent) != 0;
  if (!is_shortest) return malformed("a number is longer than needed");
  return value;
}

Result<ByteView> CborReader::byte_string() {
  const std::uint64_t size = CASEMATE_TRY(head(kByteString));
  return take(size);
}

Result<std::string_view> CborReader::text_string() {
  const std::uint64_t size = CASEMATE_TRY(head(kTextString));
  const std::string_view text = as_text(CASEMATE_TRY(take(size)));
  if (!is_plain_text(text)) return malformed("text with control characters, or not in UTF-8");
  return text;
}

Result<std::uint64_t> CborReader::array(std::uint64_t limit) {
  const std::uint64_t count = CASEMATE_TRY(head(kArray));
  if (count > limit) return malformed("too many elements");
  return count;
}

Result<std::uint64_t> CborReader::map(std::uint64_t limit) {
  const std::uint64_t count = CASEMATE_TRY(head(kMap));
  if (count > limit) return malformed("too many fields");
  return count;
}

Result<void> CborReader::finish() const {
  if (!rest_.empty()) return malformed("something follows its end");
  return {};
}

}  // namespace casemate::crypto
