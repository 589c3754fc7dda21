#include "policy/formats.h"

#include <algorithm>

namespace casemate::policy {
namespace {

using Kind = SecretKind;
using Part = SecretPart;

constexpr SecretFormat kFormats[] = {
    {Kind::kAscii, "", Part::kValue, Encoding::kRaw},
    {Kind::kAscii, "hex", Part::kValue, Encoding::kHex},
    {Kind::kAscii, "base64", Part::kValue, Encoding::kBase64},

    {Kind::kBinary, "", Part::kValue, Encoding::kRaw},
    {Kind::kBinary, "raw", Part::kValue, Encoding::kRaw},
    {Kind::kBinary, "hex", Part::kValue, Encoding::kHex},
    {Kind::kBinary, "base64", Part::kValue, Encoding::kBase64},
    {Kind::kBinary, "base32nopad", Part::kValue, Encoding::kBase32NoPadding},

    {Kind::kPrivateKey, "", Part::kPrivateKey, Encoding::kPem},
    {Kind::kPrivateKey, "pem", Part::kPrivateKey, Encoding::kPem},
    {Kind::kPrivateKey, "pkcs8:pem", Part::kPrivateKey, Encoding::kPem},
    {Kind::kPrivateKey, "privatekey", Part::kPrivateKey, Encoding::kPem},
    {Kind::kPrivateKey, "privatekey:pem", Part::kPrivateKey, Encoding::kPem},
    {Kind::kPrivateKey, "privatekey:base64", Part::kPrivateKey, Encoding::kBase64},
    {Kind::kPrivateKey, "key", Part::kPrivateKey, Encoding::kPem},
    {Kind::kPrivateKey, "publickey", Part::kPublicKey, Encoding::kPem},
    {Kind::kPrivateKey, "publickey:pem", Part::kPublicKey, Encoding::kPem},
    {Kind::kPrivateKey, "publickey:base64", Part::kPublicKey, Encoding::kBase64},

    {Kind::kX509, "", Part::kCertificate, Encoding::kPem},
    {Kind::kX509, "pem", Part::kCertificate, Encoding::kPem},
    {Kind::kX509, "crt", Part::kCertificate, Encoding::kPem},
    {Kind::kX509, "crt:pem", Part::kCertificate, Encoding::kPem},
    {Kind::kX509, "crt:base64", Part::kCertificate, Encoding::kBase64},
    {Kind::kX509, "chain", Part::kChain, Encoding::kPem},
    {Kind::kX509, "chain:pem", Part::kChain, Encoding::kPem},
    {Kind::kX509, "key", Part::kPrivateKey, Encoding::kPem},
    {Kind::kX509, "key:pem", Part::kPrivateKey, Encoding::kPem},
    {Kind::kX509, "pkcs8:pem", Part::kPrivateKey, Encoding::kPem},
    {Kind::kX509, "privatekey", Part::kPrivateKey, Encoding::kPem},
    {Kind::kX509, "privatekey:pem", Part::kPrivateKey, Encoding::kPem},
    {Kind::kX509, "privatekey:base64", Part::kPrivateKey, Encoding::kBase64},

    {Kind::kPgpKey, "privatekey:base64", Part::kPrivateKey, Encoding::kBase64},
    {Kind::kPgpKey, "publickey:base64", Part::kPublicKey, Encoding::kBase64},

    {Kind::kAadToken, "", Part::kValue, Encoding::kRaw},
};

// A certificate authority is written as a certificate is.
Kind table_kind(Kind kind) { return kind == Kind::kX509Ca ? Kind::kX509 : kind; }

}  // namespace

const SecretFormat* find_format(SecretKind kind, std::string_view word) {
  for (const SecretFormat& row : kFormats) {
    if (row.kind == table_kind(kind) && row.word == word) return &row;
  }
  return nullptr;
}

std::vector<std::string_view> formats_of(SecretKind kind) {
  std::vector<std::string_view> words;
  for (const SecretFormat& row : kFormats) {
    if (row.kind == table_kind(kind) && !row.word.empty()) words.push_back(row.word);
  }
  return words;
}

std::vector<std::string_view> all_formats() {
  std::vector<std::string_view> words;
  for (const SecretFormat& row : kFormats) {
    if (!row.word.empty() && std::find(words.begin(), words.end(), row.word) == words.end()) words.push_back(row.word);
  }
  return words;
}

}  // namespace casemate::policy
