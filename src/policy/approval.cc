#include "policy/approval.h"

#include <algorithm>
#include <set>

#include "crypto/hash.h"
#include "policy/canonical.h"
#include "policy/describe.h"
#include "policy/moment.h"

namespace casemate::policy {
namespace {

constexpr std::string_view kLabels[] = {"casemate session approval v1", "casemate session rejection v1"};
constexpr std::size_t kHashSize = 32;

void append_number(crypto::Bytes& bytes, std::uint64_t number, unsigned size) {
  for (unsigned i = size; i-- > 0;) bytes.push_back(static_cast<std::byte>(number >> (8 * i)));
}

Result<void> append_hash(crypto::Bytes& bytes, const std::string& hex, const char* what) {
  Result<crypto::Bytes> raw = crypto::from_hex(hex);
  if (!raw || raw.value().size() != kHashSize) {
    return Error(ErrorCategory::kFormat, std::string(what) + " is not 64 hex digits");
  }
  crypto::append(bytes, raw.value());
  return {};
}

std::optional<crypto::SignatureScheme> scheme_of(crypto::KeyKind kind) {
  switch (kind) {
    case crypto::KeyKind::kEd25519:
      return crypto::SignatureScheme::kEd25519;
    case crypto::KeyKind::kEcP256:
      return crypto::SignatureScheme::kEcdsaP256Sha256;
    case crypto::KeyKind::kEcP384:
      return crypto::SignatureScheme::kEcdsaP384Sha384;
    case crypto::KeyKind::kRsa:
      break;
  }
  return std::nullopt;
}

bool contains(const std::vector<std::string>& all, const std::string& one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

// What became of the decisions: whose approvals and objections count.
struct Ballot {
  std::vector<std::string> approvers, objectors;  // key hashes
  std::vector<std::string> explanation;
};

Ballot count(const ApprovalInput& input) {
  Ballot ballot;
  for (const SignedDecision& decision : input.decisions) {
    const std::string key = crypto::to_hex(crypto::sha256(decision.signer));
    const bool approves = decision.decision == Decision::kApprove;
    const std::string who = std::string(approves ? "approval" : "objection") + " of " + key.substr(0, 16);
    if (!verify_decision(input.change, decision)) {
      ballot.explanation.push_back(who + " does not count: the signature is not for this change");
    } else if (decision.not_after < input.now) {
      ballot.explanation.push_back(who + " does not count: it expired at " + moment_text(decision.not_after));
    } else if (std::vector<std::string>& list = approves ? ballot.approvers : ballot.objectors; !contains(list, key)) {
      list.push_back(key);
      ballot.explanation.push_back(who + " is good until " + moment_text(decision.not_after));
    }
  }
  return ballot;
}

// People behind the members that hold: a nested quorum and CREATOR may be the same one. A caller without a key counts.
std::size_t distinct_count(const std::vector<std::vector<std::string>>& witnesses) {
  std::set<std::string> keys;
  std::size_t nameless = 0;
  for (const std::vector<std::string>& witness : witnesses) {
    if (witness.empty()) ++nameless;
    keys.insert(witness.begin(), witness.end());
  }
  return keys.size() + nameless;
}

class Evaluation {
 public:
  Evaluation(const ApprovalInput& input, Ballot ballot) : input_(input), ballot_(std::move(ballot)) {}

  // The outcome of one alternative; `counted` grows by the keys that made it true.
  Outcome outcome_of(const AccessTerm& term, std::vector<std::string>& counted) const;

 private:
  bool holds(const AccessTerm& term, std::vector<std::string>& counted) const;
  bool is_reached(const AccessTerm& quorum, std::vector<std::string>& counted) const;
  // By signature or as the caller; counted once.
  bool acts(const std::string& key, std::vector<std::string>& counted) const;

  const ApprovalInput& input_;
  Ballot ballot_;
};

bool Evaluation::acts(const std::string& key, std::vector<std::string>& counted) const {
  if (key.empty() || (!contains(ballot_.approvers, key) && input_.caller.key_hash != key)) return false;
  if (!contains(counted, key)) counted.push_back(key);
  return true;
}

bool Evaluation::holds(const AccessTerm& term, std::vector<std::string>& counted) const {
  switch (term.kind) {
    case TermKind::kAny:
      return true;
    case TermKind::kNone:
      return false;
    case TermKind::kCreator:
      return acts(input_.creator_key_hash, counted);
    case TermKind::kKeyHash:
      return acts(term.identity, counted);
    case TermKind::kCertificate:
      if (input_.caller.certificate_hex.empty() || input_.caller.certificate_hex != term.identity) return false;
      return input_.caller.key_hash.empty() || acts(input_.caller.key_hash, counted);
    case TermKind::kSigner: {
      const std::string key = key_hash(term.identity);
      if (!contains(ballot_.approvers, key)) return false;
      if (!contains(counted, key)) counted.push_back(key);
      return true;
    }
    case TermKind::kQuorum:
      break;
  }
  return is_reached(term, counted);
}

// Members that stand for the same key count once: CREATOR and a signer may be one person.
bool Evaluation::is_reached(const AccessTerm& quorum, std::vector<std::string>& counted) const {
  std::vector<std::vector<std::string>> witnesses;
  for (const AccessTerm& member : quorum.of) {
    std::vector<std::string> keys;
    if (!holds(member, keys)) continue;
    const bool is_person = member.kind != TermKind::kQuorum && !keys.empty();
    const bool is_known =
        is_person && std::any_of(witnesses.begin(), witnesses.end(), [&](const auto& other) { return other == keys; });
    if (!is_known) witnesses.push_back(std::move(keys));
  }
  if (witnesses.size() < quorum.at_least || distinct_count(witnesses) < quorum.at_least) return false;
  for (const std::vector<std::string>& keys : witnesses) {
    for (const std::string& key : keys) {
      if (!contains(counted, key)) counted.push_back(key);
    }
  }
  return true;
}

Outcome Evaluation::outcome_of(const AccessTerm& term, std::vector<std::string>& counted) const {
  for (const AccessTerm& member : term.veto) {
    if (contains(ballot_.objectors, key_hash(member.identity))) return Outcome::kVetoed;
  }
  if (!holds(term, counted)) return Outcome::kMissing;
  const bool is_over =
      term.time_lock == 0 || (input_.now >= input_.proposed_at && input_.now - input_.proposed_at >= term.time_lock);
  return is_over ? Outcome::kGranted : Outcome::kWaiting;
}

std::string sentence(Outcome outcome, const std::string& term, std::uint64_t effective_at) {
  switch (outcome) {
    case Outcome::kGranted:
      return term + ": satisfied";
    case Outcome::kWaiting:
      return term + ": enough approvals, but the time lock ends at " + moment_text(effective_at);
    case Outcome::kVetoed:
      return term + ": vetoed";
    case Outcome::kMissing:
      break;
  }
  return term + ": not satisfied";
}

}  // namespace

Result<crypto::Bytes> signed_bytes(const Change& change, Decision decision, std::uint64_t not_after) {
  crypto::Bytes bytes = crypto::to_bytes(crypto::as_byte_view(kLabels[static_cast<std::size_t>(decision)]));
  bytes.push_back(std::byte{0});
  if (Result<void> done = append_hash(bytes, change.log_id, "the log id"); !done) return done.error();
  append_number(bytes, change.session.size(), 4);
  crypto::append(bytes, crypto::as_byte_view(change.session));
  if (Result<void> done = append_hash(bytes, change.hash, "the session's hash"); !done) return done.error();
  append_number(bytes, change.predecessor ? 1 : 0, 1);
  const std::string none(2 * kHashSize, '0');
  if (Result<void> done = append_hash(bytes, change.predecessor.value_or(none), "the predecessor"); !done)
    return done.error();
  append_number(bytes, not_after, 8);
  return bytes;
}

Result<SignedDecision> sign_decision(const Change& change, Decision decision, std::uint64_t not_after,
                                     const crypto::PrivateKey& key) {
  const std::optional<crypto::SignatureScheme> scheme = scheme_of(key.public_key().kind());
  if (!scheme) return Error(ErrorCategory::kUsage, "approvals are signed with Ed25519 or ECDSA (P-256, P-384) keys");
  const crypto::Bytes message = CASEMATE_TRY(signed_bytes(change, decision, not_after));
  SignedDecision made{decision, key.public_key().to_subject_public_key_info(), not_after, {}};
  made.signature = CASEMATE_TRY(key.sign(*scheme, message));
  return made;
}

bool verify_decision(const Change& change, const SignedDecision& decision) {
  Result<crypto::PublicKey> key = crypto::PublicKey::from_subject_public_key_info(decision.signer);
  const std::optional<crypto::SignatureScheme> scheme = key ? scheme_of(key.value().kind()) : std::nullopt;
  Result<crypto::Bytes> message = signed_bytes(change, decision.decision, decision.not_after);
  return scheme && message && key.value().verify(*scheme, message.value(), decision.signature);
}

Verdict evaluate(const AccessRule& rule, const ApprovalInput& input) {
  Verdict verdict;
  Ballot ballot = count(input);
  verdict.explanation = ballot.explanation;
  verdict.outcome = Outcome::kVetoed;
  bool is_first = true;
  const Evaluation evaluation(input, std::move(ballot));
  for (const AccessTerm& term : rule) {
    std::vector<std::string> counted;
    const Outcome outcome = evaluation.outcome_of(term, counted);
    const std::uint64_t effective_at = input.proposed_at + term.time_lock;
    const Value form = canonical_rule({term});
    verdict.explanation.push_back(sentence(outcome, describe_term(form.list()->front()), effective_at));
    const bool is_earlier =
        outcome == Outcome::kWaiting && verdict.outcome == Outcome::kWaiting && effective_at < verdict.effective_at;
    if (!is_first && outcome >= verdict.outcome && !is_earlier) continue;
    is_first = false;
    verdict.outcome = outcome;
    verdict.effective_at = effective_at;
    verdict.counted = std::move(counted);
  }
  if (rule.empty()) verdict.outcome = Outcome::kMissing;
  return verdict;
}

namespace {

AccessRule or_creator(const std::optional<AccessRule>& rule) {
  if (rule) return *rule;
  AccessTerm creator;
  creator.kind = TermKind::kCreator;
  return {creator};
}

}  // namespace

AccessRule read_rule(const AccessPolicy& policy) { return or_creator(policy.read); }
AccessRule update_rule(const AccessPolicy& policy) { return or_creator(policy.update); }
AccessRule create_rule(const AccessPolicy& policy) {
  return policy.create_sessions ? *policy.create_sessions : update_rule(policy);
}

}  // namespace casemate::policy
