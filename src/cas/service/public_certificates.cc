#include "cas/service/public_certificates.h"

#include "crypto/certificate.h"
#include "policy/moment.h"

namespace casemate::cas {
namespace {

constexpr int kTries = 32;  // of what lost a race

Result<PublicCertificate> describe(const ServiceSecrets& secrets, const policy::Secret& secret) {
  const policy::SecretMaterial* const material = secrets.find(secret.name);
  if (material == nullptr || material->certificate.empty()) {
    return Error(ErrorCategory::kUsage, "secret '" + secret.name + "' has no certificate");
  }
  PublicCertificate found;
  found.kind = secret.kind;
  found.version = secrets.version_of(secret.name);
  const auto leaf = CASEMATE_TRY(policy::write_secret(*material, secret.name, "crt"));
  found.certificate = std::string(leaf->expose());
  const auto chain = CASEMATE_TRY(policy::write_secret(*material, secret.name, "chain"));
  found.chain = std::string(chain->expose());
  const auto decoded = CASEMATE_TRY(crypto::Certificate::from_der(material->certificate));
  found.not_after = policy::moment_text(static_cast<std::uint64_t>(decoded.not_after()));
  return found;
}

bool is_public(const policy::Secret& secret) {
  const bool is_certificate = secret.kind == policy::SecretKind::kX509 || secret.kind == policy::SecretKind::kX509Ca;
  return is_certificate && secret.export_public && !secret.import;
}

}  // namespace

Result<std::optional<PublicCertificate>> public_certificate(Store& store, const SessionRegistry& sessions,
                                                            const std::string& session, const std::string& secret,
                                                            std::uint64_t now_ms) {
  for (int tries = 0; tries < kTries; ++tries) {
    const Snapshot snapshot = store.snapshot();
    const StoredSessionPointer stored = CASEMATE_TRY(sessions.find(session));
    const policy::Secret* const found = stored ? stored->session.find_secret(secret) : nullptr;
    if (found == nullptr || !is_public(*found)) return std::optional<PublicCertificate>();
    const ServiceSecrets secrets =
        CASEMATE_TRY(ServiceSecrets::gather_certificate(snapshot, sessions, *stored, secret, now_ms));
    PublicCertificate described = CASEMATE_TRY(describe(secrets, *found));
    if (!secrets.has_new_rows()) return std::optional(std::move(described));
    Change change;
    change.checks.push_back({number_of(Table::kSessions), session, stored->row_version});
    secrets.add_to(change);
    const Result<Committed> committed = store.commit(std::move(change));
    if (committed) return std::optional(std::move(described));
    if (committed.error().system_code() != kConflictCode) return committed.error();
  }
  return Error(ErrorCategory::kSystem, "too many changes at once");
}

}  // namespace casemate::cas
