#include "crypto/signature.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <array>
#include <mutex>
#include <unordered_map>

#include "crypto/asn1.h"

namespace casemate::crypto {
namespace {

constexpr std::string_view kEcPublicKey = "1.2.840.10045.2.1", kRsaEncryption = "1.2.840.113549.1.1.1",
                           kEd25519Oid = "1.3.101.112";
constexpr std::size_t kEd25519KeySize = 32;
constexpr std::size_t kMinimumModulusSize = 256, kMaximumModulusSize = 512;
constexpr int kPssSaltSize = 48;

template <auto kFree>
struct Deleter {
  template <typename Object>
  void operator()(Object* object) const {
    kFree(object);
  }
};
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Deleter<EVP_PKEY_CTX_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Deleter<EVP_MD_CTX_free>>;
using BigNumber = std::unique_ptr<BIGNUM, Deleter<BN_free>>;
using Parameters = std::unique_ptr<OSSL_PARAM, Deleter<OSSL_PARAM_free>>;
using ParameterBuilder = std::unique_ptr<OSSL_PARAM_BLD, Deleter<OSSL_PARAM_BLD_free>>;
using MemoryFile = std::unique_ptr<BIO, Deleter<BIO_free>>;

struct CurveFacts {
  KeyKind kind;
  const char* name;
  std::string_view oid;
  std::size_t width;
};
constexpr std::array kCurves = {
    CurveFacts{KeyKind::kEcP256, "P-256", "1.2.840.10045.3.1.7", 32},
    CurveFacts{KeyKind::kEcP384, "P-384", "1.3.132.0.34", 48},
};

const CurveFacts* curve_of(KeyKind kind) {
  for (const CurveFacts& curve : kCurves) {
    if (curve.kind == kind) return &curve;
  }
  return nullptr;
}

struct SchemeFacts {
  SignatureScheme scheme;
  KeyKind kind;
  const char* digest;  // nullptr: the scheme takes the message itself
};
constexpr std::array kSchemes = {
    SchemeFacts{SignatureScheme::kEcdsaP256Sha256, KeyKind::kEcP256, "SHA256"},
    SchemeFacts{SignatureScheme::kEcdsaP384Sha384, KeyKind::kEcP384, "SHA384"},
    SchemeFacts{SignatureScheme::kRsaPssSha384, KeyKind::kRsa, "SHA384"},
    SchemeFacts{SignatureScheme::kRsaPkcs1Sha256, KeyKind::kRsa, "SHA256"},
    SchemeFacts{SignatureScheme::kEd25519, KeyKind::kEd25519, nullptr},
};

const SchemeFacts& facts_of(SignatureScheme scheme) {
  for (const SchemeFacts& facts : kSchemes) {
    if (facts.scheme == scheme) return facts;
  }
  __builtin_trap();
}

// Fetching is what makes OpenSSL 3 slow: once per digest.
const EVP_MD* fetched(const char* digest) {
  static const EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  static const EVP_MD* const sha384 = EVP_MD_fetch(nullptr, "SHA384", nullptr);
  return std::string_view(digest) == "SHA256" ? sha256 : sha384;
}

const unsigned char* raw_pointer(ByteView bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }
unsigned char* raw_pointer(Bytes& bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); }

Error bad_key(const std::string& why) { return Error(ErrorCategory::kFormat, "public key: " + why); }

std::shared_ptr<EVP_PKEY> share(EVP_PKEY* key) { return {key, EVP_PKEY_free}; }

BigNumber number_from(ByteView big_endian) {
  return BigNumber(BN_bin2bn(raw_pointer(big_endian), static_cast<int>(big_endian.size()), nullptr));
}

Bytes bytes_from(const BIGNUM* number) {
  Bytes bytes(static_cast<std::size_t>(BN_num_bytes(number)));
  BN_bn2bin(number, raw_pointer(bytes));
  return bytes;
}

// A key from parameters; nullptr when OpenSSL finds it unfit (a point off the curve, for example).
std::shared_ptr<EVP_PKEY> make_public_key(const char* algorithm, OSSL_PARAM* parameters) {
  const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, algorithm, nullptr));
  EVP_PKEY* key = nullptr;
  if (!context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1) {
    return nullptr;
  }
  return share(key);
}

bool set_padding(EVP_PKEY_CTX* context, SignatureScheme scheme) {
  if (scheme == SignatureScheme::kRsaPkcs1Sha256) {
    return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1;
  }
  if (scheme == SignatureScheme::kRsaPssSha384) {
    return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(context, kPssSaltSize) == 1 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md(context, fetched("SHA384")) == 1;
  }
  return true;
}

