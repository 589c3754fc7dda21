#include "crypto/signed_structure.h"

#include <algorithm>
#include <array>
#include <optional>

namespace casemate::crypto {
namespace {

constexpr std::string_view kCommonName = "2.5.4.3", kRsaPss = "1.2.840.113549.1.1.10", kMgf1 = "1.2.840.113549.1.1.8",
                           kSha384 = "2.16.840.1.101.3.4.2.2";

struct AlgorithmFacts {
  std::string_view oid;
  SignatureScheme scheme;
  std::size_t ecdsa_width;  // of r and s; 0 for others
};
constexpr std::array kAlgorithms = {
    AlgorithmFacts{"1.2.840.10045.4.3.2", SignatureScheme::kEcdsaP256Sha256, 32},
    AlgorithmFacts{"1.2.840.10045.4.3.3", SignatureScheme::kEcdsaP384Sha384, 48},
    AlgorithmFacts{"1.2.840.113549.1.1.11", SignatureScheme::kRsaPkcs1Sha256, 0},
    AlgorithmFacts{kRsaPss, SignatureScheme::kRsaPssSha384, 0},
    AlgorithmFacts{"1.3.101.112", SignatureScheme::kEd25519, 0},
};

Error malformed(const std::string& what) { return Error(ErrorCategory::kFormat, "signed structure: " + what); }

// The only RSASSA-PSS parameters that are supported, in DER: SHA-384, MGF1 with SHA-384, salt of 48 bytes; the trailer
// field may be written out although it is the default (AMD does so).
const std::array<Bytes, 2>& supported_pss_parameters() {
  static const std::array<Bytes, 2> supported = [] {
    const Bytes null = der(der_tag::kNull, ByteView{});
    const Bytes hash = der(der_tag::kSequence, {der_object_identifier(kSha384), null});
    const Bytes mask = der(der_tag::kSequence, {der_object_identifier(kMgf1), hash});
    const Bytes fields[] = {der(der_tag::context_constructed(0), hash), der(der_tag::context_constructed(1), mask),
                            der(der_tag::context_constructed(2), der_integer(48))};
    return std::array<Bytes, 2>{
        der(der_tag::kSequence, {fields[0], fields[1], fields[2]}),
        der(der_tag::kSequence,
            {fields[0], fields[1], fields[2], der(der_tag::context_constructed(3), der_integer(1))}),
    };
  }();
  return supported;
}

bool has_supported_parameters(const AlgorithmFacts& facts, ByteView parameters) {
  if (facts.oid != kRsaPss) return true;
  return std::ranges::any_of(supported_pss_parameters(), [&](const Bytes& good) { return equal(good, parameters); });
}

// Fills in how to check the signature; leaves `scheme` empty where we cannot.
Result<void> understand_algorithm(SignedPart& part, ByteView algorithm_whole, ByteView signature) {
  DerReader algorithm = CASEMATE_TRY(enter_only(algorithm_whole, der_tag::kSequence));
  part.algorithm_oid = CASEMATE_TRY(algorithm.read_object_identifier());
  ByteView parameters;
  if (!algorithm.at_end()) parameters = CASEMATE_TRY(algorithm.read()).whole;
  if (Result<void> end = algorithm.finish(); !end) return end;
  const auto facts = std::ranges::find(kAlgorithms, part.algorithm_oid, &AlgorithmFacts::oid);
  part.signature = to_bytes(signature);
  if (facts == kAlgorithms.end() || !has_supported_parameters(*facts, parameters)) return {};
  if (facts->ecdsa_width != 0) {
    part.signature = CASEMATE_TRY(ecdsa_signature_from_der(signature, facts->ecdsa_width));
  }
  part.scheme = facts->scheme;
  return {};
}

// The common name of one RelativeDistinguishedName, if it has one.
Result<std::optional<std::string>> read_common_name(ByteView relative_name) {
  std::optional<std::string> found;
  for (DerReader pairs(relative_name); !pairs.at_end();) {
    DerReader pair = CASEMATE_TRY(pairs.enter(der_tag::kSequence));
    const std::string type = CASEMATE_TRY(pair.read_object_identifier());
    const ByteView value = CASEMATE_TRY(pair.read()).contents;
    if (Result<void> end = pair.finish(); !end) return end.error();
    if (type == kCommonName) found = std::string(as_text(value));
  }
  return found;
}

}  // namespace

Result<SignedStructure> read_signed_structure(ByteView bytes) {
  DerReader reader = CASEMATE_TRY(enter_only(bytes, der_tag::kSequence));
  const DerElement signed_element = CASEMATE_TRY(reader.read(der_tag::kSequence));
  const ByteView algorithm = CASEMATE_TRY(reader.read(der_tag::kSequence)).whole;
  const ByteView signature = CASEMATE_TRY(reader.read_bit_string());
  if (Result<void> end = reader.finish(); !end) return end.error();
  SignedStructure structure;
  structure.contents = signed_element.contents;
  structure.part.signed_bytes = to_bytes(signed_element.whole);
  structure.part.algorithm_identifier = to_bytes(algorithm);
  if (Result<void> read = understand_algorithm(structure.part, algorithm, signature); !read) return read.error();
  return structure;
}

bool names_algorithm_of(const SignedPart& part, ByteView algorithm) {
  return equal(part.algorithm_identifier, algorithm);
}

Result<DistinguishedName> read_name(DerReader& reader) {
  const DerElement element = CASEMATE_TRY(reader.read(der_tag::kSequence));
  DistinguishedName name;
  name.der = to_bytes(element.whole);
  for (DerReader parts(element.contents); !parts.at_end();) {
    const ByteView relative_name = CASEMATE_TRY(parts.read(der_tag::kSet)).contents;
    std::optional<std::string> common_name = CASEMATE_TRY(read_common_name(relative_name));
    if (!common_name) continue;
    if (!name.common_name.empty()) return malformed("a name with two common names");
    name.common_name = std::move(*common_name);
  }
  return name;
}

Result<std::vector<CertificateExtension>> read_extension_list(ByteView contents, std::size_t maximum_count) {
  DerReader reader = CASEMATE_TRY(enter_only(contents, der_tag::kSequence));
  if (reader.at_end()) return malformed("an empty list of extensions");
  std::vector<CertificateExtension> extensions;
  while (!reader.at_end()) {
    DerReader fields = CASEMATE_TRY(reader.enter(der_tag::kSequence));
    CertificateExtension extension;
    extension.oid = CASEMATE_TRY(fields.read_object_identifier());
    if (fields.next_is(der_tag::kBoolean)) {
      const ByteView value = CASEMATE_TRY(fields.read()).contents;
      if (value.size() != 1) return malformed("a BOOLEAN of the wrong size");
      extension.is_critical = value.front() != std::byte{0};
    }
    extension.value = to_bytes(CASEMATE_TRY(fields.read(der_tag::kOctetString)).contents);
    if (Result<void> end = fields.finish(); !end) return end.error();
    if (std::ranges::find(extensions, extension.oid, &CertificateExtension::oid) != extensions.end()) {
      return malformed("extension " + extension.oid + " twice");
    }
    if (extensions.size() == maximum_count) return malformed("too many extensions");
    extensions.push_back(std::move(extension));
  }
  return extensions;
}

}  // namespace casemate::crypto
