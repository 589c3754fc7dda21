#include "evidence/certificate_evidence.h"

#include "crypto/hash.h"
#include "crypto/sha384.h"
#include "evidence/cbor.h"

namespace casemate::evidence {
namespace {

constexpr std::uint64_t kSha256 = 1, kSha384 = 7, kSha512 = 8;
constexpr std::string_view kKeyHashClaim = "pubkey-hash", kNonceClaim = "nonce";
constexpr std::size_t kOpenEnclaveHeaderSize = 16;

struct ExtensionFacts {
  std::string_view oid;
  CertificateEvidenceForm form;
};
// In the order of preference. The second spelling of Gramine's is the object identifier's encoding inside of another
// one, which is what its certificates contain.
constexpr std::array kExtensions = {
    ExtensionFacts{kTaggedEvidenceOid, CertificateEvidenceForm::kTaggedEvidence},
    ExtensionFacts{"0.6.9.42.840.113741.1337.6", CertificateEvidenceForm::kGramine},
    ExtensionFacts{"1.2.840.113741.1337.6", CertificateEvidenceForm::kGramine},
    ExtensionFacts{"1.3.6.1.4.1.311.105.1", CertificateEvidenceForm::kOpenEnclave},
    ExtensionFacts{"1.2.840.113556.10.1.1", CertificateEvidenceForm::kOpenEnclave},
};

Error malformed(const std::string& what) { return Error(ErrorCategory::kFormat, "evidence in a certificate: " + what); }

// "pubkey-hash": CBOR in bytes: [algorithm, digest].
Result<void> read_key_hash(ByteView encoded, CertificateEvidence& evidence) {
  CborReader reader(encoded);
  if (CASEMATE_TRY(reader.expect(CborType::kArray)) != 2) return malformed("a key hash that is no pair");
  evidence.key_hash_algorithm = CASEMATE_TRY(reader.expect(CborType::kUnsigned));
  evidence.key_hash = CASEMATE_TRY(reader.bytes());
  return reader.finish();
}

Result<void> read_claims(CertificateEvidence& evidence) {
  CborReader reader(evidence.claims);
  const std::uint64_t count = CASEMATE_TRY(reader.expect(CborType::kMap));
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::string_view name = CASEMATE_TRY(reader.text());
    if (name == kKeyHashClaim) {
      if (!evidence.key_hash.empty()) return malformed("two key hashes");
      const ByteView encoded = CASEMATE_TRY(reader.bytes());
      if (Result<void> read = read_key_hash(encoded, evidence); !read) return read;
    } else if (name == kNonceClaim) {
      if (evidence.nonce) return malformed("two nonces");
      evidence.nonce = CASEMATE_TRY(reader.bytes());
    } else if (Result<void> skipped = reader.skip(); !skipped) {
      return skipped;
    }
  }
  if (evidence.key_hash.empty()) return malformed("no key hash");
  return reader.finish();
}

Result<CertificateEvidence> read_tagged_evidence(ByteView value) {
  CborReader reader(value);
  if (CASEMATE_TRY(reader.expect(CborType::kTag)) != kTaggedEvidenceCborTag) return malformed("an unknown CBOR tag");
  if (CASEMATE_TRY(reader.expect(CborType::kArray)) != 2) return malformed("no pair of evidence and claims");
  CertificateEvidence evidence;
  evidence.evidence = CASEMATE_TRY(reader.bytes());
  evidence.claims = CASEMATE_TRY(reader.bytes());
  if (Result<void> end = reader.finish(); !end) return end.error();
  if (Result<void> read = read_claims(evidence); !read) return read.error();
  return evidence;
}

Result<CertificateEvidence> read_open_enclave(ByteView value) {
  ByteReader reader(value, "Open Enclave report");
  const FieldView header(CASEMATE_TRY(reader.take(kOpenEnclaveHeaderSize)));
  if (header.number<std::uint32_t>(0) != 1) return malformed("an Open Enclave report of unknown version");
  CertificateEvidence evidence;
  evidence.form = CertificateEvidenceForm::kOpenEnclave;
  evidence.evidence = CASEMATE_TRY(reader.take(header.number<std::uint64_t>(8)));
  if (Result<void> end = reader.finish(); !end) return end.error();
  return evidence;
}

Result<CertificateEvidence> read_evidence(CertificateEvidenceForm form, ByteView value) {
  if (form == CertificateEvidenceForm::kTaggedEvidence) return read_tagged_evidence(value);
  if (form == CertificateEvidenceForm::kOpenEnclave) return read_open_enclave(value);
  CertificateEvidence evidence;
  evidence.form = form;
  evidence.evidence = value;
  return evidence;
}

Bytes hash_of(std::uint64_t algorithm, ByteView data) {
  if (algorithm == kSha256) return crypto::to_bytes(crypto::sha256(data));
  if (algorithm == kSha384) return crypto::to_bytes(crypto::sha384(data));
  if (algorithm == kSha512) return crypto::to_bytes(crypto::sha512(data));
  return {};
}

bool begins_with_digest_of(const FixedBytes<64>& report_data, ByteView data) {
  return report_data == report_data_for_claims(data);
}

// Open Enclave hashes the key as PEM text, with the NUL that ends it or without.
bool binds_pem_text(const FixedBytes<64>& report_data, ByteView key_info) {
  const std::string text = crypto::to_pem(key_info, "PUBLIC KEY");
  return begins_with_digest_of(report_data, crypto::as_byte_view(text)) ||
         begins_with_digest_of(report_data, crypto::as_byte_view({text.c_str(), text.size() + 1}));
}

}  // namespace

