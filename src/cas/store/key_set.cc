#include "cas/store/key_set.h"

#include <algorithm>

#include "cas/log/cbor.h"
#include "crypto/kdf.h"

namespace casemate::cas::internal {
namespace {

constexpr std::string_view kKeysLabel = "casemate cas keys v1";
constexpr std::string_view kItemLabel = "casemate cas item v1";
constexpr RowId kStoreDomain{};

Error malformed(const char* what) { return Error(ErrorCategory::kFormat, std::string("the store: ") + what); }

void append_number(Bytes& target, std::uint64_t value, unsigned size) {
  for (unsigned shift = 8 * size; shift > 0; shift -= 8) target.push_back(static_cast<std::byte>(value >> (shift - 8)));
}

std::shared_ptr<Sealer> shared(std::unique_ptr<Sealer> sealer) { return sealer; }

Result<SealingKey> key_from(ByteView bytes) {
  if (bytes.size() != SealingKey::size()) return malformed("a key has the wrong size");
  return SealingKey(bytes.first<SealingKey::size()>());
}

Result<std::unique_ptr<Sealer>> keys_sealer(const RootKey& root) {
  const auto key = CASEMATE_TRY(crypto::derive_key<32>(root.expose(), {}, kKeysLabel));
  return Sealer::create(key);
}

}  // namespace

std::string keyring_name(std::string_view session) { return "session/" + std::string(session); }

Result<KeySecrets> KeySecrets::make() {
  KeySecrets secrets;
  if (auto drawn = crypto::random_bytes(secrets.store); !drawn) return drawn.error();
  secrets.store_key = CASEMATE_TRY(SealingKey::random());
  secrets.id_key = CASEMATE_TRY(SealingKey::random());
  secrets.log_seed = CASEMATE_TRY(SealingKey::random());
  return secrets;
}

KeySecrets KeySecrets::duplicate() const {
  return {store, generation, store_key.duplicate(), id_key.duplicate(), log_seed.duplicate()};
}

Result<std::shared_ptr<KeySet>> KeySet::make(KeySecrets secrets) {
  auto log_key = CASEMATE_TRY(crypto::PrivateKey::from_ed25519_seed(secrets.log_seed.expose()));
  auto sealer = shared(CASEMATE_TRY(Sealer::create(secrets.store_key)));
  return std::shared_ptr<KeySet>(new KeySet(std::move(secrets), std::move(log_key), std::move(sealer)));
}

Result<std::shared_ptr<KeySet>> KeySet::open(const RootKey& root, ByteView sealed) {
  const auto sealer = CASEMATE_TRY(keys_sealer(root));
  const SecretValue opened = CASEMATE_TRY(sealer->open(crypto::as_byte_view(kKeysLabel), sealed));
  CborReader in(opened.expose());
  const std::uint64_t count = CASEMATE_TRY(in.array(5));
  const ByteView store = CASEMATE_TRY(in.byte_string());
  KeySecrets secrets;
  if (count != 5 || store.size() != secrets.store.size()) return malformed("its keys are of another format");
  std::copy(store.begin(), store.end(), secrets.store.begin());
  secrets.generation = CASEMATE_TRY(in.unsigned_number());
  for (SealingKey* key : {&secrets.store_key, &secrets.id_key, &secrets.log_seed}) {
    const ByteView bytes = CASEMATE_TRY(in.byte_string());
    *key = CASEMATE_TRY(key_from(bytes));
  }
  return make(std::move(secrets));
}

Result<Bytes> KeySet::seal(const RootKey& root) const {
  const auto sealer = CASEMATE_TRY(keys_sealer(root));
  CborWriter out;
  out.array(5);
  out.byte_string(secrets_.store);
  out.unsigned_number(secrets_.generation);
  for (const SealingKey* key : {&secrets_.store_key, &secrets_.id_key, &secrets_.log_seed}) {
    out.byte_string(key->expose());
  }
  const SecretValue plaintext(out.take());
  return sealer->seal(crypto::as_byte_view(kKeysLabel), plaintext.expose());
}

RowId KeySet::id_of(TableNumber table, std::string_view key) const {
  crypto::Sha256 hash;
  hash.update(secrets_.id_key.expose());
  const std::array<std::byte, 3> prefix = {std::byte{1}, static_cast<std::byte>(table >> 8),
                                           static_cast<std::byte>(table)};
  hash.update(prefix);
  hash.update(crypto::as_byte_view(key));
  const Digest digest = hash.finish();
  RowId id;
  std::copy_n(digest.begin(), id.size(), id.begin());
  return id;
}

RowId KeySet::domain_of(std::string_view session) const {
  return session.empty() ? kStoreDomain : id_of(kKeyringTable, keyring_name(session));
}

Digest KeySet::digest_of(TableNumber table, const Row& row) const { return RowDigester(secrets_).of(table, row); }

Digest RowDigester::of(TableNumber table, const Row& row) {
  // The secret prefix makes the parts unpredictable, which XOR needs; they never leave this module. The row's tag
  // stands for its contents. What is between them is 0x02 and binding_of(), without making a copy for every row.
  std::array<std::byte, 1 + kItemLabel.size() + 16 + 2 + 16 + 16 + 8 + crypto::kAeadTagSize> text{};
  std::size_t size = 0;
  const auto add = [&](ByteView bytes) {
    std::copy(bytes.begin(), bytes.end(), text.begin() + static_cast<std::ptrdiff_t>(size));
    size += bytes.size();
  };
  const auto add_number = [&](std::uint64_t value, unsigned octets) {
    for (unsigned shift = 8 * octets; shift > 0; shift -= 8)
      text[size++] = static_cast<std::byte>(value >> (shift - 8));
  };
  add_number(2, 1);
  add(crypto::as_byte_view(kItemLabel));
  add(secrets_.store);
  add_number(table, 2);
  add(row.id);
  add(row.domain);
  add_number(row.version, 8);
  add(ByteView(row.sealed).last(std::min(row.sealed.size(), crypto::kAeadTagSize)));
  hash_.update(secrets_.id_key.expose());
  hash_.update(ByteView(text).first(size));
  return hash_.finish();
}

Bytes KeySet::binding_of(TableNumber table, const Row& row) const {
  Bytes binding = crypto::to_bytes(crypto::as_byte_view(kItemLabel));
  crypto::append(binding, secrets_.store);
  append_number(binding, table, 2);
  crypto::append(binding, row.id);
  crypto::append(binding, row.domain);
  append_number(binding, row.version, 8);
  return binding;
}

Result<RowPointer> KeySet::seal_row(TableNumber table, std::string_view key, const RowId& domain, std::uint64_t version,
                                    ByteView value, Sealer& sealer) const {
  auto row = std::make_shared<Row>();
  row->id = id_of(table, key);
  row->domain = domain;
  row->version = version;
  Bytes plaintext;
  plaintext.reserve(4 + key.size() + value.size());  // or pieces of it would stay behind in memory
  append_number(plaintext, key.size(), 4);
  crypto::append(plaintext, crypto::as_byte_view(key));
  crypto::append(plaintext, value);
  const SecretValue owned(std::move(plaintext));
  row->sealed = CASEMATE_TRY(sealer.seal(binding_of(table, *row), owned.expose()));
  return RowPointer(std::move(row));
}

Result<OpenedRow> KeySet::open_row(TableNumber table, const Row& row, const RowTree& keyring) {
  const auto sealer = CASEMATE_TRY(sealer_of(row.domain, keyring));
  const SecretValue opened = CASEMATE_TRY(sealer->open(binding_of(table, row), row.sealed));
  const ByteView bytes = opened.expose();
  std::uint64_t key_size = 0;
  for (std::size_t i = 0; i < 4 && i < bytes.size(); ++i)
    key_size = key_size << 8 | std::to_integer<unsigned>(bytes[i]);
  if (bytes.size() < 4 || key_size > bytes.size() - 4) return malformed("a row has no key");
  const ByteView key = bytes.subspan(4, static_cast<std::size_t>(key_size));
  return OpenedRow{std::string(crypto::as_text(key)), SecretValue::copy_of(bytes.subspan(4 + key.size()))};
}

Result<std::shared_ptr<Sealer>> KeySet::sealer_of(const RowId& domain, const RowTree& keyring) {
  if (domain == kStoreDomain) return store_sealer_;
  const Row* row = keyring.find(domain);
  if (row == nullptr) return Error(ErrorCategory::kNotFound, "the key of a session was removed");
  {
    const std::lock_guard lock(mutex_);
    const auto known = session_sealers_.find(domain);
    if (known != session_sealers_.end() && known->second.first == row->version) return known->second.second;
  }
  if (row->domain != kStoreDomain) return malformed("a wrapping key is not sealed with the store key");
  const OpenedRow opened = CASEMATE_TRY(open_row(kKeyringTable, *row, keyring));
  const SealingKey key = CASEMATE_TRY(key_from(opened.value.expose()));
  return adopt(domain, row->version, key);
}

Result<std::shared_ptr<Sealer>> KeySet::adopt(const RowId& domain, std::uint64_t version,
                                              const SealingKey& wrapping_key) {
  auto sealer = shared(CASEMATE_TRY(Sealer::create(wrapping_key)));
  const std::lock_guard lock(mutex_);
  session_sealers_[domain] = {version, sealer};
  return sealer;
}

Bytes KeySet::label_binding(std::string_view label, std::uint64_t number) const {
  Bytes binding = crypto::to_bytes(crypto::as_byte_view(label));
  crypto::append(binding, secrets_.store);
  append_number(binding, number, 8);
  return binding;
}

Result<Bytes> KeySet::seal_labelled(std::string_view label, std::uint64_t number, ByteView plaintext) const {
  return store_sealer_->seal(label_binding(label, number), plaintext);
}

Result<SecretValue> KeySet::open_labelled(std::string_view label, std::uint64_t number, ByteView sealed) const {
  return store_sealer_->open(label_binding(label, number), sealed);
}

}  // namespace casemate::cas::internal