// A key of `curve` with nothing but its parameters. Making one costs more than all the rest of a key, so each is made
// once and copied.
EVP_PKEY* curve_parameters(const CurveFacts& curve) {
  const auto make = [](const char* curve_name) -> EVP_PKEY* {
    std::string name = curve_name;
    OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, name.data(), 0),
                               OSSL_PARAM_construct_end()};
    const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
    EVP_PKEY* key = nullptr;
    if (!context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
        EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_KEY_PARAMETERS, parameters) != 1) {
      return nullptr;
    }
    return key;
  };
  static EVP_PKEY* const p256 = make("P-256");
  static EVP_PKEY* const p384 = make("P-384");
  return curve.kind == KeyKind::kEcP256 ? p256 : p384;
}

Result<PublicKey> read_ec_key(DerReader& algorithm, ByteView key) {
  const std::string oid = CASEMATE_TRY(algorithm.read_object_identifier());
  for (const CurveFacts& curve : kCurves) {
    if (curve.oid != oid) continue;
    if (key.empty() || key.front() != std::byte{4}) return bad_key("a point that is not in the uncompressed form");
    return PublicKey::from_point(curve.kind, key.subspan(1));
  }
  return bad_key("curve " + oid + " is not supported");
}

Result<PublicKey> read_rsa_key(ByteView key) {
  DerReader numbers = CASEMATE_TRY(enter_only(key, der_tag::kSequence));
  const ByteView modulus = CASEMATE_TRY(numbers.read_unsigned());
  const std::uint64_t exponent = CASEMATE_TRY(numbers.read_number());
  if (Result<void> end = numbers.finish(); !end) return end.error();
  return PublicKey::from_rsa(modulus, exponent);
}

}  // namespace

namespace {

// Points that were found to be on their curve, decoded: those of verifiers come again and again. What is remembered
// follows from the bytes alone.
class DecodedPoints {
 public:
  std::shared_ptr<EVP_PKEY> find(KeyKind kind, ByteView point) {
    const std::lock_guard lock(mutex_);
    const auto found = keys_.find(name_of(kind, point));
    return found == keys_.end() ? nullptr : found->second;
  }
  void keep(KeyKind kind, ByteView point, const std::shared_ptr<EVP_PKEY>& key) {
    const std::lock_guard lock(mutex_);
    if (keys_.size() >= kMost) keys_.clear();
    keys_.emplace(name_of(kind, point), key);
  }

 private:
  static constexpr std::size_t kMost = 256;
  static std::string name_of(KeyKind kind, ByteView point) {
    return std::string(1, static_cast<char>(kind)) + std::string(as_text(point));
  }
  std::mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<EVP_PKEY>> keys_;
};

DecodedPoints& decoded_points() {
  static DecodedPoints* const points = new DecodedPoints;  // outlives every thread
  return *points;
}

}  // namespace

Result<PublicKey> PublicKey::from_point(KeyKind kind, ByteView point) {
  const CurveFacts* curve = curve_of(kind);
  if (curve == nullptr || point.size() != 2 * curve->width) return bad_key("a point of the wrong size");
  if (auto known = decoded_points().find(kind, point)) return PublicKey(kind, to_bytes(point), 0, std::move(known));
  Bytes encoded{std::byte{4}};
  append(encoded, point);
  EVP_PKEY* const parameters = curve_parameters(*curve);
  std::shared_ptr<EVP_PKEY> handle = share(parameters == nullptr ? nullptr : EVP_PKEY_dup(parameters));
  const bool is_on_curve =
      handle && EVP_PKEY_set1_encoded_public_key(handle.get(), raw_pointer(encoded), encoded.size()) == 1;
  if (!is_on_curve) return bad_key("a point that is not on the curve");
  decoded_points().keep(kind, point, handle);
  return PublicKey(kind, to_bytes(point), 0, std::move(handle));
}

Result<PublicKey> PublicKey::from_ed25519(ByteView key) {
  if (key.size() != kEd25519KeySize) return bad_key("an Ed25519 key has 32 bytes");
  std::shared_ptr<EVP_PKEY> handle =
      share(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, raw_pointer(key), key.size()));
  if (!handle) return bad_key("not an Ed25519 key");
  return PublicKey(KeyKind::kEd25519, to_bytes(key), 0, std::move(handle));
}

