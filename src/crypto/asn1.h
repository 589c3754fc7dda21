// ASN.1 in its distinguished encoding (X.690, DER), as far as certificates, revocation lists and the extensions of
// hardware vendors need it: a reader that walks bytes in place and a writer.
//
// What a hostile peer can do here: lengths beyond the data, indefinite or non-minimal lengths, tags of several bytes,
// trailing bytes. Each is an error; the reader allocates nothing and never looks outside of the view it was given.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>

#include "base/result.h"
#include "crypto/bytes.h"

namespace casemate::crypto {

namespace der_tag {
inline constexpr std::uint8_t kBoolean = 0x01, kInteger = 0x02, kBitString = 0x03, kOctetString = 0x04, kNull = 0x05,
                              kObjectIdentifier = 0x06, kEnumerated = 0x0a, kUtf8String = 0x0c, kPrintableString = 0x13,
                              kIa5String = 0x16, kUtcTime = 0x17, kGeneralizedTime = 0x18, kSequence = 0x30,
                              kSet = 0x31;
constexpr std::uint8_t context_constructed(unsigned number) { return static_cast<std::uint8_t>(0xa0 | number); }
}  // namespace der_tag

struct DerElement {
  std::uint8_t tag = 0;
  ByteView contents;
  ByteView whole;  // tag, length and contents
};

// Reads the elements of one level, in order. Errors of all methods: kFormat.
class DerReader {
 public:
  explicit DerReader(ByteView data) : rest_(data) {}

  bool at_end() const { return rest_.empty(); }
  // True when another element follows and has this tag.
  bool next_is(std::uint8_t tag) const { return !rest_.empty() && std::to_integer<std::uint8_t>(rest_.front()) == tag; }

  Result<DerElement> read();
  Result<DerElement> read(std::uint8_t tag);
  // The contents of a constructed element as a reader.
  Result<DerReader> enter(std::uint8_t tag);
  // A non-negative INTEGER's magnitude without leading zeros (zero: one zero byte).
  Result<ByteView> read_unsigned();
  // A non-negative INTEGER or ENUMERATED that fits.
  Result<std::uint64_t> read_number(std::uint8_t tag = der_tag::kInteger);
  // "1.2.840.113741.1.13.1"
  Result<std::string> read_object_identifier();
  // Contents of a BIT STRING of whole bytes.
  Result<ByteView> read_bit_string();
  // UTCTime or GeneralizedTime in the form of RFC 5280: seconds since 1970.
  Result<std::int64_t> read_time();
  Result<void> finish() const;

 private:
  ByteView rest_;
};

// Reads a value that must be the only one in `data`.
Result<DerReader> enter_only(ByteView data, std::uint8_t tag);

// Builders: each gives one whole element.
Bytes der(std::uint8_t tag, ByteView contents);
Bytes der(std::uint8_t tag, std::initializer_list<Bytes> parts);
Bytes der_integer(std::uint64_t value);
// From a big-endian magnitude.
Bytes der_unsigned(ByteView magnitude);
Bytes der_object_identifier(std::string_view dotted);
Bytes der_bit_string(ByteView contents);
Bytes der_text(std::uint8_t tag, std::string_view text);
// GeneralizedTime from 2050 on, UTCTime before, as RFC 5280 wants it.
Bytes der_time(std::int64_t seconds_since_1970);

}  // namespace casemate::crypto
