// EVP digests, fetched once. A failure here means that the library is broken (no default provider): the process stops,
// because a hash that was not computed must not be compared.
#include "crypto/hash.h"

#include <openssl/evp.h>

namespace casemate::crypto {
namespace {

void require(bool succeeded) {
  if (!succeeded) __builtin_trap();
}

const EVP_MD* sha256_method() {
  static const EVP_MD* const method = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  require(method != nullptr);
  return method;
}

const EVP_MD* sha512_method() {
  static const EVP_MD* const method = EVP_MD_fetch(nullptr, "SHA512", nullptr);
  require(method != nullptr);
  return method;
}

struct ContextDeleter {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

class Context {
 public:
  explicit Context(const EVP_MD* method) : method_(method), context_(EVP_MD_CTX_new()) {
    require(context_ != nullptr);
    start();
  }
  void update(std::span<const std::byte> data) {
    require(EVP_DigestUpdate(context_.get(), data.data(), data.size()) == 1);
  }
  template <typename Digest>
  Digest finish() {
    Digest digest;
    unsigned size = 0;
    require(EVP_DigestFinal_ex(context_.get(), reinterpret_cast<unsigned char*>(digest.data()), &size) == 1);
    require(size == digest.size());
    start();
    return digest;
  }

 private:
  void start() { require(EVP_DigestInit_ex2(context_.get(), method_, nullptr) == 1); }

  const EVP_MD* method_;
  std::unique_ptr<EVP_MD_CTX, ContextDeleter> context_;
};

}  // namespace

struct Sha256::State : Context {
  State() : Context(sha256_method()) {}
};
Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::~Sha256() = default;
void Sha256::update(std::span<const std::byte> data) { state_->update(data); }
Sha256Digest Sha256::finish() { return state_->finish<Sha256Digest>(); }

struct Sha512::State : Context {
  State() : Context(sha512_method()) {}
};
Sha512::Sha512() : state_(std::make_unique<State>()) {}
Sha512::~Sha512() = default;
void Sha512::update(std::span<const std::byte> data) { state_->update(data); }
Sha512Digest Sha512::finish() { return state_->finish<Sha512Digest>(); }

Sha256Digest sha256(std::span<const std::byte> data) {
  Sha256 hash;
  hash.update(data);
  return hash.finish();
}

Sha512Digest sha512(std::span<const std::byte> data) {
  Sha512 hash;
  hash.update(data);
  return hash.finish();
}

}  // namespace casemate::crypto