Result<PublicKey> PublicKey::from_rsa(ByteView modulus, std::uint64_t exponent) {
  if (modulus.size() < kMinimumModulusSize || modulus.size() > kMaximumModulusSize) {
    return bad_key("RSA modulus of " + std::to_string(modulus.size()) + " bytes; 256 to 512 are supported");
  }
  if (exponent < 3 || exponent % 2 == 0) return bad_key("an RSA exponent that is none");
  const BigNumber number = number_from(modulus);
  const ParameterBuilder builder(OSSL_PARAM_BLD_new());
  if (!number || !builder || OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, number.get()) != 1 ||
      OSSL_PARAM_BLD_push_uint64(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent) != 1) {
    return bad_key("OpenSSL is out of memory");
  }
  const Parameters parameters(OSSL_PARAM_BLD_to_param(builder.get()));
  std::shared_ptr<EVP_PKEY> handle = make_public_key("RSA", parameters.get());
  if (!handle) return bad_key("not an RSA key");
  return PublicKey(KeyKind::kRsa, to_bytes(modulus), exponent, std::move(handle));
}

Result<PublicKey> PublicKey::from_subject_public_key_info(ByteView info) {
  DerReader reader = CASEMATE_TRY(enter_only(info, der_tag::kSequence));
  DerReader algorithm = CASEMATE_TRY(reader.enter(der_tag::kSequence));
  const std::string oid = CASEMATE_TRY(algorithm.read_object_identifier());
  const ByteView key = CASEMATE_TRY(reader.read_bit_string());
  if (Result<void> end = reader.finish(); !end) return end.error();
  if (oid == kEcPublicKey) return read_ec_key(algorithm, key);
  if (oid == kRsaEncryption) return read_rsa_key(key);
  if (oid == kEd25519Oid) return from_ed25519(key);
  return bad_key("algorithm " + oid + " is not supported");
}

Bytes PublicKey::to_subject_public_key_info() const {
  if (const CurveFacts* curve = curve_of(kind_)) {
    Bytes point{std::byte{4}};
    append(point, raw_);
    return der(der_tag::kSequence,
               {der(der_tag::kSequence, {der_object_identifier(kEcPublicKey), der_object_identifier(curve->oid)}),
                der_bit_string(point)});
  }
  if (kind_ == KeyKind::kRsa) {
    return der(der_tag::kSequence,
               {der(der_tag::kSequence, {der_object_identifier(kRsaEncryption), der(der_tag::kNull, ByteView{})}),
                der_bit_string(der(der_tag::kSequence, {der_unsigned(raw_), der_integer(exponent_)}))});
  }
  return der(der_tag::kSequence, {der(der_tag::kSequence, {der_object_identifier(kEd25519Oid)}), der_bit_string(raw_)});
}

bool PublicKey::verify(SignatureScheme scheme, ByteView message, ByteView signature) const {
  const SchemeFacts& facts = facts_of(scheme);
  if (facts.kind != kind_) return false;
  if (facts.digest == nullptr) {
    const DigestContext context(EVP_MD_CTX_new());
    return context && EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, handle_.get()) == 1 &&
           EVP_DigestVerify(context.get(), raw_pointer(signature), signature.size(), raw_pointer(message),
                            message.size()) == 1;
  }
  Bytes encoded = to_bytes(signature);
  if (const CurveFacts* curve = curve_of(kind_)) {
    if (signature.size() != 2 * curve->width) return false;
    encoded = ecdsa_signature_to_der(signature);
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned digest_size = 0;
  const EVP_MD* method = fetched(facts.digest);
  if (EVP_Digest(message.data(), message.size(), digest.data(), &digest_size, method, nullptr) != 1) return false;
  const KeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, handle_.get(), nullptr));
  return context && EVP_PKEY_verify_init(context.get()) == 1 && set_padding(context.get(), scheme) &&
         EVP_PKEY_CTX_set_signature_md(context.get(), method) == 1 &&
         EVP_PKEY_verify(context.get(), raw_pointer(encoded), encoded.size(), digest.data(), digest_size) == 1;
}

Result<PrivateKey> PrivateKey::adopt(EVP_PKEY* raw_handle) {
  std::shared_ptr<EVP_PKEY> handle = share(raw_handle);
  if (!handle) return Error(ErrorCategory::kFormat, "private key: OpenSSL does not take it");
  unsigned char* encoded = nullptr;
  const int size = i2d_PUBKEY(handle.get(), &encoded);
  if (size <= 0) return Error(ErrorCategory::kFormat, "private key: of a kind without public key");
  const Bytes info = to_bytes(std::as_bytes(std::span(encoded, static_cast<std::size_t>(size))));
  OPENSSL_free(encoded);
  PublicKey public_key = CASEMATE_TRY(PublicKey::from_subject_public_key_info(info));
  return PrivateKey(std::move(public_key), std::move(handle));
}

