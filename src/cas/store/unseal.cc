#include "cas/store/unseal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/unique_fd.h"
#include "cas/log/cbor.h"
#include "crypto/kdf.h"

namespace casemate::cas {
namespace {

constexpr const char* kKeyFileKind = "key-file";
constexpr const char* kPassphraseKind = "passphrase";
constexpr const char* kSharesKind = "shares";
constexpr std::string_view kSharePurpose = "casemate cas share v1";
constexpr std::size_t kKeySize = 32, kSaltSize = 32;
constexpr unsigned kScryptCost = 16;  // 64 MiB

Error wrong_slot() { return Error(ErrorCategory::kFormat, "an unseal slot of the store is malformed"); }

// The slot's wrapping: the method's secret and the slot's parameters give the key.
Result<std::unique_ptr<Sealer>> wrapper_of(const crypto::SecretBytes<32>& secret, const UnsealSlot& slot) {
  const auto key =
      CASEMATE_TRY(crypto::derive_key<32>(secret.expose(), slot.parameters, "casemate cas root " + slot.kind));
  return Sealer::create(key);
}

Result<UnsealSlot> wrap(const char* kind, Bytes parameters, const crypto::SecretBytes<32>& secret,
                        const RootKey& root) {
  UnsealSlot slot{kind, std::move(parameters), {}};
  const auto wrapper = CASEMATE_TRY(wrapper_of(secret, slot));
  slot.wrapped = CASEMATE_TRY(wrapper->seal(crypto::as_byte_view(slot.kind), root.expose()));
  return slot;
}

Result<RootKey> unwrap(const UnsealSlot& slot, const crypto::SecretBytes<32>& secret, const char* what) {
  const auto wrapper = CASEMATE_TRY(wrapper_of(secret, slot));
  const auto opened = wrapper->open(crypto::as_byte_view(slot.kind), slot.wrapped);
  if (!opened || opened.value().size() != RootKey::size()) {
    return Error(ErrorCategory::kFormat, std::string(what) + " does not open this store");
  }
  return RootKey(opened.value().expose().first<RootKey::size()>());
}

Result<Bytes> random_salt() {
  Bytes salt(kSaltSize);
  if (auto drawn = crypto::random_bytes(salt); !drawn) return drawn.error();
  return salt;
}

// --- key file ------------------------------------------------------------------------------------------------------

class KeyFileMethod final : public UnsealMethod {
 public:
  explicit KeyFileMethod(crypto::SecretBytes<32> key) : key_(std::move(key)) {}
  const char* kind() const override { return kKeyFileKind; }
  const char* promise() const override {
    return "development: whoever reads the key file and the database reads everything";
  }
  Result<UnsealSlot> protect(const RootKey& root) override {
    return wrap(kKeyFileKind, CASEMATE_TRY(random_salt()), key_, root);
  }
  Result<RootKey> recover(const UnsealSlot& slot) override { return unwrap(slot, key_, "the key file"); }

