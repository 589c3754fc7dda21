#include "crypto/asn1.h"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <vector>

namespace casemate::crypto {
namespace {

Error malformed(const std::string& what) { return Error(ErrorCategory::kFormat, "DER: " + what); }

unsigned byte_at(ByteView data, std::size_t index) { return std::to_integer<unsigned>(data[index]); }

constexpr std::size_t kMaxLengthBytes = 4;

struct Length {
  std::size_t size;         // of the contents
  std::size_t header_size;  // of the length field
};

Result<Length> read_length(ByteView data) {
  if (data.empty()) return malformed("no length");
  const unsigned first = byte_at(data, 0);
  if (first < 0x80) return Length{first, 1};
  const std::size_t count = first & 0x7f;
  if (count == 0 || count > kMaxLengthBytes) return malformed("length of a form that DER does not have");
  if (data.size() - 1 < count) return malformed("cut off in a length");
  std::size_t size = 0;
  for (std::size_t i = 1; i <= count; ++i) size = size << 8 | byte_at(data, i);
  if (size < 0x80 || byte_at(data, 1) == 0) return malformed("length in more bytes than needed");
  return Length{size, 1 + count};
}

// Digits [offset, offset + count) as a number; -1 when one of them is none.
int digits_at(std::string_view text, std::size_t offset, std::size_t count) {
  int value = 0;
  for (char digit : text.substr(offset, count)) {
    if (digit < '0' || digit > '9') return -1;
    value = value * 10 + (digit - '0');
  }
  return value;
}

// Days since 1970-01-01 of the proleptic Gregorian calendar, by counting in 400-year cycles that start in March.
std::int64_t days_from_civil(std::int64_t year, int month, int day) {
  year -= month <= 2 ? 1 : 0;
  const std::int64_t cycle = (year >= 0 ? year : year - 399) / 400;
  const std::int64_t year_of_cycle = year - cycle * 400;
  const std::int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  const std::int64_t day_of_cycle = year_of_cycle * 365 + year_of_cycle / 4 - year_of_cycle / 100 + day_of_year;
  return cycle * 146097 + day_of_cycle - 719468;
}

Bytes base128(std::uint64_t value) {
  Bytes digits{static_cast<std::byte>(value & 0x7f)};
  while ((value >>= 7) != 0) digits.insert(digits.begin(), static_cast<std::byte>(0x80 | (value & 0x7f)));
  return digits;
}

}  // namespace

Result<DerElement> DerReader::read() {
  if (rest_.empty()) return malformed("an element is missing");
  if ((byte_at(rest_, 0) & 0x1f) == 0x1f) return malformed("tag of several bytes");
  const Length length = CASEMATE_TRY(read_length(rest_.subspan(1)));
  const std::size_t header_size = 1 + length.header_size;
  if (length.size > rest_.size() - header_size) return malformed("an element is longer than what is left");
  const DerElement element{static_cast<std::uint8_t>(byte_at(rest_, 0)), rest_.subspan(header_size, length.size),
                           rest_.first(header_size + length.size)};
  rest_ = rest_.subspan(element.whole.size());
  return element;
}

Result<DerElement> DerReader::read(std::uint8_t tag) {
  if (!next_is(tag)) {
    return malformed("expected tag " + std::to_string(tag) + ", found " +
                     (rest_.empty() ? "the end" : std::to_string(byte_at(rest_, 0))));
  }
  return read();
}

Result<DerReader> DerReader::enter(std::uint8_t tag) { return DerReader(CASEMATE_TRY(read(tag)).contents); }

Result<ByteView> DerReader::read_unsigned() {
  ByteView contents = CASEMATE_TRY(read(der_tag::kInteger)).contents;
  if (contents.empty()) return malformed("INTEGER without contents");
  if (byte_at(contents, 0) >= 0x80) return malformed("negative INTEGER");
  if (contents.size() > 1 && byte_at(contents, 0) == 0) {
    if (byte_at(contents, 1) < 0x80) return malformed("INTEGER in more bytes than needed");
    contents = contents.subspan(1);
  }
  return contents;
}

Result<std::uint64_t> DerReader::read_number(std::uint8_t tag) {
  const ByteView contents = CASEMATE_TRY(read(tag)).contents;
  if (contents.empty() || contents.size() > 8 || byte_at(contents, 0) >= 0x80) return malformed("number out of range");
  const bool is_padded = contents.size() > 1 && byte_at(contents, 0) == 0 && byte_at(contents, 1) < 0x80;
  if (is_padded) return malformed("number in more bytes than needed");
  std::uint64_t value = 0;
  for (std::byte digit : contents) value = value << 8 | std::to_integer<std::uint64_t>(digit);
  return value;
}

Result<std::string> DerReader::read_object_identifier() {
  const ByteView contents = CASEMATE_TRY(read(der_tag::kObjectIdentifier)).contents;
  if (contents.empty() || byte_at(contents, contents.size() - 1) >= 0x80) return malformed("cut off object identifier");
  std::string dotted;
  std::uint64_t arc = 0;
  for (std::byte digit : contents) {
    if (arc > UINT64_MAX >> 7) return malformed("object identifier with a huge arc");
    arc = arc << 7 | (std::to_integer<std::uint64_t>(digit) & 0x7f);
    if (std::to_integer<unsigned>(digit) >= 0x80) continue;
    if (dotted.empty()) {
      const std::uint64_t root = std::min<std::uint64_t>(arc / 40, 2);
      dotted = std::to_string(root) + "." + std::to_string(arc - root * 40);
    } else {
      dotted += "." + std::to_string(arc);
    }
    arc = 0;
  }
  return dotted;
}

Result<ByteView> DerReader::read_bit_string() {
  const ByteView contents = CASEMATE_TRY(read(der_tag::kBitString)).contents;
  if (contents.empty() || byte_at(contents, 0) != 0) return malformed("BIT STRING of a broken number of bytes");
  return contents.subspan(1);
}

Result<std::int64_t> DerReader::read_time() {
  const DerElement element = CASEMATE_TRY(read());
  const std::string_view text = as_text(element.contents);
  const std::size_t year_digits = element.tag == der_tag::kUtcTime ? 2 : 4;
  if (element.tag != der_tag::kUtcTime && element.tag != der_tag::kGeneralizedTime) return malformed("not a time");
  if (text.size() != year_digits + 11 || text.back() != 'Z') return malformed("time in a form RFC 5280 does not allow");
  int year = digits_at(text, 0, year_digits);
  if (year_digits == 2 && year >= 0) year += year < 50 ? 2000 : 1900;
  const int month = digits_at(text, year_digits, 2), day = digits_at(text, year_digits + 2, 2),
            hour = digits_at(text, year_digits + 4, 2), minute = digits_at(text, year_digits + 6, 2),
            second = digits_at(text, year_digits + 8, 2);
  const bool sane = year >= 0 && month >= 1 && month <= 12 && day >= 1 && day <= 31 && hour >= 0 && hour <= 23 &&
                    minute >= 0 && minute <= 59 && second >= 0 && second <= 60;
  if (!sane) return malformed("a time that does not exist");
  return days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
}

Result<void> DerReader::finish() const {
  if (!at_end()) return malformed(std::to_string(rest_.size()) + " bytes too many");
  return {};
}

Result<DerReader> enter_only(ByteView data, std::uint8_t tag) {
  DerReader reader(data);
  const DerElement element = CASEMATE_TRY(reader.read(tag));
  if (Result<void> end = reader.finish(); !end) return end.error();
  return DerReader(element.contents);
}

Bytes der(std::uint8_t tag, ByteView contents) {
  Bytes element{std::byte{tag}};
  if (contents.size() < 0x80) {
    element.push_back(static_cast<std::byte>(contents.size()));
  } else {
    Bytes length;
    for (std::size_t size = contents.size(); size != 0; size >>= 8) {
      length.insert(length.begin(), static_cast<std::byte>(size & 0xff));
    }
    element.push_back(static_cast<std::byte>(0x80 | length.size()));
    append(element, length);
  }
  append(element, contents);
  return element;
}

Bytes der(std::uint8_t tag, std::initializer_list<Bytes> parts) {
  Bytes contents;
  for (const Bytes& part : parts) append(contents, part);
  return der(tag, contents);
}

Bytes der_integer(std::uint64_t value) {
  Bytes magnitude;
  for (int shift = 56; shift >= 0; shift -= 8) magnitude.push_back(static_cast<std::byte>(value >> shift & 0xff));
  return der_unsigned(magnitude);
}

Bytes der_unsigned(ByteView magnitude) {
  while (magnitude.size() > 1 && magnitude.front() == std::byte{0}) magnitude = magnitude.subspan(1);
  Bytes contents;
  if (magnitude.empty() || std::to_integer<unsigned>(magnitude.front()) >= 0x80) contents.push_back(std::byte{0});
  append(contents, magnitude);
  return der(der_tag::kInteger, contents);
}

Bytes der_object_identifier(std::string_view dotted) {
  std::vector<std::uint64_t> arcs;
  const char* cursor = dotted.data();
  const char* const end = cursor + dotted.size();
  while (cursor < end) {
    std::uint64_t arc = 0;
    cursor = std::from_chars(cursor, end, arc).ptr + 1;
    arcs.push_back(arc);
  }
  Bytes contents;
  if (arcs.size() >= 2) append(contents, base128(arcs[0] * 40 + arcs[1]));
  for (std::size_t i = 2; i < arcs.size(); ++i) append(contents, base128(arcs[i]));
  return der(der_tag::kObjectIdentifier, contents);
}

Bytes der_bit_string(ByteView contents) {
  Bytes bits{std::byte{0}};
  append(bits, contents);
  return der(der_tag::kBitString, bits);
}

Bytes der_text(std::uint8_t tag, std::string_view text) { return der(tag, as_byte_view(text)); }

Bytes der_time(std::int64_t seconds_since_1970) {
  const std::time_t moment = seconds_since_1970;
  std::tm parts{};
  gmtime_r(&moment, &parts);
  const bool is_far = parts.tm_year >= 150;
  char text[32];
  const std::size_t size = std::strftime(text, sizeof text, is_far ? "%Y%m%d%H%M%SZ" : "%y%m%d%H%M%SZ", &parts);
  return der_text(is_far ? der_tag::kGeneralizedTime : der_tag::kUtcTime, {text, size});
}

}  // namespace casemate::crypto