Result<PrivateKey> PrivateKey::generate(KeyKind kind) {
  if (kind == KeyKind::kRsa) return generate_rsa(3072, 65537);
  if (const CurveFacts* curve = curve_of(kind)) return adopt(EVP_EC_gen(curve->name));
  return adopt(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
}

Result<PrivateKey> PrivateKey::generate_rsa(unsigned bits, std::uint64_t exponent) {
  const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr));
  const BigNumber number(BN_new());
  EVP_PKEY* key = nullptr;
  if (!context || !number || BN_set_word(number.get(), exponent) != 1 || EVP_PKEY_keygen_init(context.get()) != 1 ||
      EVP_PKEY_CTX_set_rsa_keygen_bits(context.get(), static_cast<int>(bits)) != 1 ||
      EVP_PKEY_CTX_set1_rsa_keygen_pubexp(context.get(), number.get()) != 1 ||
      EVP_PKEY_generate(context.get(), &key) != 1) {
    return Error(ErrorCategory::kSystem, "cannot make an RSA key");
  }
  return adopt(key);
}

Result<PrivateKey> PrivateKey::from_pem(std::string_view pem) {
  const MemoryFile file(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  // Asking at the terminal for a password is no business of a library.
  const auto no_password = [](char*, int, int, void*) { return -1; };
  return adopt(file ? PEM_read_bio_PrivateKey(file.get(), nullptr, no_password, nullptr) : nullptr);
}

Result<PrivateKey> PrivateKey::from_ed25519_seed(ByteView seed) {
  return adopt(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, raw_pointer(seed), seed.size()));
}

std::string PrivateKey::to_pem() const {
  const MemoryFile file(BIO_new(BIO_s_mem()));
  char* text = nullptr;
  if (!file || PEM_write_bio_PrivateKey(file.get(), handle_.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1)
    return "";
  const long size = BIO_get_mem_data(file.get(), &text);
  return std::string(text, static_cast<std::size_t>(size));
}

Result<Bytes> PrivateKey::sign(SignatureScheme scheme, ByteView message) const {
  const SchemeFacts& facts = facts_of(scheme);
  if (facts.kind != public_key_.kind())
    return Error(ErrorCategory::kUsage, "the key does not fit the signature scheme");
  const DigestContext context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* key_context = nullptr;
  std::size_t size = 0;
  const Error refused(ErrorCategory::kSystem, "OpenSSL does not sign");
  if (!context ||
      EVP_DigestSignInit_ex(context.get(), &key_context, facts.digest, nullptr, nullptr, handle_.get(), nullptr) != 1 ||
      !set_padding(key_context, scheme) ||
      EVP_DigestSign(context.get(), nullptr, &size, raw_pointer(message), message.size()) != 1) {
    return refused;
  }
  Bytes signature(size);
  if (EVP_DigestSign(context.get(), raw_pointer(signature), &size, raw_pointer(message), message.size()) != 1) {
    return refused;
  }
  signature.resize(size);
  const CurveFacts* curve = curve_of(facts.kind);
  return curve != nullptr ? ecdsa_signature_from_der(signature, curve->width) : Result<Bytes>(std::move(signature));
}

Result<Bytes> ecdsa_signature_from_der(ByteView signature, std::size_t width) {
  DerReader numbers = CASEMATE_TRY(enter_only(signature, der_tag::kSequence));
  Bytes raw;
  for (int i = 0; i < 2; ++i) {
    const ByteView number = CASEMATE_TRY(numbers.read_unsigned());
    if (number.size() > width) return Error(ErrorCategory::kFormat, "ECDSA signature: a number is too large");
    raw.resize(raw.size() + width - number.size());
    append(raw, number);
  }
  if (Result<void> end = numbers.finish(); !end) return end.error();
  return raw;
}

Bytes ecdsa_signature_to_der(ByteView signature) {
  const std::size_t width = signature.size() / 2;
  return der(der_tag::kSequence, {der_unsigned(signature.first(width)), der_unsigned(signature.subspan(width))});
}

Result<Quotient> divide(ByteView numerator, ByteView denominator) {
  const BigNumber top = number_from(numerator), bottom = number_from(denominator), quotient(BN_new()),
                  remainder(BN_new());
  const std::unique_ptr<BN_CTX, Deleter<BN_CTX_free>> context(BN_CTX_new());
  if (!top || !bottom || !quotient || !remainder || !context ||
      BN_div(quotient.get(), remainder.get(), top.get(), bottom.get(), context.get()) != 1) {
    return Error(ErrorCategory::kUsage, "division by zero");
  }
  return Quotient{bytes_from(quotient.get()), bytes_from(remainder.get())};
}

Bytes multiply(ByteView left, ByteView right) {
  const BigNumber first = number_from(left), second = number_from(right), product(BN_new());
  const std::unique_ptr<BN_CTX, Deleter<BN_CTX_free>> context(BN_CTX_new());
  if (!first || !second || !product || !context ||
      BN_mul(product.get(), first.get(), second.get(), context.get()) != 1) {
    __builtin_trap();
  }
  return bytes_from(product.get());
}

}  // namespace casemate::crypto
