#include "evidence/simulation.h"

#include <gtest/gtest.h>

namespace casemate::evidence {
namespace {

using crypto::Bytes;
using crypto::ByteView;

const crypto::PrivateKey& key() {
  static const crypto::PrivateKey made = crypto::PrivateKey::generate(crypto::KeyKind::kEcP256).value();
  return made;
}

ProcessEvidence signed_evidence(LasBackend backend) {
  ProcessEvidence evidence;
  evidence.statement.backend = backend;
  evidence.statement.caller_checks = kCallerInspected;
  evidence.statement.measurement[0] = std::byte{1};
  evidence.statement.nonce_digest = statement_nonce_digest(StatementPurpose::kRun, crypto::as_byte_view("nonce"));
  evidence.statement.las_key_id = las_key_id(key().public_key());
  evidence.statement.issued_at = 1234567890;
  if (backend != LasBackend::kSimulation) {
    evidence.node = NodePart{{}, 99, Bytes(1184, std::byte{5}), Bytes(20, std::byte{6})};
    evidence.statement.node_digest = node_part_digest(*evidence.node);
  }
  evidence.public_key = key().public_key().raw();
  evidence.signature =
      key().sign(crypto::SignatureScheme::kEcdsaP256Sha256, encode_statement(evidence.statement)).value();
  return evidence;
}

bool is_good(ByteView bytes) {
  const auto parsed = parse_process_evidence(bytes);
  return parsed.has_value() && check_process_evidence(parsed.value()).has_value();
}

TEST(ProcessEvidence, SurvivesBeingWrittenAndRead) {
  for (const LasBackend backend : {LasBackend::kSimulation, LasBackend::kTdx, LasBackend::kSnp}) {
    const ProcessEvidence written = signed_evidence(backend);
    const auto read = parse_process_evidence(serialize(written));
    ASSERT_TRUE(read.has_value()) << read.error().message();
    EXPECT_EQ(serialize(read.value()), serialize(written));
    EXPECT_EQ(read.value().statement.issued_at, 1234567890U);
    EXPECT_TRUE(check_process_evidence(read.value()).has_value());
  }
}

TEST(ProcessEvidence, NoByteMayChange) {
  for (const LasBackend backend : {LasBackend::kSimulation, LasBackend::kTdx, LasBackend::kSnp}) {
    const Bytes whole = serialize(signed_evidence(backend));
    for (std::size_t i = 0; i < whole.size(); ++i) {
      Bytes changed = whole;
      changed[i] ^= std::byte{1};
      EXPECT_FALSE(is_good(changed)) << "byte " << i;
    }
  }
}

TEST(ProcessEvidence, EveryTruncationAndAnyTailIsRefused) {
  const Bytes whole = serialize(signed_evidence(LasBackend::kSimulation));
  for (std::size_t size = 0; size < whole.size(); ++size) EXPECT_FALSE(is_good(ByteView(whole).first(size))) << size;
  Bytes longer = whole;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(is_good(longer));
}

TEST(ProcessEvidence, AnotherKeyDoesNotFitTheStatement) {
  ProcessEvidence evidence = signed_evidence(LasBackend::kSimulation);
  const auto other = crypto::PrivateKey::generate(crypto::KeyKind::kEcP256);
  ASSERT_TRUE(other.has_value());
  evidence.public_key = other.value().public_key().raw();
  evidence.signature =
      other.value().sign(crypto::SignatureScheme::kEcdsaP256Sha256, encode_statement(evidence.statement)).value();
  EXPECT_FALSE(check_process_evidence(evidence).has_value());
}

TEST(ProcessEvidence, SimulationCannotCarryANodeNorHardwareLackOne) {
  ProcessEvidence evidence = signed_evidence(LasBackend::kSnp);
  evidence.statement.backend = LasBackend::kSimulation;
  EXPECT_FALSE(parse_process_evidence(serialize(evidence)).has_value());
  evidence = signed_evidence(LasBackend::kSimulation);
  evidence.statement.backend = LasBackend::kTdx;
  EXPECT_FALSE(parse_process_evidence(serialize(evidence)).has_value());
}

TEST(ProcessEvidence, DigestsOfNoncesDifferByPurposeAndLength) {
  const ByteView nonce = crypto::as_byte_view("nonce");
  EXPECT_NE(statement_nonce_digest(StatementPurpose::kRun, nonce),
            statement_nonce_digest(StatementPurpose::kProvision, nonce));
  const Bytes padded = {std::byte{1}, std::byte{0}};
  EXPECT_NE(statement_nonce_digest(StatementPurpose::kRun, padded),
            statement_nonce_digest(StatementPurpose::kRun, ByteView(padded).first(1)));
}

TEST(ProcessEvidence, ReportDataOfNodesDifferByBackendKeyAndNonce) {
  const Digest32 zero = {};
  Digest32 one = {};
  one[0] = std::byte{1};
  const Digest64 base = node_report_data(LasBackend::kTdx, zero, zero);
  EXPECT_NE(base, node_report_data(LasBackend::kSnp, zero, zero));
  EXPECT_NE(base, node_report_data(LasBackend::kTdx, one, zero));
  EXPECT_NE(base, node_report_data(LasBackend::kTdx, zero, one));
}

}  // namespace
}  // namespace casemate::evidence
