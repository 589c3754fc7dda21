#include "evidence/certificate_evidence.h"

#include <gtest/gtest.h>

#include "crypto/asn1.h"
#include "crypto/hash.h"
#include "evidence/cbor.h"

namespace casemate::evidence {
namespace {

using crypto::CertificateExtension;
using crypto::der;
namespace der_tag = crypto::der_tag;

const crypto::PrivateKey& tls_key() {
  static const crypto::PrivateKey key = crypto::PrivateKey::generate(crypto::KeyKind::kEcP256).value();
  return key;
}
Bytes key_info() { return tls_key().public_key().to_subject_public_key_info(); }
Bytes quote() { return Bytes(500, std::byte{0x51}); }

Bytes object_identifier(std::string_view oid) {
  // The doubly encoded one has arcs that no writer of dotted names makes: 0.6 is the octet 6.
  return crypto::der_object_identifier(oid);
}

// A self-signed certificate with one extension.
crypto::Certificate certificate_with(const CertificateExtension& extension) {
  const Bytes algorithm = der(der_tag::kSequence, {crypto::der_object_identifier("1.2.840.10045.4.3.2")});
  const Bytes name = der(der_tag::kSequence, ByteView{});
  const Bytes validity = der(der_tag::kSequence, {crypto::der_time(0), crypto::der_time(1)});
  const Bytes listed =
      der(der_tag::kSequence, {object_identifier(extension.oid), der(der_tag::kOctetString, extension.value)});
  const Bytes signed_part =
      der(der_tag::kSequence, {der(0xa0, crypto::der_integer(2)), crypto::der_integer(1), algorithm, name, validity,
                               name, key_info(), der(0xa3, der(der_tag::kSequence, {listed}))});
  const Bytes signature = tls_key().sign(crypto::SignatureScheme::kEcdsaP256Sha256, signed_part).value();
  return crypto::Certificate::from_der(
             der(der_tag::kSequence,
                 {signed_part, algorithm, crypto::der_bit_string(crypto::ecdsa_signature_to_der(signature))}))
      .value();
}

std::optional<CertificateEvidence> find(const crypto::Certificate& certificate) {
  return find_certificate_evidence(certificate).value();
}

TEST(CertificateEvidence, TaggedEvidenceRoundTripsAndBindsTheKey) {
  const Bytes nonce(16, std::byte{9});
  for (std::optional<ByteView> optional_nonce : {std::optional<ByteView>(), std::optional<ByteView>(nonce)}) {
    const Bytes claims = build_evidence_claims(key_info(), optional_nonce);
    const crypto::Certificate certificate = certificate_with(build_tagged_evidence(quote(), claims));
    const auto evidence = find(certificate);
    ASSERT_TRUE(evidence);
    EXPECT_TRUE(crypto::equal(evidence->evidence, quote()));
    EXPECT_EQ(evidence->nonce.has_value(), optional_nonce.has_value());
    EXPECT_TRUE(check_key_binding(*evidence, certificate, report_data_for_claims(claims)));
  }
}

TEST(CertificateEvidence, RefusesReportDataAndKeysThatDoNotFit) {
  const Bytes claims = build_evidence_claims(key_info(), std::nullopt);
  const crypto::Certificate certificate = certificate_with(build_tagged_evidence(quote(), claims));
  FixedBytes<64> report_data = report_data_for_claims(claims);
  report_data[63] = std::byte{1};
  EXPECT_FALSE(check_key_binding(*find(certificate), certificate, report_data));

  const Bytes other_key =
      crypto::PrivateKey::generate(crypto::KeyKind::kEcP256).value().public_key().to_subject_public_key_info();
  const Bytes other_claims = build_evidence_claims(other_key, std::nullopt);
  const crypto::Certificate stolen = certificate_with(build_tagged_evidence(quote(), other_claims));
  EXPECT_FALSE(check_key_binding(*find(stolen), stolen, report_data_for_claims(other_claims)));
}

TEST(CertificateEvidence, ReadsGraminesExtensionInBothSpellings) {
  for (const char* oid : {"1.2.840.113741.1337.6", "0.6.9.42.840.113741.1337.6"}) {
    const crypto::Certificate certificate = certificate_with({oid, false, quote()});
    const auto evidence = find(certificate);
    ASSERT_TRUE(evidence) << oid;
    EXPECT_EQ(evidence->form, CertificateEvidenceForm::kGramine);
    EXPECT_TRUE(check_key_binding(*evidence, certificate, report_data_for_claims(key_info())));
    EXPECT_FALSE(check_key_binding(*evidence, certificate, report_data_for_claims(quote())));
  }
}

TEST(CertificateEvidence, ReadsOpenEnclavesExtension) {
  Bytes report;
  append_number(report, std::uint32_t{1});
  append_number(report, std::uint32_t{2});
  append_number(report, std::uint64_t{quote().size()});
  crypto::append(report, quote());
  const crypto::Certificate certificate = certificate_with({"1.3.6.1.4.1.311.105.1", false, report});
  const auto evidence = find(certificate);
  ASSERT_TRUE(evidence);
  EXPECT_TRUE(crypto::equal(evidence->evidence, quote()));
  const std::string pem = crypto::to_pem(key_info(), "PUBLIC KEY");
  EXPECT_TRUE(check_key_binding(*evidence, certificate, report_data_for_claims(crypto::as_byte_view(pem))));
  report[8] ^= std::byte{1};
  EXPECT_FALSE(find_certificate_evidence(certificate_with({"1.3.6.1.4.1.311.105.1", false, report})));
}

TEST(CertificateEvidence, CertificatesWithoutItHaveNone) {
  EXPECT_FALSE(find(certificate_with({"2.5.29.14", false, quote()})));
}

TEST(CertificateEvidence, RefusesDamagedCbor) {
  const Bytes value = build_tagged_evidence(quote(), build_evidence_claims(key_info(), std::nullopt)).value;
  for (std::size_t size = 0; size < value.size(); size += 11) {
    CertificateExtension cut{std::string(kTaggedEvidenceOid), false, value};
    cut.value.resize(size);
    EXPECT_FALSE(find_certificate_evidence(certificate_with(cut))) << size;
  }
  CertificateExtension longer{std::string(kTaggedEvidenceOid), false, value};
  longer.value.push_back(std::byte{0});
  EXPECT_FALSE(find_certificate_evidence(certificate_with(longer)));
}

TEST(CborReader, RefusesLongFormsAndDeepNesting) {
  for (const char* encoded : {"1817", "190017", "5800", "5f", "ff", "1c", "9b", "bbffffffffffffffff", "5affffffff"}) {
    const Bytes bytes = crypto::from_hex(encoded).value();
    EXPECT_FALSE(CborReader(bytes).skip()) << encoded;
  }
  const Bytes deep(20, std::byte{0x81});
  EXPECT_FALSE(CborReader(deep).skip());
}

TEST(CborReader, RoundTripsHeadsAtTheirEdges) {
  for (std::uint64_t value : {0ULL, 23ULL, 24ULL, 255ULL, 256ULL, 65535ULL, 65536ULL, 4294967295ULL, 4294967296ULL}) {
    Bytes encoded;
    append_cbor_head(encoded, CborType::kUnsigned, value);
    EXPECT_EQ(CborReader(encoded).expect(CborType::kUnsigned).value(), value);
  }
}

}  // namespace
}  // namespace casemate::evidence
