// Contexts with the key set, kept in a pool. The library distinguishes directions when a key is set, so each entry has
// one context for sealing and one for opening, made on first use.
#include "crypto/aead.h"

#include <openssl/evp.h>

#include <cerrno>
#include <mutex>
#include <vector>

namespace casemate::crypto {
namespace {

struct ContextDeleter {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, ContextDeleter>;

enum class Direction { kOpen = 0, kSeal = 1 };

// Fetched once: looking the algorithm up by name takes locks and most of a microsecond.
const EVP_CIPHER* method() {
  static const EVP_CIPHER* const fetched = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  return fetched;
}

void require(bool succeeded) {
  if (!succeeded) __builtin_trap();
}

const unsigned char* octets(std::span<const std::byte> bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}
unsigned char* octets(std::span<std::byte> bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); }

Context make_context(const AeadKey& key, Direction direction) {
  Context context(EVP_CIPHER_CTX_new());
  require(context != nullptr);
  require(EVP_CipherInit_ex2(context.get(), method(), octets(key.expose()), nullptr, static_cast<int>(direction),
                             nullptr) == 1);
  return context;
}

// Nonce, associated data and text: the part that both directions share.
bool process(EVP_CIPHER_CTX* context, const AeadNonce& nonce, std::span<const std::byte> associated,
             std::span<const std::byte> in, std::span<std::byte> out) {
  int size = 0;
  if (EVP_CipherInit_ex2(context, nullptr, nullptr, octets(nonce), -1, nullptr) != 1) return false;
  if (!associated.empty() &&
      EVP_CipherUpdate(context, nullptr, &size, octets(associated), static_cast<int>(associated.size())) != 1) {
    return false;
  }
  return in.empty() || EVP_CipherUpdate(context, octets(out), &size, octets(in), static_cast<int>(in.size())) == 1;
}

}  // namespace

struct Aes256Gcm::Session::Contexts {
  Context seal, open;
};

struct Aes256Gcm::Pool {
  AeadKey key;
  std::mutex mutex;
  std::vector<std::unique_ptr<Session::Contexts>> idle;
};

Aes256Gcm::Aes256Gcm(std::unique_ptr<Pool> pool) : pool_(std::move(pool)) {}
Aes256Gcm::Aes256Gcm(Aes256Gcm&&) noexcept = default;
Aes256Gcm& Aes256Gcm::operator=(Aes256Gcm&&) noexcept = default;
Aes256Gcm::~Aes256Gcm() = default;

Result<Aes256Gcm> Aes256Gcm::create(std::span<const std::byte, kAeadKeySize> key) {
  if (method() == nullptr) return Error(ErrorCategory::kSystem, "the crypto library has no AES-256-GCM", EIO);
  auto pool = std::make_unique<Pool>();
  pool->key = AeadKey(key);
  return Aes256Gcm(std::move(pool));
}

Aes256Gcm::Session Aes256Gcm::session() const {
  const std::lock_guard lock(pool_->mutex);
  if (pool_->idle.empty()) return Session(pool_.get(), std::make_unique<Session::Contexts>());
  std::unique_ptr<Session::Contexts> contexts = std::move(pool_->idle.back());
  pool_->idle.pop_back();
  return Session(pool_.get(), std::move(contexts));
}

AeadTag Aes256Gcm::seal(const AeadNonce& nonce, std::span<const std::byte> associated,
                        std::span<const std::byte> plaintext, std::span<std::byte> ciphertext) const {
  return session().seal(nonce, associated, plaintext, ciphertext);
}

bool Aes256Gcm::open(const AeadNonce& nonce, std::span<const std::byte> associated,
                     std::span<const std::byte> ciphertext, const AeadTag& tag, std::span<std::byte> plaintext) const {
  return session().open(nonce, associated, ciphertext, tag, plaintext);
}

Aes256Gcm::Session::Session(Pool* pool, std::unique_ptr<Contexts> contexts)
    : pool_(pool), contexts_(std::move(contexts)) {}

Aes256Gcm::Session::Session(Session&& other) noexcept = default;

Aes256Gcm::Session::~Session() {
  if (contexts_ == nullptr) return;
  const std::lock_guard lock(pool_->mutex);
  pool_->idle.push_back(std::move(contexts_));
}

AeadTag Aes256Gcm::Session::seal(const AeadNonce& nonce, std::span<const std::byte> associated,
                                 std::span<const std::byte> plaintext, std::span<std::byte> ciphertext) {
  require(plaintext.size() == ciphertext.size() && plaintext.size() < (std::size_t{1} << 31));
  if (contexts_->seal == nullptr) contexts_->seal = make_context(pool_->key, Direction::kSeal);
  EVP_CIPHER_CTX* const context = contexts_->seal.get();
  require(process(context, nonce, associated, plaintext, ciphertext));
  AeadTag tag;
  int size = 0;
  require(EVP_CipherFinal_ex(context, octets(std::span<std::byte>(tag)), &size) == 1 && size == 0);
  require(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, static_cast<int>(tag.size()), tag.data()) == 1);
  return tag;
}

bool Aes256Gcm::Session::open(const AeadNonce& nonce, std::span<const std::byte> associated,
                              std::span<const std::byte> ciphertext, const AeadTag& tag,
                              std::span<std::byte> plaintext) {
  require(plaintext.size() == ciphertext.size() && plaintext.size() < (std::size_t{1} << 31));
  if (contexts_->open == nullptr) contexts_->open = make_context(pool_->key, Direction::kOpen);
  EVP_CIPHER_CTX* const context = contexts_->open.get();
  AeadTag expected = tag;  // the library wants it writable
  int size = 0;
  std::array<std::byte, 1> nothing{};
  const bool authentic =
      process(context, nonce, associated, ciphertext, plaintext) &&
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, static_cast<int>(expected.size()), expected.data()) == 1 &&
      EVP_CipherFinal_ex(context, octets(std::span<std::byte>(nothing)), &size) == 1;
  if (!authentic && !plaintext.empty()) wipe(plaintext);
  return authentic;
}

}  // namespace casemate::crypto
