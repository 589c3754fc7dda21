// The certificates that sessions ask for (kinds x509 and x509-ca): issued when a service needs one, kept until half of
// their time is over or what they say has changed, then issued anew under the next version.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cas/service/records.h"
#include "crypto/certificate_issuing.h"
#include "policy/session.h"

namespace casemate::cas {

// What signs. Ownership: everything is the caller's.
struct CertificateIssuer {
  const crypto::PrivateKey& key;
  const crypto::Certificate* certificate;  // nullptr: self-signed
};

// `now_ms`: since 1970. The result stands in SecretRecord::second, what it was issued for (a hash) in `value`; `before`
// is returned as it is while it is good. Errors: kUsage with a sentence for the session's owner.
Result<SecretRecord> certificate_record(const policy::Secret& secret, const crypto::PublicKey& subject,
                                        const CertificateIssuer& issuer, std::optional<SecretRecord> before,
                                        std::uint64_t now_ms);

// A fresh authority of a session, for certificates that name no issuer: key in `value`, certificate in `second`.
Result<SecretRecord> session_authority(const std::string& session, std::uint64_t now_ms);

// The key of a record that keeps one, PKCS#8.
Result<crypto::PrivateKey> private_key_of(ByteView pkcs8);
// The record of a key: PKCS#8 in `value`, SubjectPublicKeyInfo in `second`.
Result<SecretRecord> key_record(const crypto::PrivateKey& key);

}  // namespace casemate::cas