 private:
  crypto::SecretBytes<32> key_;
};

Result<crypto::SecretBytes<32>> parse_key_file(ByteView contents, const std::string& path) {
  if (contents.size() == kKeySize) return crypto::SecretBytes<32>(contents.first<kKeySize>());
  std::string_view text = crypto::as_text(contents);
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (text.size() == 2 * kKeySize) {
    if (auto bytes = crypto::from_hex(text); bytes) {
      const SecretValue decoded(std::move(bytes).value());
      return crypto::SecretBytes<32>(decoded.expose().first<kKeySize>());
    }
  }
  return Error(ErrorCategory::kFormat, path + " is no key file: 32 bytes or 64 hexadecimal digits were expected");
}

Result<SecretValue> read_private_file(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat facts {};
  if (!file.is_open() || ::fstat(file.get(), &facts) != 0) return Error::from_errno("key file " + path, errno);
  if (!S_ISREG(facts.st_mode) || (facts.st_mode & 077) != 0) {
    return Error(ErrorCategory::kUsage, "key file " + path + " may be read by others; chmod 600 it");
  }
  SecretValue contents(Bytes(2 * kKeySize + 2));
  const ssize_t size = ::read(file.get(), contents.expose_for_writing().data(), contents.size());
  if (size < 0) return Error::from_errno("key file " + path, errno);
  return SecretValue::copy_of(contents.expose().first(static_cast<std::size_t>(size)));
}

// --- passphrase ----------------------------------------------------------------------------------------------------

class PassphraseMethod final : public UnsealMethod {
 public:
  explicit PassphraseMethod(SecretValue passphrase) : passphrase_(std::move(passphrase)) {}
  const char* kind() const override { return kPassphraseKind; }
  const char* promise() const override { return "development: as strong as the passphrase, against guessing offline"; }
  Result<UnsealSlot> protect(const RootKey& root) override {
    CborWriter parameters;
    parameters.map(2);
    parameters.unsigned_number(1);
    parameters.unsigned_number(kScryptCost);
    parameters.unsigned_number(2);
    const Bytes salt = CASEMATE_TRY(random_salt());
    parameters.byte_string(salt);
    const auto key = CASEMATE_TRY(derive(salt, kScryptCost));
    return wrap(kPassphraseKind, parameters.take(), key, root);
  }
  Result<RootKey> recover(const UnsealSlot& slot) override {
    CborReader parameters(slot.parameters);
    const std::uint64_t fields = CASEMATE_TRY(parameters.map(2));
    const std::uint64_t first = CASEMATE_TRY(parameters.unsigned_number());
    const std::uint64_t cost = CASEMATE_TRY(parameters.unsigned_number());
    const std::uint64_t second = CASEMATE_TRY(parameters.unsigned_number());
    const ByteView salt = CASEMATE_TRY(parameters.byte_string());
    if (fields != 2 || first != 1 || second != 2 || cost > 20 || !parameters.finish()) return wrong_slot();
    const auto key = CASEMATE_TRY(derive(salt, static_cast<unsigned>(cost)));
    return unwrap(slot, key, "the passphrase");
  }

 private:
  Result<crypto::SecretBytes<32>> derive(ByteView salt, unsigned cost) const {
    return crypto::derive_key_from_passphrase(crypto::as_text(passphrase_.expose()), salt, cost);
  }
  SecretValue passphrase_;
};

// --- shares --------------------------------------------------------------------------------------------------------

Bytes share_binding(std::uint8_t number) { return {std::byte{number}}; }

class SplittingMethod final : public UnsealMethod {
 public:
  SplittingMethod(std::vector<crypto::AgreementPublicKey> holders, unsigned threshold)
      : holders_(std::move(holders)), threshold_(threshold) {}
  const char* kind() const override { return kSharesKind; }
  const char* promise() const override { return "the root key comes out only when enough holders act together"; }
  Result<UnsealSlot> protect(const RootKey& root) override {
    const auto secret = CASEMATE_TRY(SharedSecret::random());
    const auto shares = CASEMATE_TRY(split_secret(secret, threshold_, static_cast<unsigned>(holders_.size())));
    CborWriter parameters;
    parameters.map(2);
    parameters.unsigned_number(1);
    parameters.unsigned_number(threshold_);
    parameters.unsigned_number(2);
    parameters.array(shares.size());
    for (std::size_t i = 0; i < shares.size(); ++i) {
      parameters.array(3);
      parameters.unsigned_number(shares[i].number);
      parameters.byte_string(holders_[i]);
      parameters.byte_string(CASEMATE_TRY(crypto::seal_to_holder(
          holders_[i], kSharePurpose, share_binding(shares[i].number), shares[i].value.expose())));
    }
    return wrap(kSharesKind, parameters.take(), secret, root);
  }
  Result<RootKey> recover(const UnsealSlot&) override {
    return Error(ErrorCategory::kUsage, "shares must be collected from their holders first");
  }

