#include "crypto/certificate.h"

#include <algorithm>
#include <array>

#include "crypto/asn1.h"
#include "crypto/signed_structure.h"

namespace casemate::crypto {
namespace {

constexpr std::string_view kBasicConstraints = "2.5.29.19", kKeyUsage = "2.5.29.15";
constexpr std::uint64_t kVersion3 = 2;
// Real certificates of the vendors have 7 to 11.
constexpr std::size_t kMaximumExtensionCount = 64;

Error malformed(const std::string& what) { return Error(ErrorCategory::kFormat, "certificate: " + what); }

}  // namespace

Result<Certificate> Certificate::from_der(ByteView der) {
  const SignedStructure structure = CASEMATE_TRY(read_signed_structure(der));
  Certificate certificate;
  certificate.der_ = to_bytes(der);
  certificate.signed_part_ = structure.part;
  if (Result<void> read = certificate.read_signed_part(structure.contents); !read) {
    return read.error().with_context("certificate");
  }
  return certificate;
}

Result<std::vector<Certificate>> Certificate::from_pem(std::string_view pem) {
  std::vector<Certificate> certificates;
  for (const Bytes& der : CASEMATE_TRY(crypto::from_pem(pem, "CERTIFICATE"))) {
    certificates.push_back(CASEMATE_TRY(from_der(der)));
  }
  return certificates;
}

Result<void> Certificate::read_signed_part(ByteView bytes) {
  DerReader reader(bytes);
  DerReader version = CASEMATE_TRY(reader.enter(der_tag::context_constructed(0)));
  if (CASEMATE_TRY(version.read_number()) != kVersion3) return malformed("not of version 3");
  serial_ = to_bytes(CASEMATE_TRY(reader.read_unsigned()));
  const ByteView algorithm = CASEMATE_TRY(reader.read(der_tag::kSequence)).whole;
  if (!names_algorithm_of(signed_part_, algorithm)) return malformed("two different signature algorithms");
  issuer_ = CASEMATE_TRY(read_name(reader));
  const ByteView validity = CASEMATE_TRY(reader.read(der_tag::kSequence)).contents;
  if (Result<void> read = read_validity(validity); !read) return read;
  subject_ = CASEMATE_TRY(read_name(reader));
  public_key_info_ = to_bytes(CASEMATE_TRY(reader.read(der_tag::kSequence)).whole);
  public_key_ = CASEMATE_TRY(PublicKey::from_subject_public_key_info(public_key_info_));
  if (reader.next_is(der_tag::context_constructed(3))) {
    const ByteView extensions = CASEMATE_TRY(reader.read()).contents;
    if (Result<void> read = read_extensions(extensions); !read) return read;
  }
  return reader.finish();
}

Result<void> Certificate::read_validity(ByteView contents) {
  DerReader reader(contents);
  not_before_ = CASEMATE_TRY(reader.read_time());
  not_after_ = CASEMATE_TRY(reader.read_time());
  return reader.finish();
}

Result<void> Certificate::read_extensions(ByteView contents) {
  extensions_ = CASEMATE_TRY(read_extension_list(contents, kMaximumExtensionCount));
  return understand_extensions();
}

Result<void> Certificate::understand_extensions() {
  if (const CertificateExtension* constraints = extension(kBasicConstraints)) {
    DerReader reader = CASEMATE_TRY(enter_only(constraints->value, der_tag::kSequence));
    if (reader.next_is(der_tag::kBoolean)) {
      const ByteView value = CASEMATE_TRY(reader.read()).contents;
      is_authority_ = value.size() == 1 && value.front() == std::byte{0xff};
    }
    if (reader.next_is(der_tag::kInteger)) path_length_ = CASEMATE_TRY(reader.read_number());
    if (Result<void> end = reader.finish(); !end) return end;
  }
  if (const CertificateExtension* usage = extension(kKeyUsage)) {
    DerReader reader(usage->value);
    const ByteView bits = CASEMATE_TRY(reader.read(der_tag::kBitString)).contents;
    if (Result<void> end = reader.finish(); !end) return end;
    if (bits.size() < 2 || bits.size() > 3) return malformed("keyUsage of an odd size");
    std::uint16_t usages = 0;
    for (unsigned bit = 0; bit < 8 * (bits.size() - 1); ++bit) {
      const unsigned octet = std::to_integer<unsigned>(bits[1 + bit / 8]);
      if ((octet & (0x80U >> bit % 8)) != 0) usages = static_cast<std::uint16_t>(usages | 1U << bit);
    }
    key_usage_ = usages;
  }
  return {};
}

const CertificateExtension* Certificate::extension(std::string_view oid) const {
  const auto found = std::ranges::find(extensions_, oid, &CertificateExtension::oid);
  return found == extensions_.end() ? nullptr : &*found;
}

bool Certificate::allows(KeyUsage usage) const {
  return !key_usage_ || (*key_usage_ >> static_cast<unsigned>(usage) & 1) != 0;
}

std::vector<std::string> Certificate::unknown_critical_extensions(
    std::initializer_list<std::string_view> understood) const {
  std::vector<std::string> unknown;
  for (const CertificateExtension& candidate : extensions_) {
    if (!candidate.is_critical || candidate.oid == kBasicConstraints || candidate.oid == kKeyUsage) continue;
    if (std::ranges::find(understood, candidate.oid) == understood.end()) unknown.push_back(candidate.oid);
  }
  return unknown;
}

}  // namespace casemate::crypto