Result<std::optional<CertificateEvidence>> find_certificate_evidence(const crypto::Certificate& certificate) {
  for (const ExtensionFacts& facts : kExtensions) {
    const crypto::CertificateExtension* extension = certificate.extension(facts.oid);
    if (extension == nullptr) continue;
    return std::optional(CASEMATE_TRY(read_evidence(facts.form, extension->value)));
  }
  return std::optional<CertificateEvidence>();
}

Bytes build_evidence_claims(ByteView subject_public_key_info, std::optional<ByteView> nonce) {
  Bytes key_hash;
  append_cbor_head(key_hash, CborType::kArray, 2);
  append_cbor_head(key_hash, CborType::kUnsigned, kSha256);
  append_cbor_bytes(key_hash, crypto::sha256(subject_public_key_info));
  Bytes claims;
  append_cbor_head(claims, CborType::kMap, nonce ? 2 : 1);
  // The shorter name first: the deterministic order of RFC 8949, section 4.2.
  if (nonce) {
    append_cbor_text(claims, kNonceClaim);
    append_cbor_bytes(claims, *nonce);
  }
  append_cbor_text(claims, kKeyHashClaim);
  append_cbor_bytes(claims, key_hash);
  return claims;
}

FixedBytes<64> report_data_for_claims(ByteView claims) {
  FixedBytes<64> report_data{};
  std::ranges::copy(crypto::sha256(claims), report_data.begin());
  return report_data;
}

crypto::CertificateExtension build_tagged_evidence(ByteView evidence, ByteView claims) {
  crypto::CertificateExtension extension{std::string(kTaggedEvidenceOid), false, {}};
  append_cbor_head(extension.value, CborType::kTag, kTaggedEvidenceCborTag);
  append_cbor_head(extension.value, CborType::kArray, 2);
  append_cbor_bytes(extension.value, evidence);
  append_cbor_bytes(extension.value, claims);
  return extension;
}

Result<void> check_key_binding(const CertificateEvidence& evidence, const crypto::Certificate& certificate,
                               const FixedBytes<64>& report_data) {
  const Bytes& key_info = certificate.subject_public_key_info();
  switch (evidence.form) {
    case CertificateEvidenceForm::kTaggedEvidence: {
      if (!begins_with_digest_of(report_data, evidence.claims)) {
        return malformed("the report data is not the digest of the claims");
      }
      const Bytes hash = hash_of(evidence.key_hash_algorithm, key_info);
      if (hash.empty() || !crypto::equal(hash, evidence.key_hash)) return malformed("the claims name another key");
      return {};
    }
    case CertificateEvidenceForm::kGramine:
      if (!begins_with_digest_of(report_data, key_info)) return malformed("the report data does not bind the key");
      return {};
    case CertificateEvidenceForm::kOpenEnclave:
      if (!binds_pem_text(report_data, key_info)) return malformed("the report data does not bind the key");
      return {};
  }
  __builtin_trap();
}

}  // namespace casemate::evidence
