// Issues X.509 certificates (RFC 5280): of the CAS for the sessions' services, and what TLS wants around keys that are
// known by their hashes.
//
// Threads: any. Nothing blocks. Keys stay with the caller.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "crypto/bytes.h"
#include "crypto/certificate.h"
#include "crypto/signature.h"

namespace casemate::crypto {

enum class CertificateUse { kAuthority, kServer, kClient, kServerAndClient };

struct CertificateProfile {
  Bytes subject_public_key_info;
  std::string common_name;  // at most 64 bytes of printable ASCII; may be empty
  std::vector<std::string>
      alternative_names;  // "dns:records-db", "dns:*.example.com", "ip:10.0.0.1", "uri:spiffe://a/b"
  CertificateUse use = CertificateUse::kServerAndClient;
  std::int64_t not_before = 0, not_after = 0;  // seconds since 1970, inclusive
};

// DER, with a random serial number; basicConstraints and keyUsage critical. `issuer`: the certificate of `key`;
// nullptr: `key` is the subject's own (self-signed). Errors: kUsage for names that cannot stand in a certificate, for
// an issuer that is no authority or whose key is another; kSystem.
Result<Bytes> issue_certificate(const CertificateProfile& profile, const PrivateKey& key, const Certificate* issuer);

// The frame of every certificate that we make: serial number, algorithm, signature. `subject`, `issuer`: names in DER;
// `extensions`: the SEQUENCE of them, or empty.
Result<Bytes> sign_certificate(const PrivateKey& key, const Bytes& issuer, const Bytes& subject, const Bytes& validity,
                               const Bytes& subject_public_key_info, const Bytes& extensions);

// A distinguished name of one common name (or none). Errors: kUsage.
Result<Bytes> distinguished_name(std::string_view common_name);

}  // namespace casemate::crypto
