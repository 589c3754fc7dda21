// HKDF through EVP_KDF.
#include "crypto/kdf.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <array>
#include <cerrno>
#include <memory>
#include <string>

namespace casemate::crypto {
namespace {

struct ContextDeleter {
  void operator()(EVP_KDF_CTX* context) const { EVP_KDF_CTX_free(context); }
};

EVP_KDF* hkdf_method() {
  static EVP_KDF* const method = EVP_KDF_fetch(nullptr, "HKDF", nullptr);
  return method;
}

// The library's parameters are not const, though it only reads these.
OSSL_PARAM octets(const char* name, std::span<const std::byte> bytes) {
  return OSSL_PARAM_construct_octet_string(name, const_cast<std::byte*>(bytes.data()), bytes.size());
}

}  // namespace

Result<void> hkdf_sha256(std::span<const std::byte> key, std::span<const std::byte> salt, std::string_view purpose,
                         std::span<std::byte> out) {
  const auto failed = [] { return Error(ErrorCategory::kSystem, "the crypto library refuses HKDF-SHA256", EIO); };
  if (hkdf_method() == nullptr) return failed();
  const std::unique_ptr<EVP_KDF_CTX, ContextDeleter> context(EVP_KDF_CTX_new(hkdf_method()));
  if (context == nullptr) return failed();
  std::string digest = "SHA256";
  std::array<OSSL_PARAM, 5> parameters{};
  std::size_t count = 0;
  parameters[count++] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest.data(), 0);
  parameters[count++] = octets(OSSL_KDF_PARAM_KEY, key);
  if (!salt.empty()) parameters[count++] = octets(OSSL_KDF_PARAM_SALT, salt);
  parameters[count++] = octets(OSSL_KDF_PARAM_INFO, std::as_bytes(std::span(purpose.data(), purpose.size())));
  parameters[count] = OSSL_PARAM_construct_end();
  if (EVP_KDF_derive(context.get(), reinterpret_cast<unsigned char*>(out.data()), out.size(), parameters.data()) != 1) {
    return failed();
  }
  return {};
}

}  // namespace casemate::crypto
