#include "crypto/certificate_issuing.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include "crypto/asn1.h"
#include "crypto/hash.h"
#include "crypto/random.h"

namespace casemate::crypto {
namespace {

constexpr const char* kCommonName = "2.5.4.3";
constexpr std::size_t kMostOfCommonName = 64;
constexpr std::size_t kMostOfName = 253;
constexpr std::size_t kKeyIdentifierSize = 20;

// How a kind of key signs certificates.
struct Signing {
  KeyKind kind;
  SignatureScheme scheme;
  const char* oid;
  enum class Parameters { kAbsent, kNull } parameters;
  enum class Form { kRaw, kEcdsa } form;
};
constexpr Signing kSignings[] = {
    {KeyKind::kEcP256, SignatureScheme::kEcdsaP256Sha256, "1.2.840.10045.4.3.2", Signing::Parameters::kAbsent,
     Signing::Form::kEcdsa},
    {KeyKind::kEcP384, SignatureScheme::kEcdsaP384Sha384, "1.2.840.10045.4.3.3", Signing::Parameters::kAbsent,
     Signing::Form::kEcdsa},
    {KeyKind::kRsa, SignatureScheme::kRsaPkcs1Sha256, "1.2.840.113549.1.1.11", Signing::Parameters::kNull,
     Signing::Form::kRaw},
    {KeyKind::kEd25519, SignatureScheme::kEd25519, "1.3.101.112", Signing::Parameters::kAbsent, Signing::Form::kRaw},
};

Error unusable(const std::string& what) { return Error(ErrorCategory::kUsage, what); }

bool is_printable(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f; });
}

// GeneralName: an implicit tag of the context class.
Bytes general_name(unsigned number, ByteView contents) {
  return der(static_cast<std::uint8_t>(0x80 | number), contents);
}

Result<Bytes> alternative_name(std::string_view text) {
  const std::size_t colon = text.find(':');
  const std::string kind(text.substr(0, colon == std::string_view::npos ? 0 : colon));
  const std::string name(colon == std::string_view::npos ? "" : text.substr(colon + 1));
  const std::string quoted = "'" + std::string(text) + "' cannot stand in a certificate: ";
  if (name.empty() || !is_printable(name)) return unusable(quoted + "names are printable ASCII without spaces");
  if (kind == "uri") return general_name(6, as_byte_view(name));
  if (kind == "dns" && name.size() <= kMostOfName) return general_name(2, as_byte_view(name));
  if (kind == "ip") {
    std::array<std::byte, 16> address{};
    if (inet_pton(AF_INET, name.c_str(), address.data()) == 1) return general_name(7, std::span(address).first(4));
    if (inet_pton(AF_INET6, name.c_str(), address.data()) == 1) return general_name(7, address);
    return unusable(quoted + "that is no IP address");
  }
  return unusable(quoted + "it begins with dns:, ip: or uri:");
}

enum class Criticality { kCritical, kOptional };

Bytes extension(const char* oid, Criticality criticality, const Bytes& value) {
  const Bytes octets = der(der_tag::kOctetString, value);
  if (criticality == Criticality::kOptional) return der(der_tag::kSequence, {der_object_identifier(oid), octets});
  const std::array<std::byte, 1> is_true{std::byte{0xff}};
  return der(der_tag::kSequence, {der_object_identifier(oid), der(der_tag::kBoolean, is_true), octets});
}

// RFC 7093, 2, method 1.
Bytes key_identifier(ByteView subject_public_key_info) {
  const auto hash = sha256(subject_public_key_info);
  return to_bytes(std::span(hash).first(kKeyIdentifierSize));
}

// keyUsage is a BIT STRING whose first bit is the highest: digitalSignature, or keyCertSign and cRLSign.
Bytes key_usage(CertificateUse use) {
  const bool is_authority = use == CertificateUse::kAuthority;
  const std::array<std::byte, 2> bits{is_authority ? std::byte{1} : std::byte{7},  // that many bits are unused
                                      is_authority ? std::byte{0x06} : std::byte{0x80}};
  return der(der_tag::kBitString, bits);
}

Bytes extended_key_usage(CertificateUse use) {
  const Bytes server = der_object_identifier("1.3.6.1.5.5.7.3.1"), client = der_object_identifier("1.3.6.1.5.5.7.3.2");
  if (use == CertificateUse::kServer) return der(der_tag::kSequence, {server});
  if (use == CertificateUse::kClient) return der(der_tag::kSequence, {client});
  return der(der_tag::kSequence, {server, client});
}

Bytes basic_constraints(CertificateUse use) {
  if (use != CertificateUse::kAuthority) return der(der_tag::kSequence, ByteView());
  const std::array<std::byte, 1> is_true{std::byte{0xff}};
  return der(der_tag::kSequence, {der(der_tag::kBoolean, is_true)});
}

