#include "attest/testing/certificate_builder.h"

#include "crypto/asn1.h"

namespace casemate::attest::testing {
namespace {

using crypto::der;
using crypto::der_integer;
using crypto::der_object_identifier;
using crypto::SignatureScheme;
namespace der_tag = crypto::der_tag;

Bytes algorithm_identifier(SignatureScheme scheme) {
  const Bytes null = der(der_tag::kNull, crypto::ByteView{});
  switch (scheme) {
    case SignatureScheme::kEcdsaP256Sha256:
      return der(der_tag::kSequence, {der_object_identifier("1.2.840.10045.4.3.2")});
    case SignatureScheme::kEcdsaP384Sha384:
      return der(der_tag::kSequence, {der_object_identifier("1.2.840.10045.4.3.3")});
    case SignatureScheme::kRsaPkcs1Sha256:
      return der(der_tag::kSequence, {der_object_identifier("1.2.840.113549.1.1.11"), null});
    case SignatureScheme::kRsaPssSha384: {
      const Bytes hash = der(der_tag::kSequence, {der_object_identifier("2.16.840.1.101.3.4.2.2"), null});
      const Bytes mask = der(der_tag::kSequence, {der_object_identifier("1.2.840.113549.1.1.8"), hash});
      const Bytes parameters = der(der_tag::kSequence, {der(0xa0, hash), der(0xa1, mask), der(0xa2, der_integer(48)),
                                                        der(0xa3, der_integer(1))});
      return der(der_tag::kSequence, {der_object_identifier("1.2.840.113549.1.1.10"), parameters});
    }
    case SignatureScheme::kEd25519:
      break;
  }
  return der(der_tag::kSequence, {der_object_identifier("1.3.101.112")});
}

Bytes name(const std::string& common_name) {
  const Bytes pair =
      der(der_tag::kSequence, {der_object_identifier("2.5.4.3"), crypto::der_text(der_tag::kUtf8String, common_name)});
  return der(der_tag::kSequence, {der(der_tag::kSet, {pair})});
}

Bytes extension_list(const std::vector<crypto::CertificateExtension>& extensions) {
  Bytes list;
  for (const crypto::CertificateExtension& extension : extensions) {
    const Bytes is_critical{std::byte{0xff}};
    const Bytes oid = der_object_identifier(extension.oid), value = der(der_tag::kOctetString, extension.value);
    crypto::append(list, extension.is_critical
                             ? der(der_tag::kSequence, {oid, der(der_tag::kBoolean, is_critical), value})
                             : der(der_tag::kSequence, {oid, value}));
  }
  return der(der_tag::kSequence, list);
}

Bytes sign(const Bytes& signed_part, const Bytes& algorithm, const crypto::PrivateKey& key, SignatureScheme scheme) {
  Bytes signature = must(key.sign(scheme, signed_part));
  const bool is_ecdsa = scheme == SignatureScheme::kEcdsaP256Sha256 || scheme == SignatureScheme::kEcdsaP384Sha384;
  if (is_ecdsa) signature = crypto::ecdsa_signature_to_der(signature);
  return der(der_tag::kSequence, {signed_part, algorithm, crypto::der_bit_string(signature)});
}

std::vector<crypto::CertificateExtension> all_extensions(const CertificateTemplate& fields) {
  std::vector<crypto::CertificateExtension> extensions = fields.extensions;
  Bytes constraints;
  if (fields.is_authority) {
    const Bytes yes{std::byte{0xff}};
    constraints = der(der_tag::kBoolean, yes);
    if (fields.path_length) crypto::append(constraints, der_integer(*fields.path_length));
  }
  extensions.push_back({"2.5.29.19", true, der(der_tag::kSequence, constraints)});
  if (fields.key_usage) {
    const Bytes bits{std::byte{0}, std::byte{*fields.key_usage}};
    extensions.push_back({"2.5.29.15", true, der(der_tag::kBitString, bits)});
  }
  return extensions;
}

}  // namespace

Bytes build_certificate(const CertificateTemplate& fields, const crypto::PublicKey& subject_key,
                        const crypto::PrivateKey& issuer_key, SignatureScheme scheme) {
  const Bytes algorithm = algorithm_identifier(scheme);
  const Bytes validity =
      der(der_tag::kSequence, {crypto::der_time(fields.not_before), crypto::der_time(fields.not_after)});
  const Bytes signed_part = der(der_tag::kSequence, {der(0xa0, der_integer(2)), crypto::der_unsigned(fields.serial),
                                                     algorithm, name(fields.issuer), validity, name(fields.subject),
                                                     subject_key.to_subject_public_key_info(),
                                                     der(0xa3, extension_list(all_extensions(fields)))});
  return sign(signed_part, algorithm, issuer_key, scheme);
}

Bytes build_revocation_list(const RevocationListTemplate& fields, const crypto::PrivateKey& issuer_key,
                            SignatureScheme scheme) {
  const Bytes algorithm = algorithm_identifier(scheme);
  Bytes contents = der_integer(1);
  crypto::append(contents, algorithm);
  crypto::append(contents, name(fields.issuer));
  crypto::append(contents, crypto::der_time(fields.this_update));
  if (fields.next_update) crypto::append(contents, crypto::der_time(*fields.next_update));
  Bytes entries;
  for (const Bytes& serial : fields.serials) {
    crypto::append(entries,
                   der(der_tag::kSequence, {crypto::der_unsigned(serial), crypto::der_time(fields.this_update)}));
  }
  if (!entries.empty()) crypto::append(contents, der(der_tag::kSequence, entries));
  if (!fields.extensions.empty()) crypto::append(contents, der(0xa0, extension_list(fields.extensions)));
  return sign(der(der_tag::kSequence, contents), algorithm, issuer_key, scheme);
}

}  // namespace casemate::attest::testing
