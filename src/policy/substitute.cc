#include "policy/substitute.h"

#include "policy/command_line.h"
#include "policy/names.h"
#include "policy/suggestion.h"
#include "policy/uses.h"

namespace casemate::policy {
namespace {

using Pieces = std::vector<SharedSecretText>;

SharedSecretText share(std::string text) { return std::make_shared<const SecretText>(std::move(text)); }

// Joined without growing: growing would leave copies behind.
SharedSecretText join(const Pieces& pieces) {
  std::size_t size = 0;
  for (const SharedSecretText& piece : pieces) size += piece->expose().size();
  std::string joined;
  joined.reserve(size);
  for (const SharedSecretText& piece : pieces) joined += piece->expose();
  return share(std::move(joined));
}

struct PartRow {
  SecretPart part;
  const char* what;
  const char* pem_label;
};
constexpr PartRow kParts[] = {
    {SecretPart::kValue, "a value", ""},
    {SecretPart::kCertificate, "a certificate", "CERTIFICATE"},
    {SecretPart::kChain, "a certificate", "CERTIFICATE"},
    {SecretPart::kPrivateKey, "a private key", "PRIVATE KEY"},
    {SecretPart::kPublicKey, "a public key", "PUBLIC KEY"},
};

// The bytes of a part, one element per PEM block; empty when the material has no such part.
std::vector<std::string_view> bytes_of(const SecretMaterial& material, SecretPart part) {
  const auto shared = [](const SharedSecretText& text) {
    return text == nullptr ? std::vector<std::string_view>() : std::vector<std::string_view>{text->expose()};
  };
  switch (part) {
    case SecretPart::kValue:
      return shared(material.value);
    case SecretPart::kPrivateKey:
      return shared(material.private_key);
    case SecretPart::kPublicKey:
      if (material.public_key.empty()) return {};
      return {crypto::as_text(material.public_key)};
    case SecretPart::kCertificate:
    case SecretPart::kChain:
      break;
  }
  if (material.certificate.empty()) return {};
  std::vector<std::string_view> all{crypto::as_text(material.certificate)};
  if (part == SecretPart::kCertificate) return all;
  for (const crypto::Bytes& issuer : material.issuers) all.push_back(crypto::as_text(issuer));
  return all;
}

std::string encode(std::string_view bytes, Encoding encoding, const char* pem_label) {
  const crypto::ByteView view = crypto::as_byte_view(bytes);
  switch (encoding) {
    case Encoding::kHex:
      return crypto::to_hex(view);
    case Encoding::kBase64:
      return crypto::to_base64(view);
    case Encoding::kBase32NoPadding:
      return to_base32(bytes);
    case Encoding::kPem:
      return crypto::to_pem(view, pem_label);
    case Encoding::kRaw:
      break;
  }
  return std::string(bytes);
}

// The kernel's argv and environment end at the first NUL.
Result<SharedSecretText> without_nul(SharedSecretText text) {
  if (text->expose().find('\0') == std::string_view::npos) return text;
  return Error(ErrorCategory::kFormat,
               "a secret with a NUL byte can be neither argument nor variable; use its format hex or base64, or an "
               "injected file");
}

Result<void> append_literal(Pieces& pieces, std::string_view text, const Session& session, const SecretSource& source) {
  const std::vector<SecretReference> references = CASEMATE_TRY(find_references(text));
  std::size_t at = 0;
  for (const SecretReference& reference : references) {
    pieces.push_back(share(std::string(text.substr(at, reference.begin - at))));
    at = reference.begin + reference.size;
    const NamedFormat named = named_format(session, reference);
    const SecretMaterial* material = source.find(named.secret);
    if (material == nullptr) return Error(ErrorCategory::kNotFound, "secret `" + named.secret + "` is not there");
    pieces.push_back(CASEMATE_TRY(write_secret(*material, named.secret, named.format)));
  }
  pieces.push_back(share(std::string(text.substr(at))));
  return {};
}

}  // namespace

std::string to_base32(std::string_view bytes) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  std::string text;
  text.reserve((bytes.size() * 8 + 4) / 5);
  unsigned pending = 0, count = 0;
  for (const char byte : bytes) {
    pending = (pending << 8U) | static_cast<unsigned char>(byte);
    count += 8;
    while (count >= 5) {
      count -= 5;
      text += kDigits[(pending >> count) & 31U];
    }
    pending &= (1U << count) - 1;
  }
  if (count != 0) text += kDigits[(pending << (5 - count)) & 31U];
  return text;
}

Result<SharedSecretText> write_secret(const SecretMaterial& material, std::string_view name, std::string_view format) {
  const std::string who = "secret `" + std::string(name) + "` (" + std::string(name_of(material.kind)) + ")";
  const SecretFormat* row = find_format(material.kind, format);
  if (row == nullptr) {
    return Error(ErrorCategory::kFormat,
                 who + " has no format `" + std::string(format) + "`; " + suggest(format, formats_of(material.kind)));
  }
  const PartRow& part = kParts[static_cast<std::size_t>(row->part)];
  const std::vector<std::string_view> all = bytes_of(material, row->part);
  if (all.empty()) return Error(ErrorCategory::kNotFound, who + " has no " + (part.what + 2) + " for this service");
  Pieces pieces;
  pieces.reserve(all.size());
  for (const std::string_view bytes : all) pieces.push_back(share(encode(bytes, row->encoding, part.pem_label)));
  return join(pieces);
}

Result<SharedSecretText> substitute(std::string_view text, const Session& session, const SecretSource& source) {
  Pieces pieces;
  if (Result<void> done = append_literal(pieces, text, session, source); !done) return done.error();
  return join(pieces);
}

Result<SharedSecretText> substitute_variable(std::string_view text, const Session& session,
                                             const SecretSource& source) {
  return without_nul(CASEMATE_TRY(substitute(text, session, source)));
}

Result<SharedSecretText> substitute_word(std::string_view word, const Session& session, const SecretSource& source,
                                         std::span<const std::string> host_arguments) {
  Pieces pieces;
  for (const WordPart& part : parts_of_word(word)) {
    if (part.argument < 0) {
      if (Result<void> done = append_literal(pieces, part.text, session, source); !done) return done.error();
      continue;
    }
    const auto index = static_cast<std::size_t>(part.argument);
    if (index >= host_arguments.size()) {
      return Error(ErrorCategory::kUsage, "the command takes the host's argument @@" + std::to_string(part.argument) +
                                              ", but the host gave " + std::to_string(host_arguments.size()));
    }
    pieces.push_back(share(host_arguments[index]));
  }
  return without_nul(join(pieces));
}

}  // namespace casemate::policy
