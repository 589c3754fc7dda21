#include "cas/service/secrets.h"

#include <optional>
#include <utility>

#include "cas/service/certificates.h"
#include "cas/service/network.h"
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

bool is_certificate(SecretKind kind) { return kind == SecretKind::kX509 || kind == SecretKind::kX509Ca; }

bool is_supported(SecretKind kind) {
  return kind == SecretKind::kAscii || kind == SecretKind::kBinary || kind == SecretKind::kPrivateKey ||
         is_certificate(kind);
}

// What others may have of it: exporting a certificate does not export its key, and export_public no secret at all.
SecretMaterial exported_part(SecretMaterial material, bool is_exported_whole) {
  if (!is_exported_whole || is_certificate(material.kind)) material.private_key = nullptr;
  if (!is_exported_whole) material.value = nullptr;
  return material;
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
    if (needs_service_identity(stored_.session, service)) {
      Item identity = CASEMATE_TRY(make_identity(service));
      result_.released_.all.emplace(kIdentity, std::move(identity));
    }
    return gather_for_rules();
  }

  Result<void> gather_certificate(const std::string& name) {
    uses_ = policy::secret_uses(stored_.session);
    Item item = CASEMATE_TRY(resolve(stored_, name, 0));
    item.material = exported_part(std::move(item.material), false);
    result_.released_.all.emplace(name, std::move(item));
    return {};
  }

 private:
  // Never stored: a copy of the CAS's database shows nobody how to be this service, and no two instances share it.
  Result<Item> make_identity(const policy::Service& service) {
    const crypto::PrivateKey own_key = CASEMATE_TRY(crypto::PrivateKey::generate(crypto::KeyKind::kEcP256));
    const SecretRecord key = CASEMATE_TRY(key_record(own_key));
    const Item authority = CASEMATE_TRY(authority_of(stored_));
    const auto signer = CASEMATE_TRY(private_key_of(crypto::as_byte_view(authority.material.private_key->expose())));
    const auto issuer = CASEMATE_TRY(crypto::Certificate::from_der(authority.material.certificate));
    Secret wanted;
    wanted.name = "identity of service " + service.name;
    wanted.kind = SecretKind::kX509;
    wanted.alternative_names = {"uri:" + service_uri(stored_.session.name, service.name), "dns:" + service.name};
    const CertificateIssuer signing{signer, &issuer};
    const SecretRecord made =
        CASEMATE_TRY(certificate_record(wanted, own_key.public_key(), signing, std::nullopt, now_));
    Item item;
    item.material.kind = SecretKind::kX509;
    item.material.private_key = shared_text(key.value.expose());
    item.material.certificate = made.second;
    item.material.issuers = {authority.material.certificate};
    return item;
  }

  // The service gets it, or the CAS itself while it gathers for rules.
  Result<void> add(const std::string& name, unsigned depth) {
    if (target_->all.contains(name)) return {};
    Item item = CASEMATE_TRY(resolve(stored_, name, depth));
    target_->all.emplace(name, std::move(item));
    return {};
  }

  Result<void> gather_for_rules() {
    const policy::Security* const rules = stored_.session.security_rules();
    result_.rules_session_ = &stored_.session;
    if (rules == nullptr || (!rules->one_time_password && !rules->service_access_token)) return {};
    target_ = &result_.compared_;
    const StoredSession* owner = &stored_;
    if (!rules->scope.empty() && rules->scope != stored_.session.name) {
      result_.rules_of_ = CASEMATE_TRY(sessions_.find(rules->scope));
      if (!result_.rules_of_) return unusable(rules->scope, "the session of the security rules is gone");
      owner = result_.rules_of_.get();
      result_.rules_session_ = &owner->session;
      result_.checks_.push_back({number_of(Table::kSessions), rules->scope, owner->row_version});
    }
    for (const policy::SecretUse& use : policy::secret_uses(owner->session)) {
      if (use.kind != policy::UseKind::kSecurity || target_->all.contains(use.secret)) continue;
      Item item = CASEMATE_TRY(resolve(*owner, use.secret, 0));
      target_->all.emplace(use.secret, std::move(item));
    }
    return {};
  }

  // The secret as its owner has it, with everything that the CAS needs to work with it; made once in a release.
  Result<Item> resolve(const StoredSession& owner, const std::string& name, unsigned depth) {
    if (depth > kDeepest) return unusable(name, "refers to itself");
    const std::pair<std::string, std::string> key(owner.session.name, name);
    if (const auto known = resolved_.find(key); known != resolved_.end()) return known->second;
    const Secret* const secret = owner.session.find_secret(name);
    if (secret == nullptr) return unusable(name, "is not in the session");
    Item item = CASEMATE_TRY(make(owner, *secret, depth));
    resolved_.emplace(key, item);
    return item;
  }

  Result<Item> make(const StoredSession& owner, const Secret& secret, unsigned depth) {
    if (secret.import) {
      Imported imported = CASEMATE_TRY(find_exported(owner, secret));
      Item item = CASEMATE_TRY(resolve(*imported.exporter, imported.secret->name, depth + 1));
      item.material = exported_part(std::move(item.material), imported.is_whole);
      return item;
    }
    if (!is_supported(secret.kind)) {
      return unusable(secret.name, "kind " + std::string(policy::name_of(secret.kind)) +
                                       " is not issued by this version of the CAS; give the service a key or text "
                                       "instead");
    }
    if (secret.value != nullptr) return make_given(owner, secret, depth);
    return is_certificate(secret.kind) ? make_certificate(owner, secret, depth) : make_stored(owner, secret);
  }

  // From the text; other secrets may stand in it.
  Result<Item> make_given(const StoredSession& owner, const Secret& secret, unsigned depth) {
    if (&owner != &stored_)
      return unusable(secret.name, "values of other sessions cannot be imported, generated ones can");
    for (const policy::SecretUse& use : uses_) {
      if (use.kind != policy::UseKind::kValueOfSecret || use.holder != secret.name) continue;
      if (auto added = add(use.secret, depth + 1); !added) return added.error();
    }
    const SharedSecretText text = CASEMATE_TRY(policy::substitute(secret.value->expose(), stored_.session, *target_));
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
    } else if (is_certificate(secret.kind)) {
      auto chain = crypto::Certificate::from_pem(text->expose());
      if (!chain) return unusable(secret.name, chain.error().message());
      item.material.certificate = chain.value().front().der();
      for (std::size_t i = 1; i < chain.value().size(); ++i) item.material.issuers.push_back(chain.value()[i].der());
      if (!secret.private_key.empty()) {
        item.material.private_key = CASEMATE_TRY(resolve(owner, secret.private_key, depth + 1)).material.private_key;
      }
    } else {
      item.material.value = text;
    }
    return item;
  }

  // Generated once, then the same for all.
  Result<Item> make_stored(const StoredSession& owner, const Secret& secret) {
    Row row = CASEMATE_TRY(find_row(Table::kSecrets, owner.session.name, secret.name));
    if (!row.record) {
      row.record = CASEMATE_TRY(generate(secret));
      row.record->kind = static_cast<std::uint64_t>(secret.kind);
      row.record->created = now_;
      write(row);
    } else {
      check(row);
    }
    if (row.record->kind != static_cast<std::uint64_t>(secret.kind)) {
      return unusable(secret.name, "its kind was changed");
    }
    Item item;
    item.material = material_of(secret.kind, *row.record);
    item.version = row.record->version;
    return item;
  }

  Result<Item> make_certificate(const StoredSession& owner, const Secret& secret, unsigned depth) {
    if (secret.private_key.empty()) return unusable(secret.name, "a certificate needs a `private_key`");
    const Item key = CASEMATE_TRY(resolve(owner, secret.private_key, depth + 1));
    if (key.material.private_key == nullptr) return unusable(secret.name, "its private key is not of this session");
    const auto own_key = CASEMATE_TRY(private_key_of(crypto::as_byte_view(key.material.private_key->expose())));

    std::optional<Item> issuer;
    if (!secret.issuer.empty()) {
      issuer = CASEMATE_TRY(resolve_issuer(owner, secret.issuer, depth + 1));
    } else if (secret.kind == SecretKind::kX509) {
      issuer = CASEMATE_TRY(authority_of(owner));
    }
    std::optional<crypto::Certificate> issuer_certificate;
    crypto::PrivateKey signer = own_key;
    if (issuer) {
      if (issuer->material.private_key == nullptr) return unusable(secret.name, "nobody has the key of its issuer");
      signer = CASEMATE_TRY(private_key_of(crypto::as_byte_view(issuer->material.private_key->expose())));
      issuer_certificate = CASEMATE_TRY(crypto::Certificate::from_der(issuer->material.certificate));
    }
    Row row = CASEMATE_TRY(find_row(Table::kSecrets, owner.session.name, secret.name));
    const std::uint64_t version = row.record ? row.record->version : 0;
    const CertificateIssuer signing{signer, issuer_certificate ? &*issuer_certificate : nullptr};
    const Secret named = CASEMATE_TRY(with_service_names(secret, owner.session));
    row.record = CASEMATE_TRY(
        certificate_record(named, own_key.public_key(), signing, std::exchange(row.record, std::nullopt), now_));
    if (row.record->version == version)
      check(row);
    else
      write(row);

    Item item;
    item.version = row.record->version;
    item.material.kind = secret.kind;
    item.material.private_key = key.material.private_key;
    item.material.certificate = row.record->second;
    if (issuer) {
      item.material.issuers = issuer->material.issuers;
      item.material.issuers.insert(item.material.issuers.begin(), issuer->material.certificate);
    }
    return item;
  }

  // With its key, also when another session only exports the certificate: that session lets this one's be signed.
  Result<Item> resolve_issuer(const StoredSession& owner, const std::string& name, unsigned depth) {
    const Secret* const secret = owner.session.find_secret(name);
    if (secret == nullptr || !secret->import) return resolve(owner, name, depth);
    Imported imported = CASEMATE_TRY(find_exported(owner, *secret));
    if (!imported.is_whole) return unusable(name, "is only public: its session must `export` it to let it sign");
    if (imported.secret->kind != SecretKind::kX509Ca) return unusable(name, "is no x509-ca");
    return resolve(*imported.exporter, imported.secret->name, depth + 1);
  }

  // Of the session itself, made when it is first needed.
  Result<Item> authority_of(const StoredSession& owner) {
    Row row = CASEMATE_TRY(find_row(Table::kAuthority, owner.session.name, "ca"));
    const std::pair<std::string, std::string> key(owner.session.name, std::string());
    if (const auto known = resolved_.find(key); known != resolved_.end()) return known->second;
    if (row.record) {
      check(row);
    } else {
      row.record = CASEMATE_TRY(session_authority(owner.session.name, now_));
      write(row);
    }
    Item item;
    item.material.kind = SecretKind::kX509Ca;
    item.material.private_key = shared_text(row.record->value.expose());
    item.material.certificate = row.record->second;
    resolved_.emplace(key, item);
    return item;
  }

  struct Imported {
    StoredSessionPointer exporter;
    const Secret* secret;
    bool is_whole;  // and not public only
  };

  // What `consumer` imports as `secret`.
  Result<Imported> find_exported(const StoredSession& consumer, const Secret& secret) {
    const StoredSessionPointer exporter = CASEMATE_TRY(sessions_.find(secret.import->session));
    const Secret* const exported = exporter ? exporter->session.find_secret(secret.import->name) : nullptr;
    const std::string hash = crypto::to_hex(consumer.record.hash);
    const bool is_whole = exported != nullptr && policy::is_exported_to(exported->exports, consumer.session.name, hash);
    if (exported == nullptr || (!is_whole && !exported->export_public)) {
      return unusable(secret.name, "session '" + secret.import->session + "' does not export it to this session");
    }
    if (exported->import) return unusable(secret.name, "what a session imported cannot be imported from it");
    result_.checks_.push_back({number_of(Table::kSessions), secret.import->session, exporter->row_version});
    keep_.push_back(exporter);
    return Imported{exporter, exported, is_whole};
  }

  struct Row {
    Table table;
    std::string session, name;
    std::uint64_t row_version = kAbsent;
    std::optional<SecretRecord> record;
  };

  Result<Row> find_row(Table table, const std::string& session, const std::string& name) {
    Row row{table, session, name, kAbsent, std::nullopt};
    auto found = CASEMATE_TRY(snapshot_.find(number_of(table), session_row_key(session, name)));
    if (!found) return row;
    row.row_version = found->version;
    row.record = CASEMATE_TRY(decode_secret_record(found->value.expose()));
    return row;
  }
  void check(const Row& row) {
    result_.checks_.push_back({number_of(row.table), session_row_key(row.session, row.name), row.row_version});
  }
  void write(const Row& row) {
    result_.new_rows_.push_back({row.table, row.session, row.name, row.row_version, encode_record(*row.record)});
  }

  const Snapshot& snapshot_;
  const SessionRegistry& sessions_;
  const StoredSession& stored_;
  std::uint64_t now_;
  ServiceSecrets& result_;
  Items* target_ = &result_.released_;
  std::vector<policy::SecretUse> uses_;
  std::vector<StoredSessionPointer> keep_;
  std::map<std::pair<std::string, std::string>, Item> resolved_;  // by session and name; no name: its authority
};

