#include "las/aesm_message.h"

#include <optional>
#include <string>
#include <vector>

namespace casemate::las {
namespace {

using crypto::Bytes;
using crypto::ByteView;

// Protocol Buffers encoding: a key is (field number << 3 | wire type).
enum class WireType : std::uint8_t { kNumber = 0, kBytes = 2 };
constexpr unsigned kInitQuote = 15, kQuoteSize = 16, kQuote = 17;  // fields of Request and Response

Error malformed(const char* what) { return Error(ErrorCategory::kFormat, std::string("aesmd's answer: ") + what); }

void put_number(Bytes& out, std::uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<std::byte>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<std::byte>(value));
}
void put_key(Bytes& out, unsigned field, WireType type) {
  put_number(out, static_cast<std::uint64_t>(field) << 3 | static_cast<std::uint64_t>(type));
}
void put_number_field(Bytes& out, unsigned field, std::uint64_t value) {
  put_key(out, field, WireType::kNumber);
  put_number(out, value);
}
void put_bytes_field(Bytes& out, unsigned field, ByteView value) {
  put_key(out, field, WireType::kBytes);
  put_number(out, value.size());
  crypto::append(out, value);
}

Bytes wrapped(unsigned field, const Bytes& message) {
  Bytes out;
  put_bytes_field(out, field, message);
  return out;
}

struct Field {
  unsigned number = 0;
  WireType type = WireType::kNumber;
  std::uint64_t value = 0;
  ByteView bytes;
};

std::optional<std::uint64_t> take_number(ByteView& rest) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64 && !rest.empty(); shift += 7) {
    const auto octet = std::to_integer<std::uint64_t>(rest.front());
    rest = rest.subspan(1);
    value |= (octet & 0x7f) << shift;
    if ((octet & 0x80) == 0) return value;
  }
  return std::nullopt;
}

Result<std::vector<Field>> fields_of(ByteView rest) {
  std::vector<Field> fields;
  while (!rest.empty()) {
    const auto key = take_number(rest);
    if (!key || *key >> 3 == 0 || *key >> 3 > 1000) return malformed("a field's key");
    Field field;
    field.number = static_cast<unsigned>(*key >> 3);
    field.type = static_cast<WireType>(*key & 7);
    const auto value = take_number(rest);
    if (!value || (field.type != WireType::kNumber && field.type != WireType::kBytes)) return malformed("a field");
    field.value = *value;
    if (field.type == WireType::kBytes) {
      if (*value > rest.size()) return malformed("a field's length");
      field.bytes = rest.first(static_cast<std::size_t>(*value));
      rest = rest.subspan(static_cast<std::size_t>(*value));
    }
    fields.push_back(field);
  }
  return fields;
}

// The fields of the one message inside of a response.
Result<std::vector<Field>> unwrap(ByteView message, unsigned expected) {
  const std::vector<Field> outer = CASEMATE_TRY(fields_of(message));
  if (outer.size() != 1 || outer[0].number != expected || outer[0].type != WireType::kBytes) {
    return malformed("it answers another request");
  }
  return fields_of(outer[0].bytes);
}

Result<std::uint64_t> number_in(const std::vector<Field>& fields, unsigned number, std::uint64_t absent) {
  for (const Field& field : fields) {
    if (field.number != number) continue;
    if (field.type != WireType::kNumber) return malformed("a number is wanted");
    return field.value;
  }
  return absent;
}

Result<Bytes> bytes_in(const std::vector<Field>& fields, unsigned number) {
  for (const Field& field : fields) {
    if (field.number != number) continue;
    if (field.type != WireType::kBytes) return malformed("bytes are wanted");
    return crypto::to_bytes(field.bytes);
  }
  return Bytes();
}

// Field 1 of every response; required.
Result<std::uint32_t> error_in(const std::vector<Field>& fields) {
  constexpr std::uint64_t kAbsent = ~std::uint64_t{0};
  const std::uint64_t error = CASEMATE_TRY(number_in(fields, 1, kAbsent));
  if (error > 0xffffffff) return malformed("no error code");
  return static_cast<std::uint32_t>(error);
}

