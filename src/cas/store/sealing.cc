#include "cas/store/sealing.h"

#include <algorithm>

#include "crypto/kdf.h"

namespace casemate::cas {
namespace {

constexpr std::size_t kSaltSize = 16, kCounterSize = 8;
constexpr std::string_view kPurpose = "casemate cas row v1";

Error unreadable() {
  return Error(ErrorCategory::kFormat,
               "a row of the store does not open: it was changed, moved, or belongs to another key");
}

crypto::AeadNonce nonce_of(ByteView counter) {
  crypto::AeadNonce nonce{};
  std::copy(counter.begin(), counter.end(), nonce.end() - kCounterSize);
  return nonce;
}

}  // namespace

Result<std::unique_ptr<Sealer>> Sealer::create(const SealingKey& key) {
  std::unique_ptr<Sealer> sealer(new Sealer(key.duplicate()));
  if (auto drawn = crypto::random_bytes(sealer->own_salt_); !drawn) return drawn.error();
  return sealer;
}

Result<const crypto::Aes256Gcm*> Sealer::cipher_of(const Salt& salt) {
  const std::lock_guard lock(mutex_);
  auto& cipher = ciphers_[salt];
  if (!cipher) {
    const auto derived = CASEMATE_TRY(crypto::derive_key<crypto::kAeadKeySize>(key_.expose(), salt, kPurpose));
    cipher = std::make_unique<crypto::Aes256Gcm>(CASEMATE_TRY(crypto::Aes256Gcm::create(derived.expose())));
  }
  return cipher.get();
}

Result<Bytes> Sealer::seal(ByteView associated, ByteView plaintext) {
  const crypto::Aes256Gcm* cipher = CASEMATE_TRY(cipher_of(own_salt_));
  Bytes sealed(own_salt_.begin(), own_salt_.end());
  const std::uint64_t counter = counter_.fetch_add(1);
  for (int shift = 56; shift >= 0; shift -= 8) sealed.push_back(static_cast<std::byte>(counter >> shift));
  sealed.resize(plaintext.size() + kSealOverhead);
  const std::span<std::byte> whole(sealed);
  const auto tag = cipher->seal(nonce_of(whole.subspan(kSaltSize, kCounterSize)), associated, plaintext,
                                whole.subspan(kSaltSize + kCounterSize, plaintext.size()));
  std::copy(tag.begin(), tag.end(), whole.end() - static_cast<std::ptrdiff_t>(tag.size()));
  return sealed;
}

Result<SecretValue> Sealer::open(ByteView associated, ByteView sealed) {
  if (sealed.size() < kSealOverhead) return unreadable();
  Salt salt;
  std::copy_n(sealed.begin(), salt.size(), salt.begin());
  crypto::AeadTag tag;
  std::copy(sealed.end() - static_cast<std::ptrdiff_t>(tag.size()), sealed.end(), tag.begin());
  const crypto::Aes256Gcm* cipher = CASEMATE_TRY(cipher_of(salt));
  SecretValue plaintext(Bytes(sealed.size() - kSealOverhead));
  if (!cipher->open(nonce_of(sealed.subspan(kSaltSize, kCounterSize)), associated,
                    sealed.subspan(kSaltSize + kCounterSize, plaintext.size()), tag, plaintext.expose_for_writing())) {
    return unreadable();
  }
  return plaintext;
}

}  // namespace casemate::cas
