// Public-key signatures: the keys and schemes that hardware vendors, their collateral and our own evidence use.
//
// Keys come in as raw points, moduli or SubjectPublicKeyInfo (RFC 5280); signatures of ECDSA are r || s, big-endian, of
// fixed width, as quotes and collateral carry them. A scheme fixes curve, digest and padding: nothing is negotiated.
#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "crypto/bytes.h"

struct evp_pkey_st;

namespace casemate::crypto {

enum class KeyKind { kEcP256, kEcP384, kRsa, kEd25519 };

enum class SignatureScheme {
  kEcdsaP256Sha256,
  kEcdsaP384Sha384,
  kRsaPssSha384,  // salt of 48 bytes, MGF1 with SHA-384
  kRsaPkcs1Sha256,
  kEd25519,
};

// Threads: immutable; may be used from any threads. Copies share the key.
class PublicKey {
 public:
  // `point`: x || y, 64 bytes for P-256 and 96 for P-384. Errors: kFormat, also for points off the curve.
  static Result<PublicKey> from_point(KeyKind curve, ByteView point);
  static Result<PublicKey> from_ed25519(ByteView key);
  // Big-endian modulus of 2048 to 4096 bits.
  static Result<PublicKey> from_rsa(ByteView modulus, std::uint64_t exponent);
  // DER; must be the only thing in `info`. Errors: kFormat, also for kinds other than the above.
  static Result<PublicKey> from_subject_public_key_info(ByteView info);

  KeyKind kind() const { return kind_; }
  // What identifies the key: x || y, the 32 bytes of an Ed25519 key, or the modulus of an RSA key.
  const Bytes& raw() const { return raw_; }
  std::uint64_t exponent() const { return exponent_; }  // RSA only; 0 otherwise
  Bytes to_subject_public_key_info() const;

  // False for anything but a good signature, also when the scheme does not fit the key. Costs about one ECDSA
  // verification (80 us) or a tenth of it for RSA. Blocks: no.
  bool verify(SignatureScheme scheme, ByteView message, ByteView signature) const;

 private:
  friend class PrivateKey;
  PublicKey(KeyKind kind, Bytes raw, std::uint64_t exponent, std::shared_ptr<evp_pkey_st> handle)
      : kind_(kind), raw_(std::move(raw)), exponent_(exponent), handle_(std::move(handle)) {}

  KeyKind kind_;
  Bytes raw_;
  std::uint64_t exponent_;  // RSA only
  std::shared_ptr<evp_pkey_st> handle_;
};

// Threads: immutable; may be used from any threads. Copies share the key. OpenSSL owns the secret numbers and wipes
// them with the last copy.
class PrivateKey {
 public:
  static Result<PrivateKey> generate(KeyKind kind);
  static Result<PrivateKey> generate_rsa(unsigned bits, std::uint64_t exponent);
  // Unencrypted PKCS#8 or the traditional forms. Errors: kFormat.
  static Result<PrivateKey> from_pem(std::string_view pem);
  // Ed25519 from its 32 secret bytes.
  static Result<PrivateKey> from_ed25519_seed(ByteView seed);

  const PublicKey& public_key() const { return public_key_; }
  // PKCS#8, unencrypted: the caller decides where such text may go.
  std::string to_pem() const;
  // Errors: kUsage when the scheme does not fit the key; kSystem when OpenSSL refuses.
  Result<Bytes> sign(SignatureScheme scheme, ByteView message) const;

 private:
  PrivateKey(PublicKey public_key, std::shared_ptr<evp_pkey_st> handle)
      : public_key_(std::move(public_key)), handle_(std::move(handle)) {}
  static Result<PrivateKey> adopt(evp_pkey_st* handle);

  PublicKey public_key_;
  std::shared_ptr<evp_pkey_st> handle_;
};

// ECDSA-Sig-Value (RFC 3279), as certificates and revocation lists carry it, to r || s of `width` bytes each.
Result<Bytes> ecdsa_signature_from_der(ByteView signature, std::size_t width);
Bytes ecdsa_signature_to_der(ByteView signature);

// floor(numerator / denominator) and the remainder's bytes of big-endian numbers: what a SIGSTRUCT's Q1 and Q2 need.
struct Quotient {
  Bytes quotient;
  Bytes remainder;
};
Result<Quotient> divide(ByteView numerator, ByteView denominator);
Bytes multiply(ByteView left, ByteView right);

}  // namespace casemate::crypto
