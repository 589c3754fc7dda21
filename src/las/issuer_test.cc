#include "las/issuer.h"

#include <gtest/gtest.h>

#include "crypto/hash.h"
#include "las/key_file.h"

namespace casemate::las {
namespace {

using evidence::LasBackend;
using evidence::ProcessEvidence;
using evidence::StatementPurpose;

constexpr std::string_view kNonce = "a verifier's nonce";

crypto::PrivateKey new_key() {
  Result<crypto::PrivateKey> key = ephemeral_key();
  EXPECT_TRUE(key.has_value());
  return std::move(key).value();
}

ProcessEvidence issue(Issuer& issuer) {
  Issuer::Subject subject = {StatementPurpose::kRun, evidence::kCallerInspected, {}, crypto::as_byte_view(kNonce)};
  subject.measurement[3] = std::byte{7};
  const Result<crypto::Bytes> made = issuer.issue(subject);
  EXPECT_TRUE(made.has_value());
  Result<ProcessEvidence> parsed = evidence::parse_process_evidence(made.value());
  EXPECT_TRUE(parsed.has_value());
  return std::move(parsed).value();
}

TEST(Issuer, StatesWhatWasAskedAndSignsIt) {
  Issuer issuer(new_key(), LasBackend::kSimulation, QuoteNode(), std::chrono::seconds(120));
  const ProcessEvidence made = issue(issuer);
  EXPECT_TRUE(evidence::check_process_evidence(made).has_value());
  EXPECT_EQ(made.statement.backend, LasBackend::kSimulation);
  EXPECT_EQ(made.statement.purpose, StatementPurpose::kRun);
  EXPECT_EQ(made.statement.measurement[3], std::byte{7});
  EXPECT_EQ(made.statement.las_key_id, issuer.key_id());
  EXPECT_EQ(made.statement.nonce_digest,
            evidence::statement_nonce_digest(StatementPurpose::kRun, crypto::as_byte_view(kNonce)));
  EXPECT_FALSE(made.node.has_value());
}

TEST(Issuer, TheNodesQuoteBindsTheKeyAndIsReused) {
  int quotes = 0;
  evidence::Digest64 bound = {};
  const QuoteNode quote_node = [&](const evidence::Digest64& report_data) -> Result<NodeQuote> {
    ++quotes;
    bound = report_data;
    return NodeQuote{crypto::Bytes(10, std::byte{1}), crypto::Bytes(3, std::byte{2})};
  };
  Issuer issuer(new_key(), LasBackend::kTdx, quote_node, std::chrono::seconds(3600));
  const ProcessEvidence first = issue(issuer);
  const ProcessEvidence second = issue(issuer);
  EXPECT_EQ(quotes, 1);
  ASSERT_TRUE(first.node.has_value() && second.node.has_value());
  EXPECT_TRUE(evidence::check_process_evidence(first).has_value());
  EXPECT_EQ(bound, evidence::node_report_data(LasBackend::kTdx, issuer.key_id(), first.node->nonce));
  EXPECT_EQ(first.node->nonce, second.node->nonce);
  EXPECT_GT(issuer.node_issued_at(), 0U);
}

TEST(Issuer, RenewsTheNodesQuoteWithTheAskersNonce) {
  int quotes = 0;
  const QuoteNode quote_node = [&](const evidence::Digest64&) -> Result<NodeQuote> {
    ++quotes;
    return NodeQuote{crypto::Bytes(10, std::byte{1}), {}};
  };
  Issuer issuer(new_key(), LasBackend::kSnp, quote_node, std::chrono::seconds(0));
  const ProcessEvidence made = issue(issuer);
  issue(issuer);
  EXPECT_EQ(quotes, 2);
  ASSERT_TRUE(made.node.has_value());
  EXPECT_EQ(made.node->nonce, crypto::sha256(made.statement.nonce_digest));
}

TEST(Issuer, WithoutTheHardwaresWordThereIsNoEvidence) {
  const QuoteNode quote_node = [](const evidence::Digest64&) -> Result<NodeQuote> {
    return Error(ErrorCategory::kSystem, "no quote today");
  };
  Issuer issuer(new_key(), LasBackend::kSnp, quote_node, std::chrono::seconds(120));
  const Result<crypto::Bytes> made =
      issuer.issue({StatementPurpose::kRun, evidence::kCallerInspected, {}, crypto::as_byte_view(kNonce)});
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().message(), "no quote today");
}

}  // namespace
}  // namespace casemate::las
