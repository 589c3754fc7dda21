#include "attest/process_verifier.h"

#include <mutex>

#include "attest/dcap_verifier.h"
#include "crypto/hash.h"
#include "evidence/simulation.h"

namespace casemate::attest {
namespace {

using crypto::to_hex;
using evidence::LasBackend;
using evidence::NodePart;
using evidence::ProcessEvidence;

VerificationResult verify_node(const NodePart& node, LasBackend backend, const NodeEndorsements& endorsements,
                               const TrustAnchors& anchors, Moment now) {
  if (backend == LasBackend::kTdx) return verify_dcap_quote(node.quote, endorsements.dcap, anchors, now);
  SnpEndorsements all = endorsements.snp;
  if (!node.auxiliary.empty()) {
    if (Result<SnpEndorsements> table = parse_snp_certificate_table(node.auxiliary)) {
      auto& more = table.value();
      all.certificates.insert(all.certificates.end(), more.certificates.begin(), more.certificates.end());
      all.revocation_lists.insert(all.revocation_lists.end(), more.revocation_lists.begin(),
                                  more.revocation_lists.end());
    }
  }
  return verify_snp_report(node.quote, all, anchors, now);
}

// The same, from memory when it can be. The key covers every byte that the verdict is about.
VerificationResult judge_node(const NodePart& node, LasBackend backend, const NodeEndorsements& endorsements,
                              const TrustAnchors& anchors, Moment now) {
  if (endorsements.verdicts == nullptr) return verify_node(node, backend, endorsements, anchors, now);
  crypto::Bytes described = evidence::encode_node_part(node);
  described.push_back(static_cast<std::byte>(backend));
  const NodeVerdicts::Key key = crypto::sha256(described);
  if (std::optional<VerificationResult> known = endorsements.verdicts->find(key, now)) return *std::move(known);
  VerificationResult result = verify_node(node, backend, endorsements, anchors, now);
  endorsements.verdicts->keep(key, result, now);
  return result;
}

std::string value_of(const VerificationResult& result, const std::string& name) {
  for (const Measurement& measurement : result.measurements) {
    if (measurement.name == name && std::holds_alternative<std::string>(measurement.value)) {
      return std::get<std::string>(measurement.value);
    }
  }
  return "";
}

// The result of the node, with the process's statement on top.
VerificationResult check_node(const ProcessEvidence& evidence, const NodeEndorsements& endorsements,
                              const TrustAnchors& anchors, Moment now) {
  const auto& statement = evidence.statement;
  VerificationResult result = judge_node(*evidence.node, statement.backend, endorsements, anchors, now);
  for (Measurement& measurement : result.measurements) measurement.name = "node_" + measurement.name;
  const std::string wanted =
      to_hex(evidence::node_report_data(statement.backend, statement.las_key_id, evidence.node->nonce));
  const std::string found = value_of(result, "node_report_data");
  if (!result.checks.require("node: its evidence binds the LAS key", found == wanted, wanted, found)) {
    result.conclusion = Conclusion::kInvalid;
  }
  return result;
}

void describe(VerificationResult& result, const ProcessEvidence& evidence) {
  const auto& statement = evidence.statement;
  result.format = std::string("process-evidence-") + evidence::name_of(statement.backend);
  result.measurements.insert(result.measurements.begin(),
                             {{"measurement", to_hex(statement.measurement)},
                              {"purpose", std::string(evidence::name_of(statement.purpose))},
                              {"nonce_digest", to_hex(statement.nonce_digest)},
                              {"las_key_id", to_hex(statement.las_key_id)},
                              {"caller_checks", std::uint64_t{statement.caller_checks}},
                              {"issued_at", statement.issued_at}});
}

}  // namespace

namespace {
constexpr Moment kKeptSeconds = 600;
constexpr std::size_t kKeptVerdicts = 4096;
}  // namespace

std::optional<VerificationResult> NodeVerdicts::find(const Key& key, Moment now) const {
  const std::shared_lock lock(mutex_);
  const auto found = kept_.find(key);
  if (found == kept_.end()) return std::nullopt;
  const Kept& kept = found->second;
  const bool is_fresh = now >= kept.at && now - kept.at <= kKeptSeconds && kept.result.window.contains(now);
  return is_fresh ? std::optional(kept.result) : std::nullopt;
}

void NodeVerdicts::keep(const Key& key, const VerificationResult& result, Moment now) {
  if (result.conclusion != Conclusion::kVerified) return;
  const std::unique_lock lock(mutex_);
  if (kept_.size() >= kKeptVerdicts && !kept_.contains(key)) kept_.clear();
  kept_.insert_or_assign(key, Kept{result, now});
}

VerificationResult verify_process_evidence(crypto::ByteView bytes, const crypto::Bytes* nonce,
                                           const NodeEndorsements& endorsements, const TrustAnchors& anchors,
                                           Moment now) {
  VerificationResult result;
  const Result<ProcessEvidence> evidence = evidence::parse_process_evidence(bytes);
  if (!evidence) {
    result.conclusion = Conclusion::kParseError;
    result.parse_error = evidence.error().message();
    return result;
  }
  const auto& statement = evidence.value().statement;
  const bool is_simulation = statement.backend == LasBackend::kSimulation;
  if (is_simulation) {
    result.platform = Platform::kSimulation;
    result.conclusion = Conclusion::kVerified;
    result.simulation_key = to_hex(statement.las_key_id);
    result.platform_id = result.simulation_key;
  } else {
    result = check_node(evidence.value(), endorsements, anchors, now);
  }
  describe(result, evidence.value());
  const Result<void> checked = evidence::check_process_evidence(evidence.value());
  result.checks.require("statement: signed by the LAS key that it names", checked.has_value(), "a good signature",
                        checked ? "a good signature" : checked.error().message());
  if (nonce != nullptr) {
    const auto wanted = evidence::statement_nonce_digest(statement.purpose, *nonce);
    result.checks.require("statement: nonce", statement.nonce_digest == wanted, to_hex(wanted),
                          to_hex(statement.nonce_digest));
  }
  if (!result.checks.all_passed() && result.conclusion != Conclusion::kParseError) {
    result.conclusion = Conclusion::kInvalid;
  }
  return result;
}

}  // namespace casemate::attest
