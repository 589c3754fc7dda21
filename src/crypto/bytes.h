// The two byte types of cryptographic and evidence code, and the text forms that such bytes take in files of others:
// hexadecimal digits, base64 (RFC 4648) and PEM (RFC 7468).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace casemate::crypto {

using ByteView = std::span<const std::byte>;
using Bytes = std::vector<std::byte>;

// The same memory, seen as bytes or as text. Nothing is copied: valid as long as the argument's memory.
ByteView as_byte_view(std::string_view text);
std::string_view as_text(ByteView bytes);

Bytes to_bytes(ByteView view);
bool equal(ByteView left, ByteView right);
bool is_all_zero(ByteView bytes);
void append(Bytes& target, ByteView more);

// Lower-case digits, most significant first.
std::string to_hex(ByteView bytes);
// Digits of either case, an even number of them, nothing else. Errors: kFormat.
Result<Bytes> from_hex(std::string_view text);

// Errors of from_base64: kFormat for anything but the standard alphabet, complete padding and white space.
Result<Bytes> from_base64(std::string_view text);
std::string to_base64(ByteView bytes);

// The contents of every "-----BEGIN <label>-----" block in the order of the text. Between blocks only white space and
// NUL bytes may stand (quotes end their chain with a NUL). Errors: kFormat; also when there is no block at all.
Result<std::vector<Bytes>> from_pem(std::string_view text, std::string_view label);
std::string to_pem(ByteView der, std::string_view label);

}  // namespace casemate::crypto
