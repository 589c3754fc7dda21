#include "crypto/key_agreement.h"

#include <openssl/evp.h>
#include <openssl/pem.h>

#include <algorithm>
#include <cerrno>

#include "crypto/aead.h"
#include "crypto/kdf.h"

namespace casemate::crypto {
namespace {

constexpr std::uint64_t kScryptBlockSize = 8, kScryptParallelism = 1, kScryptMemoryLimit = std::uint64_t{2} << 30;

struct KeyDeleter {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct ContextDeleter {
  void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
};
struct BioDeleter {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
using Bio = std::unique_ptr<BIO, BioDeleter>;

Error refused(const char* what) { return Error(ErrorCategory::kSystem, what, EIO); }

unsigned char* writable(std::span<std::byte> bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); }
const unsigned char* octets(ByteView bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }

Result<Aes256Gcm> box_cipher(const SecretBytes<32>& agreed, const AgreementPublicKey& ephemeral,
                             const AgreementPublicKey& holder, std::string_view purpose) {
  Bytes salt(ephemeral.begin(), ephemeral.end());
  append(salt, holder);
  const AeadKey key = CASEMATE_TRY(derive_key<kAeadKeySize>(agreed.expose(), salt, purpose));
  return Aes256Gcm::create(key.expose());
}

Result<Bytes> seal_box(const AgreementKey& ephemeral, const AgreementPublicKey& holder, std::string_view purpose,
                       ByteView associated, ByteView plaintext) {
  const SecretBytes<32> agreed = CASEMATE_TRY(ephemeral.agree(holder));
  const Aes256Gcm cipher = CASEMATE_TRY(box_cipher(agreed, ephemeral.public_key(), holder, purpose));
  Bytes box(sizeof(AgreementPublicKey) + plaintext.size());
  std::ranges::copy(ephemeral.public_key(), box.begin());
  const AeadTag tag =
      cipher.seal(AeadNonce{}, associated, plaintext, std::span(box).subspan(sizeof(AgreementPublicKey)));
  append(box, tag);
  return box;
}

}  // namespace

Result<AgreementKey> AgreementKey::adopt(EVP_PKEY* handle) {
  std::shared_ptr<EVP_PKEY> owned(handle, KeyDeleter());
  AgreementPublicKey raw{};
  std::size_t size = raw.size();
  if (EVP_PKEY_get_id(handle) != EVP_PKEY_X25519 || EVP_PKEY_get_raw_public_key(handle, writable(raw), &size) != 1) {
    return Error(ErrorCategory::kFormat, "not an X25519 key");
  }
  return AgreementKey(std::move(owned), raw);
}

Result<AgreementKey> AgreementKey::generate() {
  EVP_PKEY* key = EVP_PKEY_Q_keygen(nullptr, nullptr, "X25519");
  if (key == nullptr) return refused("cannot make an X25519 key");
  return adopt(key);
}

Result<AgreementKey> AgreementKey::from_pem(std::string_view pem) {
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  EVP_PKEY* key = bio ? PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr) : nullptr;
  if (key == nullptr) return Error(ErrorCategory::kFormat, "not a private key in PEM");
  return adopt(key);
}

std::string AgreementKey::to_pem() const {
  const Bio bio(BIO_new(BIO_s_secmem()));
  if (!bio || PEM_write_bio_PKCS8PrivateKey(bio.get(), handle_.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    __builtin_trap();
  }
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return std::string(text, static_cast<std::size_t>(size));
}

Result<SecretBytes<32>> AgreementKey::agree(const AgreementPublicKey& other) const {
  const std::unique_ptr<EVP_PKEY, KeyDeleter> peer(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, octets(other), other.size()));
  const std::unique_ptr<EVP_PKEY_CTX, ContextDeleter> context(EVP_PKEY_CTX_new(handle_.get(), nullptr));
  if (!peer || !context || EVP_PKEY_derive_init(context.get()) != 1) return refused("X25519 is not available");
  SecretBytes<32> agreed;
  std::size_t size = agreed.size();
  // The library refuses the all-zero result that public keys of low order give.
  if (EVP_PKEY_derive_set_peer(context.get(), peer.get()) != 1 ||
      EVP_PKEY_derive(context.get(), writable(agreed.expose_for_writing()), &size) != 1 || size != agreed.size()) {
    return Error(ErrorCategory::kFormat, "no key can be agreed on with this public key");
  }
  return agreed;
}

Result<Bytes> seal_to_holder(const AgreementPublicKey& holder, std::string_view purpose, ByteView associated,
                             ByteView plaintext) {
  const AgreementKey ephemeral = CASEMATE_TRY(AgreementKey::generate());
  return seal_box(ephemeral, holder, purpose, associated, plaintext);
}

Result<Bytes> HolderSealer::seal(const AgreementPublicKey& holder, std::string_view purpose, ByteView associated,
                                 ByteView plaintext) {
  const AgreementKey ephemeral = CASEMATE_TRY(key_for(holder));
  return seal_box(ephemeral, holder, purpose, associated, plaintext);
}

Result<AgreementKey> HolderSealer::key_for(const AgreementPublicKey& holder) {
  const auto now = std::chrono::steady_clock::now();
  const std::lock_guard lock(mutex_);
  const bool is_good = key_ && now - made_ < kLifetime && holders_.size() < kMostHolders && !holders_.contains(holder);
  if (!is_good) {
    key_ = CASEMATE_TRY(AgreementKey::generate());
    made_ = now;
    holders_.clear();
  }
  holders_.insert(holder);
  return *key_;
}

Result<Bytes> open_as_holder(const AgreementKey& key, std::string_view purpose, ByteView associated, ByteView box) {
  AgreementPublicKey ephemeral{};
  AeadTag tag{};
  if (box.size() < ephemeral.size() + tag.size()) return Error(ErrorCategory::kFormat, "the sealed box is cut off");
  std::copy_n(box.begin(), ephemeral.size(), ephemeral.begin());
  std::copy(box.end() - static_cast<std::ptrdiff_t>(tag.size()), box.end(), tag.begin());
  const SecretBytes<32> agreed = CASEMATE_TRY(key.agree(ephemeral));
  const Aes256Gcm cipher = CASEMATE_TRY(box_cipher(agreed, ephemeral, key.public_key(), purpose));
  const ByteView ciphertext = box.subspan(ephemeral.size(), box.size() - ephemeral.size() - tag.size());
  Bytes plaintext(ciphertext.size());
  if (!cipher.open(AeadNonce{}, associated, ciphertext, tag, plaintext)) {
    return Error(ErrorCategory::kFormat, "the sealed box was not made for this key, or was changed");
  }
  return plaintext;
}

Result<SecretBytes<32>> derive_key_from_passphrase(std::string_view passphrase, ByteView salt, unsigned cost) {
  if (cost < 10 || cost > 20) return Error(ErrorCategory::kUsage, "scrypt: the cost must be 10 to 20");
  SecretBytes<32> key;
  if (EVP_PBE_scrypt(passphrase.data(), passphrase.size(), octets(salt), salt.size(), std::uint64_t{1} << cost,
                     kScryptBlockSize, kScryptParallelism, kScryptMemoryLimit, writable(key.expose_for_writing()),
                     key.size()) != 1) {
    return refused("scrypt failed");
  }
  return key;
}

}  // namespace casemate::crypto
