#include "evidence/cbor.h"

namespace casemate::evidence {
namespace {

constexpr int kMaximumDepth = 8;
constexpr unsigned kOneByteFollows = 24, kEightBytesFollow = 27;

Error malformed(const std::string& what) { return Error(ErrorCategory::kFormat, "CBOR: " + what); }

}  // namespace

Result<CborHead> CborReader::head() {
  const auto first = CASEMATE_TRY(reader_.number<std::uint8_t>());
  const unsigned information = first & 0x1f;
  CborHead head{static_cast<CborType>(first >> 5), information};
  if (information < kOneByteFollows) return head;
  if (information > kEightBytesFollow) return malformed("a length that is indefinite or reserved");
  const std::size_t size = std::size_t{1} << (information - kOneByteFollows);
  head.value = 0;
  for (std::byte digit : CASEMATE_TRY(reader_.take(size))) {
    head.value = head.value << 8 | std::to_integer<std::uint64_t>(digit);
  }
  if (head.type == CborType::kSimple) return head;  // floating point: its bits
  const std::uint64_t smallest = size == 1 ? kOneByteFollows : std::uint64_t{1} << (size * 4);
  if (head.value < smallest) return malformed("a number in more bytes than needed");
  return head;
}

Result<std::uint64_t> CborReader::expect(CborType type) {
  const CborHead found = CASEMATE_TRY(head());
  if (found.type != type) {
    return malformed("major type " + std::to_string(static_cast<unsigned>(found.type)) + " instead of " +
                     std::to_string(static_cast<unsigned>(type)));
  }
  return found.value;
}

Result<ByteView> CborReader::bytes() {
  const std::uint64_t size = CASEMATE_TRY(expect(CborType::kBytes));
  return reader_.take(size);
}

Result<std::string_view> CborReader::text() {
  const std::uint64_t size = CASEMATE_TRY(expect(CborType::kText));
  return crypto::as_text(CASEMATE_TRY(reader_.take(size)));
}

Result<void> CborReader::skip() { return skip_nested(0); }

Result<void> CborReader::skip_nested(int depth) {
  if (depth > kMaximumDepth) return malformed("nested too deep");
  const CborHead item = CASEMATE_TRY(head());
  std::uint64_t inner = 0;
  switch (item.type) {
    case CborType::kBytes:
    case CborType::kText:
      if (Result<ByteView> taken = reader_.take(item.value); !taken) return taken.error();
      return {};
    case CborType::kTag:
      inner = 1;
      break;
    case CborType::kArray:
      inner = item.value;
      break;
    case CborType::kMap:
      if (item.value > reader_.left()) return malformed("a map longer than what is left");
      inner = 2 * item.value;
      break;
    default:
      return {};
  }
  // Every item has a byte at least, so a lying count ends with the data.
  for (std::uint64_t i = 0; i < inner; ++i) {
    if (Result<void> skipped = skip_nested(depth + 1); !skipped) return skipped;
  }
  return {};
}

void append_cbor_head(Bytes& target, CborType type, std::uint64_t value) {
  const auto major = static_cast<unsigned>(type) << 5;
  if (value < kOneByteFollows) {
    target.push_back(static_cast<std::byte>(major | value));
    return;
  }
  unsigned exponent = 0;
  while (exponent < 3 && value >> (8U << exponent) != 0) ++exponent;
  target.push_back(static_cast<std::byte>(major | (kOneByteFollows + exponent)));
  for (int shift = (8 << exponent) - 8; shift >= 0; shift -= 8) {
    target.push_back(static_cast<std::byte>(value >> shift & 0xff));
  }
}

void append_cbor_bytes(Bytes& target, ByteView bytes) {
  append_cbor_head(target, CborType::kBytes, bytes.size());
  crypto::append(target, bytes);
}

void append_cbor_text(Bytes& target, std::string_view text) {
  append_cbor_head(target, CborType::kText, text.size());
  crypto::append(target, crypto::as_byte_view(text));
}

}  // namespace casemate::evidence