Result<Bytes> extensions_of(const CertificateProfile& profile, ByteView issuer_public_key_info) {
  Bytes all = extension("2.5.29.19", Criticality::kCritical, basic_constraints(profile.use));
  append(all, extension("2.5.29.15", Criticality::kCritical, key_usage(profile.use)));
  if (profile.use != CertificateUse::kAuthority) {
    append(all, extension("2.5.29.37", Criticality::kOptional, extended_key_usage(profile.use)));
  }
  const Bytes own = der(der_tag::kOctetString, key_identifier(profile.subject_public_key_info));
  append(all, extension("2.5.29.14", Criticality::kOptional, own));
  const Bytes authority = der(der_tag::kSequence, general_name(0, key_identifier(issuer_public_key_info)));
  append(all, extension("2.5.29.35", Criticality::kOptional, authority));
  if (!profile.alternative_names.empty()) {
    Bytes names;
    for (const std::string& text : profile.alternative_names) {
      const Bytes name = CASEMATE_TRY(alternative_name(text));
      append(names, name);
    }
    // Without a subject the names are all that there is, and must be understood (RFC 5280, 4.2.1.6).
    const auto criticality = profile.common_name.empty() ? Criticality::kCritical : Criticality::kOptional;
    append(all, extension("2.5.29.17", criticality, der(der_tag::kSequence, names)));
  }
  return der(der_tag::kSequence, all);
}

}  // namespace

Result<Bytes> distinguished_name(std::string_view common_name) {
  if (common_name.empty()) return der(der_tag::kSequence, ByteView());
  const bool is_text = std::ranges::all_of(common_name, [](char c) { return c >= 0x20 && c < 0x7f; });
  if (!is_text || common_name.size() > kMostOfCommonName) {
    return unusable("a certificate's name is 1 to 64 ASCII characters");
  }
  const Bytes attribute =
      der(der_tag::kSequence, {der_object_identifier(kCommonName), der_text(der_tag::kUtf8String, common_name)});
  return der(der_tag::kSequence, {der(der_tag::kSet, {attribute})});
}

Result<Bytes> sign_certificate(const PrivateKey& key, const Bytes& issuer, const Bytes& subject, const Bytes& validity,
                               const Bytes& subject_public_key_info, const Bytes& extensions) {
  const auto* const signing = std::ranges::find(kSignings, key.public_key().kind(), &Signing::kind);
  if (signing == std::end(kSignings)) return unusable("keys of this kind sign no certificates");
  std::array<std::byte, 16> serial{};
  if (auto drawn = random_bytes(serial); !drawn) return drawn.error();
  serial[0] = (serial[0] & std::byte{0x7f}) | std::byte{0x40};  // positive, of one size
  Bytes identifier = der_object_identifier(signing->oid);
  if (signing->parameters == Signing::Parameters::kNull) append(identifier, der(der_tag::kNull, ByteView()));
  const Bytes algorithm = der(der_tag::kSequence, identifier);
  Bytes body = der(der_tag::context_constructed(0), {der_integer(2)});  // version 3
  for (const Bytes& part : {der_unsigned(serial), algorithm, issuer, validity, subject, subject_public_key_info}) {
    append(body, part);
  }
  if (!extensions.empty()) append(body, der(der_tag::context_constructed(3), extensions));
  const Bytes to_be_signed = der(der_tag::kSequence, body);
  Bytes signature = CASEMATE_TRY(key.sign(signing->scheme, to_be_signed));
  if (signing->form == Signing::Form::kEcdsa) signature = ecdsa_signature_to_der(signature);
  return der(der_tag::kSequence, {to_be_signed, algorithm, der_bit_string(signature)});
}

Result<Bytes> issue_certificate(const CertificateProfile& profile, const PrivateKey& key, const Certificate* issuer) {
  const Bytes key_info = key.public_key().to_subject_public_key_info();
  if (profile.common_name.empty() && profile.alternative_names.empty()) {
    return unusable("a certificate needs a common name or an alternative name");
  }
  const Bytes& signer = issuer != nullptr ? issuer->subject_public_key_info() : profile.subject_public_key_info;
  if (!equal(signer, key_info)) return unusable("the key that signs is not the issuer's");
  if (issuer != nullptr && !issuer->is_authority()) return unusable("the issuer's certificate is no authority's");
  const Bytes subject = CASEMATE_TRY(distinguished_name(profile.common_name));
  const Bytes extensions = CASEMATE_TRY(extensions_of(profile, key_info));
  const Bytes validity = der(der_tag::kSequence, {der_time(profile.not_before), der_time(profile.not_after)});
  return sign_certificate(key, issuer != nullptr ? issuer->subject().der : subject, subject, validity,
                          profile.subject_public_key_info, extensions);
}

}  // namespace casemate::crypto
