#include "cas/service/secrets.h"

#include <set>

#include "cas/sessions/tables.h"
#include "crypto/signature.h"
#include "policy/uses.h"

namespace casemate::cas {
namespace {

using policy::Secret;
using policy::SecretKind;
using policy::SecretMaterial;
using policy::SharedSecretText;

constexpr unsigned kDeepest = 16;

Error unusable(const std::string& name, const std::string& why) {
  return Error(ErrorCategory::kUsage, "secret '" + name + "': " + why);
}

SharedSecretText shared_text(ByteView bytes) {
  return std::make_shared<const policy::SecretText>(std::string(crypto::as_text(bytes)));
}

// Every character equally likely, and none that a shell, a URL or a configuration file would read in its own way.
Result<SecretValue> random_text(std::uint64_t size) {
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  Bytes bytes(static_cast<std::size_t>(size));
  if (auto filled = crypto::random_bytes(bytes); !filled) return filled.error();
  for (std::byte& octet : bytes) octet = static_cast<std::byte>(kAlphabet[std::to_integer<unsigned>(octet) % 64]);
  return SecretValue(std::move(bytes));
}

Result<SecretValue> random_value(std::uint64_t size) {
  Bytes bytes(static_cast<std::size_t>(size));
  if (auto filled = crypto::random_bytes(bytes); !filled) return filled.error();
  return SecretValue(std::move(bytes));
}

Result<crypto::PrivateKey> generate_key(const std::string& type) {
  using crypto::KeyKind;
  using crypto::PrivateKey;
  const std::pair<std::string_view, KeyKind> kinds[] = {
      {"", KeyKind::kEcP256}, {"P-256", KeyKind::kEcP256}, {"P-384", KeyKind::kEcP384}, {"Ed25519", KeyKind::kEd25519}};
  for (const auto& [name, kind] : kinds) {
    if (type == name) return PrivateKey::generate(kind);
  }
  if (type.starts_with("RSA-"))
    return PrivateKey::generate_rsa(static_cast<unsigned>(std::stoul(type.substr(4))), 65537);
  return Error(ErrorCategory::kUsage, "unknown key type " + type);
}

Result<SecretRecord> key_record(const crypto::PrivateKey& key) {
  SecretRecord record;
  std::string pem = key.to_pem();
  auto blocks = crypto::from_pem(pem, "PRIVATE KEY");
  crypto::wipe(std::as_writable_bytes(std::span(pem)));
  if (!blocks) return blocks.error();
  record.value = SecretValue(std::move(blocks.value().front()));
  record.second = key.public_key().to_subject_public_key_info();
  return record;
}

Result<SecretRecord> generate(const Secret& secret) {
  if (secret.kind == SecretKind::kPrivateKey) {
    const crypto::PrivateKey key = CASEMATE_TRY(generate_key(secret.key_type));
    return key_record(key);
  }
  SecretRecord record;
  const std::uint64_t size = secret.size.value_or(32);
  record.value = secret.kind == SecretKind::kAscii ? CASEMATE_TRY(random_text(size)) : CASEMATE_TRY(random_value(size));
  return record;
}

SecretMaterial material_of(SecretKind kind, const SecretRecord& record) {
  SecretMaterial material;
  material.kind = kind;
  const SharedSecretText value = shared_text(record.value.expose());
  (kind == SecretKind::kPrivateKey ? material.private_key : material.value) = value;
  material.public_key = record.second;
  return material;
}

bool is_supported(SecretKind kind) {
  return kind == SecretKind::kAscii || kind == SecretKind::kBinary || kind == SecretKind::kPrivateKey;
}

}  // namespace

class ServiceSecrets::Gatherer {
 public:
  Gatherer(const Snapshot& snapshot, const SessionRegistry& sessions, const StoredSession& stored, std::uint64_t now,
           ServiceSecrets& result)
      : snapshot_(snapshot), sessions_(sessions), stored_(stored), now_(now), result_(result) {}

  Result<void> gather(const policy::Service& service) {
    uses_ = policy::secret_uses(stored_.session);
    for (const policy::SecretUse& use : uses_) {
      using Kind = policy::UseKind;
      const bool of_service =
          (use.kind == Kind::kCommand || use.kind == Kind::kEnvironment || use.kind == Kind::kNetwork) &&
          use.holder == service.name;
      const bool of_image = use.kind == Kind::kInjectedFile && use.holder == service.image;
      if (!of_service && !of_image) continue;
      if (auto added = add(use.secret, 0); !added) return added;
    }
    return {};
  }

 private:
  Result<void> add(const std::string& name, unsigned depth) {
    if (result_.items_.contains(name)) return {};
    if (depth > kDeepest) return unusable(name, "refers to itself");
    const Secret* const secret = stored_.session.find_secret(name);
    if (secret == nullptr) return unusable(name, "is not in the session");
    if (secret->import) return add_imported(*secret);
    if (!is_supported(secret->kind)) {
      return unusable(name, "kind " + std::string(policy::name_of(secret->kind)) +
                                " is not issued by this version of the CAS; give the service a key or text instead");
    }
    if (secret->value != nullptr) return add_given(*secret, depth);
    return add_stored(stored_, *secret, name);
  }

