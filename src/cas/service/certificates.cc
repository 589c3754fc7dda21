#include "cas/service/certificates.h"

#include <algorithm>

#include "cas/log/cbor.h"
#include "crypto/hash.h"

namespace casemate::cas {
namespace {

using crypto::CertificateUse;

constexpr std::int64_t kDay = 24 * 3600;
constexpr std::int64_t kValidForOfServices = 365 * kDay;
constexpr std::int64_t kValidForOfAuthorities = 3650 * kDay;
constexpr std::int64_t kClocksDiffer = 300;
constexpr std::size_t kMostOfCommonName = 64;

Error unusable(const std::string& name, const std::string& why) {
  return Error(ErrorCategory::kUsage, "secret '" + name + "': " + why);
}

CertificateUse use_of(const policy::Secret& secret) {
  if (secret.kind == policy::SecretKind::kX509Ca) return CertificateUse::kAuthority;
  if (secret.endpoint == "server") return CertificateUse::kServer;
  return secret.endpoint == "client" ? CertificateUse::kClient : CertificateUse::kServerAndClient;
}

// Everything but the times.
Bytes digest_of(const crypto::CertificateProfile& profile, std::int64_t valid_for, const CertificateIssuer& issuer) {
  CborWriter out;
  out.array(6);
  out.byte_string(profile.subject_public_key_info);
  out.text_string(profile.common_name);
  out.array(profile.alternative_names.size());
  for (const std::string& name : profile.alternative_names) out.text_string(name);
  out.unsigned_number(static_cast<std::uint64_t>(profile.use));
  out.unsigned_number(static_cast<std::uint64_t>(valid_for));
  out.byte_string(issuer.certificate != nullptr ? ByteView(issuer.certificate->der()) : ByteView());
  const auto hash = crypto::sha256(out.take());
  return Bytes(hash.begin(), hash.end());
}

bool is_good(const SecretRecord& record, ByteView digest, std::int64_t now) {
  const auto certificate = crypto::Certificate::from_der(record.second);
  if (!certificate || !crypto::equal(record.value.expose(), digest)) return false;
  const std::int64_t begin = certificate.value().not_before(), end = certificate.value().not_after();
  return begin <= now && now < begin + (end - begin) / 2;
}

std::int64_t seconds_of(std::uint64_t now_ms) { return static_cast<std::int64_t>(now_ms / 1000); }

}  // namespace

Result<crypto::PrivateKey> private_key_of(ByteView pkcs8) {
  std::string pem = crypto::to_pem(pkcs8, "PRIVATE KEY");
  auto key = crypto::PrivateKey::from_pem(pem);
  crypto::wipe(std::as_writable_bytes(std::span(pem)));
  return key;
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

Result<SecretRecord> certificate_record(const policy::Secret& secret, const crypto::PublicKey& subject,
                                        const CertificateIssuer& issuer, std::optional<SecretRecord> before,
                                        std::uint64_t now_ms) {
  const std::int64_t now = seconds_of(now_ms);
  crypto::CertificateProfile profile;
  profile.subject_public_key_info = subject.to_subject_public_key_info();
  profile.use = use_of(secret);
  profile.alternative_names = secret.alternative_names;
  profile.common_name = secret.common_name;
  const bool is_authority = profile.use == CertificateUse::kAuthority;
  // An authority is found by its name, and who reads a certificate wants one.
  const bool needs_name = is_authority || profile.alternative_names.empty();
  if (profile.common_name.empty() && needs_name) profile.common_name = secret.name.substr(0, kMostOfCommonName);
  const std::int64_t valid_for =
      secret.valid_for ? static_cast<std::int64_t>(std::min<std::uint64_t>(*secret.valid_for, 100 * 365 * kDay))
                       : (is_authority ? kValidForOfAuthorities : kValidForOfServices);
  Bytes digest = digest_of(profile, valid_for, issuer);
  if (before && is_good(*before, digest, now)) return std::move(*before);

  profile.not_before = now - kClocksDiffer;
  profile.not_after = now + valid_for;
  if (issuer.certificate != nullptr) {
    // A certificate that outlives its issuer says what nobody can check.
    profile.not_after = std::min(profile.not_after, issuer.certificate->not_after());
    profile.not_before = std::max(profile.not_before, issuer.certificate->not_before());
    if (profile.not_after <= now) return unusable(secret.name, "the certificate of its issuer has expired");
  }
  auto issued = crypto::issue_certificate(profile, issuer.key, issuer.certificate);
  if (!issued) return unusable(secret.name, issued.error().message());
  SecretRecord record;
  record.version = before ? before->version + 1 : 1;
  record.kind = static_cast<std::uint64_t>(secret.kind);
  record.value = SecretValue(std::move(digest));
  record.second = std::move(issued.value());
  record.created = now_ms;
  return record;
}

Result<SecretRecord> session_authority(const std::string& session, std::uint64_t now_ms) {
  const crypto::PrivateKey key = CASEMATE_TRY(crypto::PrivateKey::generate(crypto::KeyKind::kEcP256));
  SecretRecord record = CASEMATE_TRY(key_record(key));
  crypto::CertificateProfile profile;
  profile.subject_public_key_info = key.public_key().to_subject_public_key_info();
  profile.use = CertificateUse::kAuthority;
  const std::string name = "casemate " + session;
  profile.common_name = name.size() <= kMostOfCommonName ? name : name.substr(name.size() - kMostOfCommonName);
  profile.not_before = seconds_of(now_ms) - kClocksDiffer;
  profile.not_after = seconds_of(now_ms) + kValidForOfAuthorities;
  record.second = CASEMATE_TRY(crypto::issue_certificate(profile, key, nullptr));
  record.kind = static_cast<std::uint64_t>(policy::SecretKind::kX509Ca);
  record.created = now_ms;
  return record;
}

}  // namespace casemate::cas
