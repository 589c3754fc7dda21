// The keys below the root: store key, id key, log key, and the wrapping key of each session. They stand sealed in the
// store (docs/formats/cas-store.md, "Keys"); a KeySet is one generation of them, opened. Private to cas/store.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "cas/store/rows.h"
#include "cas/store/sealing.h"
#include "cas/store/unseal.h"
#include "crypto/signature.h"

namespace casemate::cas::internal {

using StoreId = std::array<std::byte, 16>;

// Table 0 holds the keyring; its rows, like all that belong to no session, are sealed with the store key.
inline constexpr TableNumber kKeyringTable = 0;

struct KeySecrets {
  StoreId store{};
  std::uint64_t generation = 1;
  SealingKey store_key, id_key, log_seed;

  static Result<KeySecrets> make();
  KeySecrets duplicate() const;
};

// What a row opens to.
struct OpenedRow {
  std::string key;
  SecretValue value;
};

// A row's part of State::rows_digest, for many rows. Threads: one at a time; `secrets` outlives it.
class RowDigester {
 public:
  explicit RowDigester(const KeySecrets& secrets) : secrets_(secrets) {}
  Digest of(TableNumber table, const Row& row);

 private:
  const KeySecrets& secrets_;
  crypto::Sha256 hash_;
};

// Threads: any number at once.
class KeySet {
 public:
  static Result<std::shared_ptr<KeySet>> make(KeySecrets secrets);
  // The row "keys" of the database, sealed under the root key. Errors of open: kFormat.
  static Result<std::shared_ptr<KeySet>> open(const RootKey& root, ByteView sealed);
  Result<Bytes> seal(const RootKey& root) const;

  const KeySecrets& secrets() const { return secrets_; }
  const crypto::PrivateKey& log_key() const { return log_key_; }

  RowId id_of(TableNumber table, std::string_view key) const;
  // The domain of a session's rows; zero for the empty name: the store key.
  RowId domain_of(std::string_view session) const;
  // This row's part of State::rows_digest.
  Digest digest_of(TableNumber table, const Row& row) const;

  Result<RowPointer> seal_row(TableNumber table, std::string_view key, const RowId& domain, std::uint64_t version,
                              ByteView value, Sealer& sealer) const;
  // `keyring` has the row of the row's domain. Errors: kFormat; kNotFound when the domain's key was removed.
  Result<OpenedRow> open_row(TableNumber table, const Row& row, const RowTree& keyring);
  // What seals in `domain`. Errors: as open_row.
  Result<std::shared_ptr<Sealer>> sealer_of(const RowId& domain, const RowTree& keyring);
  // The sealer of a wrapping key that is being written as keyring row (domain, version).
  Result<std::shared_ptr<Sealer>> adopt(const RowId& domain, std::uint64_t version, const SealingKey& wrapping_key);
  const std::shared_ptr<Sealer>& store_sealer() const { return store_sealer_; }

  // State row and log rows, under the store key.
  Result<Bytes> seal_labelled(std::string_view label, std::uint64_t number, ByteView plaintext) const;
  Result<SecretValue> open_labelled(std::string_view label, std::uint64_t number, ByteView sealed) const;

 private:
  KeySet(KeySecrets secrets, crypto::PrivateKey log_key, std::shared_ptr<Sealer> store_sealer)
      : secrets_(std::move(secrets)), log_key_(std::move(log_key)), store_sealer_(std::move(store_sealer)) {}
  Bytes binding_of(TableNumber table, const Row& row) const;
  Bytes label_binding(std::string_view label, std::uint64_t number) const;

  KeySecrets secrets_;
  crypto::PrivateKey log_key_;
  std::shared_ptr<Sealer> store_sealer_;
  std::mutex mutex_;
  // By domain: the version of the keyring row that it was opened from, and the sealer.
  std::map<RowId, std::pair<std::uint64_t, std::shared_ptr<Sealer>>> session_sealers_;
};

// "session/<name>": the key of a session's row in the keyring.
std::string keyring_name(std::string_view session);

}  // namespace casemate::cas::internal