Result<ServiceSecrets> ServiceSecrets::gather(const Snapshot& snapshot, const SessionRegistry& sessions,
                                              const StoredSession& stored, const policy::Service& service,
                                              std::uint64_t now) {
  ServiceSecrets secrets;
  Gatherer gatherer(snapshot, sessions, stored, now, secrets);
  if (auto gathered = gatherer.gather(service); !gathered) return gathered.error();
  return secrets;
}

const SecretMaterial* ServiceSecrets::identity() const { return find(kIdentity); }

Result<ServiceSecrets> ServiceSecrets::gather_certificate(const Snapshot& snapshot, const SessionRegistry& sessions,
                                                          const StoredSession& stored, const std::string& secret,
                                                          std::uint64_t now) {
  ServiceSecrets secrets;
  Gatherer gatherer(snapshot, sessions, stored, now, secrets);
  if (auto gathered = gatherer.gather_certificate(secret); !gathered) return gathered.error();
  return secrets;
}

const SecretMaterial* ServiceSecrets::Items::find(std::string_view name) const {
  const auto found = all.find(name);
  return found == all.end() ? nullptr : &found->second.material;
}

const SecretMaterial* ServiceSecrets::find(std::string_view name) const { return released_.find(name); }

Result<policy::SharedSecretText> ServiceSecrets::security_text(const std::string& text) const {
  return policy::substitute(text, *rules_session_, compared_);
}

void ServiceSecrets::add_to(Change& change) const {
  for (const NewRow& row : new_rows_) {
    change.rows.push_back({number_of(row.table), session_row_key(row.session, row.name), row.session,
                           row.value.duplicate(), row.expected_version});
  }
  change.checks.insert(change.checks.end(), checks_.begin(), checks_.end());
}

std::vector<std::string> ServiceSecrets::names() const {
  std::vector<std::string> names;
  for (const auto& [name, item] : released_.all) names.push_back(name + "@" + std::to_string(item.version));
  return names;
}

}  // namespace casemate::cas
