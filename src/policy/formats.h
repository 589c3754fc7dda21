// Forms in which a secret is written into a text: `$$CASEMATE::name:format$$`. One table says which kinds have which.
#pragma once

#include <string_view>
#include <vector>

#include "policy/session.h"

namespace casemate::policy {

// What is taken of a secret, and how it is written. kPem of a chain: one block after the other.
enum class SecretPart { kValue, kCertificate, kChain, kPrivateKey, kPublicKey };
enum class Encoding { kRaw, kHex, kBase64, kBase32NoPadding, kPem };

struct SecretFormat {
  SecretKind kind;
  std::string_view word;  // "" when none is given
  SecretPart part;
  Encoding encoding;
};

// Null when `kind` has no such format.
const SecretFormat* find_format(SecretKind kind, std::string_view word);
// Of `kind`, or of all kinds, each once, without "".
std::vector<std::string_view> formats_of(SecretKind kind);
std::vector<std::string_view> all_formats();

}  // namespace casemate::policy
