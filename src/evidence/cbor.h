// CBOR (RFC 8949), as far as evidence in certificates needs it: definite lengths in their shortest form only.
//
// What a hostile peer can do here: lie in lengths, nest deeply, use forms that two readers understand differently. All
// lengths are compared with what is left, nesting is bounded, and everything but the one shortest form is an error.
#pragma once

#include <string_view>

#include "evidence/byte_reader.h"

namespace casemate::evidence {

enum class CborType : std::uint8_t {
  kUnsigned = 0,
  kNegative = 1,
  kBytes = 2,
  kText = 3,
  kArray = 4,
  kMap = 5,
  kTag = 6,
  kSimple = 7
};

struct CborHead {
  CborType type{};
  std::uint64_t value = 0;  // number, length, count or tag
};

// Reads one item after the other. Errors of all methods: kFormat.
class CborReader {
 public:
  explicit CborReader(ByteView data) : reader_(data, "CBOR") {}

  bool at_end() const { return reader_.left() == 0; }
  Result<CborHead> head();
  // The value of a head that must have this type.
  Result<std::uint64_t> expect(CborType type);
  Result<ByteView> bytes();
  Result<std::string_view> text();
  // Any item with all that is in it.
  Result<void> skip();
  Result<void> finish() const { return reader_.finish(); }

 private:
  Result<void> skip_nested(int depth);

  ByteReader reader_;
};

void append_cbor_head(Bytes& target, CborType type, std::uint64_t value);
void append_cbor_bytes(Bytes& target, ByteView bytes);
void append_cbor_text(Bytes& target, std::string_view text);

}  // namespace casemate::evidence