void put_little_endian(Bytes& out, std::uint64_t value, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) out.push_back(static_cast<std::byte>(value >> (8 * i)));
}

}  // namespace

Bytes ecdsa_attestation_key_id() {
  constexpr std::uint8_t kQuotingEnclaveSigner[32] = {0x8c, 0x4f, 0x57, 0x75, 0xd7, 0x96, 0x50, 0x3e, 0x96, 0x13, 0x7f,
                                                      0x77, 0xc6, 0x8a, 0x82, 0x9a, 0x00, 0x56, 0xac, 0x8d, 0xed, 0x70,
                                                      0x14, 0x0b, 0x08, 0x1b, 0x09, 0x44, 0x90, 0xc5, 0x7b, 0xff};
  constexpr std::size_t kSignerCapacity = 48, kExtendedProductSize = 16, kConfigSize = 64, kFamilySize = 16;
  constexpr std::uint32_t kProduct = 1, kEcdsaP256 = 2;
  Bytes id;
  put_little_endian(id, 0, 2);  // id
  put_little_endian(id, 0, 2);  // version
  put_little_endian(id, sizeof(kQuotingEnclaveSigner), 2);
  crypto::append(id, std::as_bytes(std::span(kQuotingEnclaveSigner)));
  id.resize(id.size() + kSignerCapacity - sizeof(kQuotingEnclaveSigner));
  put_little_endian(id, kProduct, 4);
  id.resize(id.size() + kExtendedProductSize + kConfigSize + kFamilySize);
  put_little_endian(id, kEcdsaP256, 4);
  id.resize(kAttestationKeyIdSize);  // SPID, key type and reserved bytes: zero
  return id;
}

Bytes init_quote_request(KeyIdWanted wanted, std::uint64_t buffer_size) {
  Bytes inner;
  put_bytes_field(inner, 1, ecdsa_attestation_key_id());
  put_number_field(inner, 3, wanted == KeyIdWanted::kBytes ? 1 : 0);
  put_number_field(inner, 4, buffer_size);
  put_number_field(inner, 9, kAesmTimeoutMicroseconds);
  return wrapped(kInitQuote, inner);
}

Bytes quote_size_request() {
  Bytes inner;
  put_bytes_field(inner, 1, ecdsa_attestation_key_id());
  put_number_field(inner, 9, kAesmTimeoutMicroseconds);
  return wrapped(kQuoteSize, inner);
}

Bytes quote_request(ByteView report, std::uint32_t quote_size) {
  Bytes inner;
  put_bytes_field(inner, 1, report);
  put_bytes_field(inner, 2, ecdsa_attestation_key_id());
  put_number_field(inner, 4, quote_size);
  put_number_field(inner, 9, kAesmTimeoutMicroseconds);
  return wrapped(kQuote, inner);
}

Result<InitQuoteResponse> parse_init_quote_response(ByteView message) {
  const std::vector<Field> fields = CASEMATE_TRY(unwrap(message, kInitQuote));
  InitQuoteResponse response;
  response.error = CASEMATE_TRY(error_in(fields));
  response.target_info = CASEMATE_TRY(bytes_in(fields, 2));
  response.key_id_size = CASEMATE_TRY(number_in(fields, 3, 0));
  return response;
}

Result<QuoteSizeResponse> parse_quote_size_response(ByteView message) {
  const std::vector<Field> fields = CASEMATE_TRY(unwrap(message, kQuoteSize));
  QuoteSizeResponse response;
  response.error = CASEMATE_TRY(error_in(fields));
  const std::uint64_t size = CASEMATE_TRY(number_in(fields, 2, 0));
  if (size > kAesmMessageLimit) return malformed("an absurd size of quotes");
  response.size = static_cast<std::uint32_t>(size);
  return response;
}

Result<QuoteResponse> parse_quote_response(ByteView message) {
  const std::vector<Field> fields = CASEMATE_TRY(unwrap(message, kQuote));
  QuoteResponse response;
  response.error = CASEMATE_TRY(error_in(fields));
  response.quote = CASEMATE_TRY(bytes_in(fields, 2));
  return response;
}

}  // namespace casemate::las
