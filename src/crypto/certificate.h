// X.509 certificates and revocation lists (RFC 5280): what is in them, and whether one key signed them. Building and
// judging chains is src/attest's business.
//
// What a hostile peer can do here: everything in these files is the peer's until a signature is checked. All lengths
// are checked by the DER reader, everything is consumed, unknown versions and twice-given extensions are errors, and a
// signature algorithm that differs inside and outside of the signed part is one, too.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "crypto/bytes.h"
#include "crypto/signature.h"

namespace casemate::crypto {

struct CertificateExtension {
  std::string oid;
  bool is_critical = false;
  Bytes value;
};

// Bits of the keyUsage extension in the order of RFC 5280, first bit first.
enum class KeyUsage : unsigned {
  kDigitalSignature = 0,
  kCertificateSign = 5,
  kRevocationListSign = 6,
};

// A distinguished name: its exact encoding, by which it is compared, and its common name, for people.
struct DistinguishedName {
  Bytes der;
  std::string common_name;  // empty when there is none

  bool operator==(const DistinguishedName& other) const { return der == other.der; }
};

// What signs certificates and lists, and how. Absent when it is something that we do not verify.
struct SignedPart {
  Bytes signed_bytes;
  Bytes signature;  // in the form PublicKey::verify takes
  std::optional<SignatureScheme> scheme;
  std::string algorithm_oid;
  Bytes algorithm_identifier;  // AlgorithmIdentifier in DER

  bool is_signed_by(const PublicKey& key) const { return scheme && key.verify(*scheme, signed_bytes, signature); }
};

// Threads: immutable.
class Certificate {
 public:
  // Errors: kFormat. Takes keys of the kinds of PublicKey only.
  static Result<Certificate> from_der(ByteView der);
  // One or more, in the order of the text (a trailing NUL is allowed).
  static Result<std::vector<Certificate>> from_pem(std::string_view pem);

  const Bytes& der() const { return der_; }
  const Bytes& serial() const { return serial_; }  // big-endian magnitude
  const DistinguishedName& issuer() const { return issuer_; }
  const DistinguishedName& subject() const { return subject_; }
  std::int64_t not_before() const { return not_before_; }  // seconds since 1970, inclusive
  std::int64_t not_after() const { return not_after_; }
  const PublicKey& public_key() const { return *public_key_; }
  const Bytes& subject_public_key_info() const { return public_key_info_; }
  const std::vector<CertificateExtension>& extensions() const { return extensions_; }
  // nullptr when absent.
  const CertificateExtension* extension(std::string_view oid) const;

  // basicConstraints says CA.
  bool is_authority() const { return is_authority_; }
  // The number of authorities that may follow below, when limited.
  std::optional<std::uint64_t> path_length() const { return path_length_; }
  // True also without the extension, which then limits nothing.
  bool allows(KeyUsage usage) const;
  bool has_key_usage() const { return key_usage_.has_value(); }
  // Critical extensions other than basicConstraints, keyUsage and those in `understood`.
  std::vector<std::string> unknown_critical_extensions(std::initializer_list<std::string_view> understood = {}) const;

  bool is_signed_by(const PublicKey& key) const { return signed_part_.is_signed_by(key); }
  bool is_self_issued() const { return issuer_ == subject_; }

 private:
  Certificate() = default;
  Result<void> read_signed_part(ByteView bytes);
  Result<void> read_validity(ByteView contents);
  Result<void> read_extensions(ByteView contents);
  Result<void> understand_extensions();

  Bytes der_, serial_, public_key_info_;
  DistinguishedName issuer_, subject_;
  std::int64_t not_before_ = 0, not_after_ = 0;
  std::optional<PublicKey> public_key_;  // always there after from_der
  std::vector<CertificateExtension> extensions_;
  bool is_authority_ = false;
  std::optional<std::uint64_t> path_length_;
  std::optional<std::uint16_t> key_usage_;  // bit n: 1 << n
  SignedPart signed_part_;
};

// Threads: immutable.
class RevocationList {
 public:
  static Result<RevocationList> from_der(ByteView der);

  const DistinguishedName& issuer() const { return issuer_; }
  std::int64_t this_update() const { return this_update_; }
  // A list without it never expires by itself; verifiers here refuse such lists.
  std::optional<std::int64_t> next_update() const { return next_update_; }
  const Bytes& der() const { return der_; }
  std::size_t entry_count() const { return entry_count_; }
  // By serial number alone: whether the list speaks for the certificate's issuer is the caller's check.
  bool lists(ByteView serial) const;
  // Critical extensions that limit what the list says (partial or indirect lists): it must not be used then.
  const std::vector<std::string>& unknown_critical_extensions() const { return unknown_critical_extensions_; }
  bool is_signed_by(const PublicKey& key) const { return signed_part_.is_signed_by(key); }

 private:
  RevocationList() = default;
  Result<void> read_signed_part(ByteView bytes);
  Result<void> read_entries(ByteView contents);
  Result<void> read_extensions(ByteView contents);

  Bytes der_;
  Bytes entries_;  // contents of revokedCertificates: searched in place
  std::size_t entry_count_ = 0;
  DistinguishedName issuer_;
  std::int64_t this_update_ = 0;
  std::optional<std::int64_t> next_update_;
  std::vector<std::string> unknown_critical_extensions_;
  SignedPart signed_part_;
};

}  // namespace casemate::crypto