 private:
  std::vector<crypto::AgreementPublicKey> holders_;
  unsigned threshold_;
};

class CombiningMethod final : public UnsealMethod {
 public:
  explicit CombiningMethod(std::vector<SecretShare> shares) : shares_(std::move(shares)) {}
  const char* kind() const override { return kSharesKind; }
  const char* promise() const override { return "the root key comes out only when enough holders act together"; }
  Result<UnsealSlot> protect(const RootKey&) override {
    return Error(ErrorCategory::kUsage, "new shares need the public keys of their holders");
  }
  Result<RootKey> recover(const UnsealSlot& slot) override {
    const ShareSlot wanted = CASEMATE_TRY(read_share_slot(slot));
    if (shares_.size() < wanted.threshold) {
      return Error(ErrorCategory::kUsage, std::to_string(wanted.threshold) + " shares are needed; there are " +
                                              std::to_string(shares_.size()));
    }
    const auto secret = CASEMATE_TRY(combine_shares(shares_));
    return unwrap(slot, secret, "this set of shares");
  }

 private:
  std::vector<SecretShare> shares_;
};

}  // namespace

Result<std::unique_ptr<UnsealMethod>> unseal_with_key_file(const std::string& path) {
  const SecretValue contents = CASEMATE_TRY(read_private_file(path));
  auto key = CASEMATE_TRY(parse_key_file(contents.expose(), path));
  return std::unique_ptr<UnsealMethod>(std::make_unique<KeyFileMethod>(std::move(key)));
}

Result<std::unique_ptr<UnsealMethod>> unseal_with_new_key_file(const std::string& path) {
  auto key = CASEMATE_TRY(crypto::SecretBytes<32>::random());
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.is_open()) return Error::from_errno("key file " + path, errno);
  const auto bytes = key.expose();
  if (::write(file.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()) ||
      ::fsync(file.get()) != 0) {
    return Error::from_errno("key file " + path, errno);
  }
  return std::unique_ptr<UnsealMethod>(std::make_unique<KeyFileMethod>(std::move(key)));
}

std::unique_ptr<UnsealMethod> unseal_with_passphrase(SecretValue passphrase) {
  return std::make_unique<PassphraseMethod>(std::move(passphrase));
}

std::unique_ptr<UnsealMethod> split_among_holders(std::vector<crypto::AgreementPublicKey> holders, unsigned threshold) {
  return std::make_unique<SplittingMethod>(std::move(holders), threshold);
}

std::unique_ptr<UnsealMethod> unseal_with_shares(std::vector<SecretShare> shares) {
  return std::make_unique<CombiningMethod>(std::move(shares));
}

Result<ShareSlot> read_share_slot(const UnsealSlot& slot) {
  if (slot.kind != kSharesKind) return wrong_slot();
  CborReader parameters(slot.parameters);
  const std::uint64_t fields = CASEMATE_TRY(parameters.map(2));
  const std::uint64_t first = CASEMATE_TRY(parameters.unsigned_number());
  const std::uint64_t threshold = CASEMATE_TRY(parameters.unsigned_number());
  const std::uint64_t second = CASEMATE_TRY(parameters.unsigned_number());
  const std::uint64_t count = CASEMATE_TRY(parameters.array(255));
  if (fields != 2 || first != 1 || second != 2 || threshold > count) return wrong_slot();
  ShareSlot result{static_cast<unsigned>(threshold), {}};
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t parts = CASEMATE_TRY(parameters.array(3));
    const std::uint64_t number = CASEMATE_TRY(parameters.unsigned_number());
    const ByteView holder = CASEMATE_TRY(parameters.byte_string());
    const ByteView box = CASEMATE_TRY(parameters.byte_string());
    SealedShare share{static_cast<std::uint8_t>(number), {}, crypto::to_bytes(box)};
    if (parts != 3 || number == 0 || number > 255 || holder.size() != share.holder.size()) return wrong_slot();
    std::copy(holder.begin(), holder.end(), share.holder.begin());
    result.shares.push_back(std::move(share));
  }
  if (!parameters.finish()) return wrong_slot();
  return result;
}

Result<SecretShare> open_share(const SealedShare& share, const crypto::AgreementKey& holder) {
  const SecretValue opened(
      CASEMATE_TRY(crypto::open_as_holder(holder, kSharePurpose, share_binding(share.number), share.box)));
  if (opened.size() != SharedSecret::size()) return Error(ErrorCategory::kFormat, "a share has the wrong size");
  return SecretShare{share.number, SharedSecret(opened.expose().first<SharedSecret::size()>())};
}

}  // namespace casemate::cas
