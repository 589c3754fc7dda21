// Fills secrets into templates: `$$CASEMATE::name:format$$` and `@@n`.
//
// One pass from left to right: what was filled in is never looked at again, so neither a secret's value nor an argument
// of the host can name another secret. Results are held in SecretText. Errors name secrets and formats, never values.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "crypto/bytes.h"
#include "policy/formats.h"
#include "policy/session.h"

namespace casemate::policy {

// A secret as CAS has it: which parts are there depends on the kind.
struct SecretMaterial {
  SecretKind kind = SecretKind::kAscii;
  SharedSecretText value;              // ascii, binary, aad-token: the bytes
  SharedSecretText private_key;        // PKCS#8 in DER: private-key, x509, x509-ca (when the consumer may have it)
  crypto::Bytes public_key;            // SubjectPublicKeyInfo in DER: private-key
  crypto::Bytes certificate;           // DER: x509, x509-ca
  std::vector<crypto::Bytes> issuers;  // DER, the certificate's own issuer first
};

// Threads: as the implementation says. Ownership: what find() gives lives as long as the source.
class SecretSource {
 public:
  virtual ~SecretSource() = default;
  // Null: there is no such secret, or it is not for this service.
  virtual const SecretMaterial* find(std::string_view name) const = 0;
};

// `session`: whose names the template uses. Errors: kNotFound for a secret that the source lacks, kFormat for a format
// that the secret does not have.
Result<SharedSecretText> substitute(std::string_view text, const Session& session, const SecretSource& source);

// One word of a command: references as above, and `@@n` by host_arguments[n]. Errors besides: kUsage when the host gave
// fewer arguments; kFormat when a NUL byte would cut the word off. The word stays one word whatever is filled in.
Result<SharedSecretText> substitute_word(std::string_view word, const Session& session, const SecretSource& source,
                                         std::span<const std::string> host_arguments);

// A value of the environment: as substitute(), and kFormat besides when a NUL byte would cut it off.
Result<SharedSecretText> substitute_variable(std::string_view text, const Session& session, const SecretSource& source);

// One secret in one form: what a reference is replaced by. Errors: kFormat.
Result<SharedSecretText> write_secret(const SecretMaterial& material, std::string_view name, std::string_view format);

// RFC 4648 base 32 without padding, upper case: what authenticator applications read.
std::string to_base32(std::string_view bytes);

}  // namespace casemate::policy