  // From the text; other secrets may stand in it.
  Result<void> add_given(const Secret& secret, unsigned depth) {
    for (const policy::SecretUse& use : uses_) {
      if (use.kind != policy::UseKind::kValueOfSecret || use.holder != secret.name) continue;
      if (auto added = add(use.secret, depth + 1); !added) return added;
    }
    const SharedSecretText text = CASEMATE_TRY(policy::substitute(secret.value->expose(), stored_.session, result_));
    Item item;
    item.material.kind = secret.kind;
    item.version = stored_.record.version;
    if (secret.kind == SecretKind::kPrivateKey) {
      const crypto::PrivateKey key = CASEMATE_TRY(crypto::PrivateKey::from_pem(text->expose()));
      const SecretRecord record = CASEMATE_TRY(key_record(key));
      item.material = material_of(secret.kind, record);
    } else if (secret.kind == SecretKind::kBinary) {
      const SecretValue bytes(CASEMATE_TRY(crypto::from_hex(text->expose())));
      item.material.value = shared_text(bytes.expose());
    } else {
      item.material.value = text;
    }
    result_.items_.emplace(secret.name, std::move(item));
    return {};
  }

  // Generated once, then the same for all.
  Result<void> add_stored(const StoredSession& owner, const Secret& secret, const std::string& as) {
    const std::string key = session_row_key(owner.session.name, secret.name);
    auto row = CASEMATE_TRY(snapshot_.find(number_of(Table::kSecrets), key));
    SecretRecord record;
    if (row) {
      record = CASEMATE_TRY(decode_secret_record(row->value.expose()));
      result_.checks_.push_back({number_of(Table::kSecrets), key, row->version});
    } else {
      record = CASEMATE_TRY(generate(secret));
      record.kind = static_cast<std::uint64_t>(secret.kind);
      record.created = now_;
      result_.new_rows_.push_back({owner.session.name, secret.name, encode_record(record)});
    }
    if (record.kind != static_cast<std::uint64_t>(secret.kind)) return unusable(secret.name, "its kind was changed");
    Item item;
    item.material = material_of(secret.kind, record);
    item.version = record.version;
    result_.items_.emplace(as, std::move(item));
    return {};
  }

  Result<void> add_imported(const Secret& secret) {
    const StoredSessionPointer exporter = CASEMATE_TRY(sessions_.find(secret.import->session));
    const Secret* const exported = exporter ? exporter->session.find_secret(secret.import->name) : nullptr;
    const std::string hash = crypto::to_hex(stored_.record.hash);
    if (exported == nullptr || !policy::is_exported_to(exported->exports, stored_.session.name, hash)) {
      return unusable(secret.name, "session '" + secret.import->session + "' does not export it to this session");
    }
    if (exported->import || exported->value != nullptr || !is_supported(exported->kind)) {
      return unusable(secret.name, "only generated texts, bytes and keys can be imported in this version of the CAS");
    }
    result_.checks_.push_back({number_of(Table::kSessions), secret.import->session, exporter->row_version});
    keep_.push_back(exporter);
    return add_stored(*exporter, *exported, secret.name);
  }

  const Snapshot& snapshot_;
  const SessionRegistry& sessions_;
  const StoredSession& stored_;
  std::uint64_t now_;
  ServiceSecrets& result_;
  std::vector<policy::SecretUse> uses_;
  std::vector<StoredSessionPointer> keep_;
};

Result<ServiceSecrets> ServiceSecrets::gather(const Snapshot& snapshot, const SessionRegistry& sessions,
                                              const StoredSession& stored, const policy::Service& service,
                                              std::uint64_t now) {
  ServiceSecrets secrets;
  Gatherer gatherer(snapshot, sessions, stored, now, secrets);
  if (auto gathered = gatherer.gather(service); !gathered) return gathered.error();
  return secrets;
}

const SecretMaterial* ServiceSecrets::find(std::string_view name) const {
  const auto found = items_.find(name);
  return found == items_.end() ? nullptr : &found->second.material;
}

void ServiceSecrets::add_to(Change& change) const {
  for (const NewRow& row : new_rows_) {
    change.rows.push_back({number_of(Table::kSecrets), session_row_key(row.session, row.name), row.session,
                           row.value.duplicate(), kAbsent});
  }
  change.checks.insert(change.checks.end(), checks_.begin(), checks_.end());
}

std::vector<std::string> ServiceSecrets::names() const {
  std::vector<std::string> names;
  for (const auto& [name, item] : items_) names.push_back(name + "@" + std::to_string(item.version));
  return names;
}

}  // namespace casemate::cas
