// The part of CBOR (RFC 8949) that our own formats use (log entries, provisioning messages, stored rows), in its
// deterministic form (section 4.2.1): unsigned integers, byte and text strings, arrays, and maps whose keys are
// unsigned integers in ascending order. One value has one encoding, and the reader accepts no other.
//
// What a hostile writer can do here -> what we answer
//   announce more elements or bytes than there are -> refused before anything is allocated
//   write a number or length longer than needed    -> refused: a value would have two encodings, so two hashes
//   put keys out of order, twice, or unknown ones  -> refused
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "crypto/bytes.h"

namespace casemate::crypto {

// Threads: one at a time.
class CborWriter {
 public:
  void unsigned_number(std::uint64_t value) { head(0, value); }
  void byte_string(ByteView bytes);
  void text_string(std::string_view text);
  // The elements follow.
  void array(std::uint64_t count) { head(4, count); }
  // `count` keys, each followed by its value, follow.
  void map(std::uint64_t count) { head(5, count); }
  // Already encoded.
  void raw(ByteView encoded) { append(bytes_, encoded); }

  const Bytes& bytes() const { return bytes_; }
  Bytes take() { return std::move(bytes_); }

 private:
  void head(unsigned major, std::uint64_t value);
  Bytes bytes_;
};

// Reads what CborWriter writes. Views point into the input. Errors of everything: kFormat.
// Threads: one at a time.
class CborReader {
 public:
  explicit CborReader(ByteView data) : rest_(data) {}

  Result<std::uint64_t> unsigned_number() { return head(0); }
  Result<ByteView> byte_string();
  // UTF-8 without control characters.
  Result<std::string_view> text_string();
  // At most `limit` elements.
  Result<std::uint64_t> array(std::uint64_t limit);
  Result<std::uint64_t> map(std::uint64_t limit);
  // Everything was read.
  Result<void> finish() const;

 private:
  Result<std::uint64_t> head(unsigned major);
  Result<ByteView> take(std::uint64_t size);
  ByteView rest_;
};

}  // namespace casemate::crypto
