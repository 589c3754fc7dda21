// A service and its attestation service, played by a test: statements that a LAS with a throw-away key would sign, with
// every field open to be spoiled.
#pragma once

#include <cstdlib>
#include <functional>
#include <string>

#include "crypto/key_agreement.h"
#include "evidence/simulation.h"
#include "protocol/provision.h"

namespace casemate::cas::testing_support {

struct SimulatedService {
  SimulatedService() {
    statement.purpose = evidence::StatementPurpose::kProvision;
    statement.caller_checks = evidence::kCallerInspected | evidence::kCallerHosted;
    statement.measurement.fill(std::byte{0x5a});
  }

  std::string las_key_id() const { return crypto::to_hex(evidence::las_key_id(las_key.public_key())); }
  std::string measurement() const { return crypto::to_hex(statement.measurement); }

  // Evidence over `bound`. `spoil` changes the statement before it is signed.
  crypto::Bytes evidence_for(const crypto::Sha512Digest& bound,
                             const std::function<void(evidence::ProcessStatement&)>& spoil = {}) const {
    evidence::ProcessEvidence made;
    made.statement = statement;
    made.statement.las_key_id = evidence::las_key_id(las_key.public_key());
    made.statement.nonce_digest = evidence::statement_nonce_digest(statement.purpose, bound);
    made.node = node;
    if (node) made.statement.node_digest = evidence::node_part_digest(*node);
    if (spoil) spoil(made.statement);
    made.public_key = las_key.public_key().raw();
    auto signature =
        las_key.sign(crypto::SignatureScheme::kEcdsaP256Sha256, evidence::encode_statement(made.statement));
    if (!signature) std::abort();
    made.signature = std::move(signature).value();
    return evidence::serialize(made);
  }

  protocol::ProvisionRequest request(const std::string& session, const std::string& service) const {
    protocol::ProvisionRequest asked;
    asked.session = session;
    asked.service = service;
    asked.runtime_key = runtime_key.public_key();
    return asked;
  }

  crypto::PrivateKey las_key = crypto::PrivateKey::generate(crypto::KeyKind::kEcP256).value();
  crypto::AgreementKey runtime_key = crypto::AgreementKey::generate().value();
  evidence::ProcessStatement statement;
  std::optional<evidence::NodePart> node;  // with hardware below the LAS
};

}  // namespace casemate::cas::testing_support
