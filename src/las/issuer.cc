#include "las/issuer.h"

#include <algorithm>

#include "crypto/hash.h"

namespace casemate::las {
namespace {

std::uint64_t seconds_since_1970() {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count());
}

}  // namespace

Result<crypto::Bytes> Issuer::issue(const Subject& subject) {
  evidence::ProcessEvidence made;
  evidence::ProcessStatement& statement = made.statement;
  statement.backend = backend_;
  statement.purpose = subject.purpose;
  statement.caller_checks = subject.caller_checks;
  statement.measurement = subject.measurement;
  statement.nonce_digest = evidence::statement_nonce_digest(subject.purpose, subject.nonce);
  statement.las_key_id = key_id_;
  statement.issued_at = seconds_since_1970();
  made.node = CASEMATE_TRY(node_part(statement.nonce_digest));
  if (made.node.has_value()) statement.node_digest = evidence::node_part_digest(*made.node);
  made.public_key = key_.public_key().raw();
  made.signature =
      CASEMATE_TRY(key_.sign(crypto::SignatureScheme::kEcdsaP256Sha256, evidence::encode_statement(statement)));
  return evidence::serialize(made);
}

Result<std::optional<evidence::NodePart>> Issuer::node_part(const evidence::Digest64& nonce_digest) {
  if (backend_ == evidence::LasBackend::kSimulation) return std::optional<evidence::NodePart>();
  const std::lock_guard lock(mutex_);
  const auto now = std::chrono::steady_clock::now();
  if (node_.has_value() && now - node_made_ < renew_after_) return node_;
  evidence::NodePart fresh;
  fresh.nonce = crypto::sha256(nonce_digest);
  fresh.issued_at = seconds_since_1970();
  NodeQuote quote = CASEMATE_TRY(quote_node_(evidence::node_report_data(backend_, key_id_, fresh.nonce)));
  fresh.quote = std::move(quote.quote);
  fresh.auxiliary = std::move(quote.auxiliary);
  node_ = std::move(fresh);
  node_made_ = now;
  return node_;
}

std::uint64_t Issuer::node_issued_at() const {
  const std::lock_guard lock(mutex_);
  return node_.has_value() ? node_->issued_at : 0;
}

}  // namespace casemate::las
