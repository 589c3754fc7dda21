// Changes that wait: for signatures of approvers, for objections, for the end of a time lock.
//
// A proposal is named by the hash of the version that it proposes, which binds session, predecessor and content. Every
// step is in the log: the proposal, each decision with its signature, and the change itself with all of them.
#include <algorithm>

#include "cas/sessions/registry_internal.h"
#include "cas/sessions/tables.h"

namespace casemate::cas {

using internal::hex;

namespace {

Refusal no_such_proposal() {
  return Refusal(RefusalKind::kNotFound, "there is no such proposal, or this caller may not know of it",
                 "`casemate session proposals` lists them");
}

bool is_same(const policy::SignedDecision& left, const policy::SignedDecision& right) {
  return left.decision == right.decision && left.signer == right.signer;
}

// A key's newer signature of the same kind replaces its older one.
void add_decision(std::vector<policy::SignedDecision>& all, const policy::SignedDecision& decision) {
  const auto old = std::find_if(all.begin(), all.end(), [&](const auto& one) { return is_same(one, decision); });
  if (old == all.end()) {
    all.push_back(decision);
  } else {
    *old = decision;
  }
}

Result<std::optional<ProposalRecord>> load(const Snapshot& snapshot, const std::string& id) {
  const auto row = CASEMATE_TRY(snapshot.find(number_of(Table::kProposals), id));
  if (!row) return std::optional<ProposalRecord>();
  ProposalRecord record = CASEMATE_TRY(decode_proposal_record(row->value.expose()));
  return std::optional<ProposalRecord>(std::move(record));
}

RowChange row_of(const std::string& id, const ProposalRecord& record, std::uint64_t expected_version) {
  return {number_of(Table::kProposals), id, record.session, encode(record), expected_version};
}

void log_decision(const std::string& id, const ProposalRecord& record, const policy::SignedDecision& decision,
                  Change& change) {
  change.log(ApprovalGiven{record.session, digest_from_hex(id), record.predecessor, to_approval(decision)});
}

}  // namespace

Outcome<Proposal> SessionRegistry::judge(const Snapshot& snapshot, const std::string& id, ProposalRecord record) const {
  Proposal proposal;
  proposal.id = id;
  const StoredSessionPointer stored = CASEMATE_TRY(parsed_->complete(snapshot, record.session));
  const auto current = stored ? std::optional<Digest>(stored->record.hash) : std::nullopt;
  proposal.is_outdated = current != record.predecessor;
  if (!proposal.is_outdated) {
    const Candidate candidate = CASEMATE_TRY(examine(snapshot, {record.session, record.text, {}, "", BreakGlass::kNo}));
    const Authority authority = CASEMATE_TRY(authority_over(snapshot, candidate, BreakGlass::kNo));
    proposal.verdict = evaluate(candidate, authority, record);
  }
  proposal.record = std::move(record);
  return proposal;
}

bool SessionRegistry::takes_part(const Snapshot& snapshot, const Proposal& proposal,
                                 const policy::Caller& caller) const {
  if (caller.key_hash.empty()) return false;
  const ProposalRecord& record = proposal.record;
  if (caller.key_hash == hex(record.proposer) || may_read(record.session, caller)) return true;
  auto candidate = examine(snapshot, {record.session, record.text, {}, "", BreakGlass::kNo});
  if (!candidate) return false;
  const auto authority = authority_over(snapshot, candidate.value(), BreakGlass::kNo);
  return authority && internal::names_key(authority.value().rule, caller.key_hash, authority.value().creator);
}

// Proposals that can never be accepted any more make room for new ones.
Outcome<Done> SessionRegistry::make_room(const Snapshot& snapshot, const std::string& session, Change& change) const {
  std::size_t all = 0, of_session = 0;
  const std::uint64_t now = now_ms();
  const auto visited =
      snapshot.for_each(number_of(Table::kProposals), [&](const std::string& id, const StoredRow& row) -> Result<void> {
        const ProposalRecord record = CASEMATE_TRY(decode_proposal_record(row.value.expose()));
        const StoredSessionPointer stored = CASEMATE_TRY(parsed_->plain(snapshot, record.session));
        const auto current = stored ? std::optional<Digest>(stored->record.hash) : std::nullopt;
        if (record.expires < now || current != record.predecessor) {
          change.rows.push_back({number_of(Table::kProposals), id, "", std::nullopt, row.version});
          return {};
        }
        ++all;
        of_session += record.session == session;
        return {};
      });
  if (!visited) return visited.error();
  if (all < options_.most_proposals && of_session < options_.most_proposals_of_session) return Done{};
  return Refusal(RefusalKind::kLimit, "too many proposals wait for session `" + session + "` or on this CAS",
                 "withdraw some: `casemate session withdraw ID`");
}

Outcome<ProposalStep> SessionRegistry::accept(const std::string& id, const Candidate& candidate,
                                              const Authority& authority, ProposalRecord record, Change change) {
  Change accepted = change_of(candidate, authority, record);
  for (RowChange& row : accepted.rows) change.rows.push_back(std::move(row));
  for (RowCheck& check : accepted.checks) change.checks.push_back(std::move(check));
  for (EntryMaker& entry : accepted.entries) change.entries.push_back(std::move(entry));
  ProposalStep step;
  step.accepted = CASEMATE_TRY(commit(std::move(change), candidate));
  step.proposal.id = id;
  step.proposal.verdict = evaluate(candidate, authority, record);
  step.proposal.record = std::move(record);
  return step;
}

Outcome<ProposalStep> SessionRegistry::propose(const NewVersion& version, const policy::Caller& caller) {
  return internal::again_after_races([&] { return try_propose(version, caller); });
}

Outcome<ProposalStep> SessionRegistry::try_propose(const NewVersion& version, const policy::Caller& caller) {
  const Snapshot snapshot = store_.snapshot();
  CASEMATE_TRY(require_part(snapshot, version.name, caller, BreakGlass::kNo));
  const Candidate candidate = CASEMATE_TRY(examine(snapshot, version));
  const Authority authority = CASEMATE_TRY(authority_over(snapshot, candidate, BreakGlass::kNo));
  const auto current = candidate.stored ? std::optional<std::string>(hex(candidate.stored->record.hash)) : std::nullopt;
  if (candidate.session.predecessor != current) {
    return Refusal(RefusalKind::kConflict,
                   "`predecessor` is not the stored version, which is " + current.value_or("none"),
                   "read the stored version, apply your change to it, then name that hash");
  }
  CASEMATE_TRY(check_decisions(candidate, authority, version.decisions));
  const std::string id = hex(candidate.hash);
  if (const auto known = CASEMATE_TRY(load(snapshot, id))) {
    ProposalStep step;
    step.proposal = CASEMATE_TRY(judge(snapshot, id, *known));
    return step;
  }
  ProposalRecord record;
  record.session = version.name;
  record.text = version.text;
  if (candidate.stored) record.predecessor = candidate.stored->record.hash;
  record.proposer = digest_from_hex(caller.key_hash);
  record.certificate = CASEMATE_TRY(crypto::from_hex(caller.certificate_hex));
  record.proposed_at = now_ms();
  record.expires = record.proposed_at + options_.proposal_lifetime_ms;
  for (const policy::SignedDecision& decision : version.decisions) add_decision(record.decisions, decision);
  Change change;
  change.log(Administration{"change proposed", version.name + " " + id, record.proposer, {}});
  for (const policy::SignedDecision& decision : record.decisions) log_decision(id, record, decision, change);
  const policy::Verdict verdict = evaluate(candidate, authority, record);
  if (verdict.outcome == policy::Outcome::kGranted) {
    return accept(id, candidate, authority, std::move(record), std::move(change));
  }
  CASEMATE_TRY(make_room(snapshot, version.name, change));
  change.rows.push_back(row_of(id, record, kAbsent));
  static_cast<void>(CASEMATE_TRY(store_.commit(std::move(change))));
  return ProposalStep{Proposal{id, std::move(record), verdict, false}, std::nullopt};
}

Outcome<Proposal> SessionRegistry::read_proposal(const std::string& id, const policy::Caller& caller) const {
  const Snapshot snapshot = store_.snapshot();
  auto record = CASEMATE_TRY(load(snapshot, id));
  if (!record) return no_such_proposal();
  Proposal proposal = CASEMATE_TRY(judge(snapshot, id, std::move(*record)));
  if (!takes_part(snapshot, proposal, caller)) return no_such_proposal();
  return proposal;
}

Outcome<std::vector<Proposal>> SessionRegistry::list_proposals(const std::string& session,
                                                               const policy::Caller& caller) const {
  const Snapshot snapshot = store_.snapshot();
  std::vector<std::pair<std::string, ProposalRecord>> records;
  const auto visited =
      snapshot.for_each(number_of(Table::kProposals), [&](const std::string& id, const StoredRow& row) -> Result<void> {
        ProposalRecord record = CASEMATE_TRY(decode_proposal_record(row.value.expose()));
        if (session.empty() || record.session == session) records.emplace_back(id, std::move(record));
        return {};
      });
  if (!visited) return visited.error();
  std::vector<Proposal> proposals;
  for (auto& [id, record] : records) {
    auto proposal = judge(snapshot, id, std::move(record));
    if (proposal && takes_part(snapshot, proposal.value(), caller)) proposals.push_back(std::move(proposal).value());
  }
  std::sort(proposals.begin(), proposals.end(), [](const Proposal& left, const Proposal& right) {
    return left.record.proposed_at < right.record.proposed_at;
  });
  return proposals;
}

Outcome<ProposalStep> SessionRegistry::decide(const std::string& id, const policy::SignedDecision& decision) {
  return internal::again_after_races([&] { return try_step(id, &decision); });
}

Outcome<ProposalStep> SessionRegistry::apply(const std::string& id, const policy::Caller& caller) {
  const Proposal proposal = CASEMATE_TRY(read_proposal(id, caller));
  static_cast<void>(proposal);
  return internal::again_after_races([&] { return try_step(id, nullptr); });
}

Outcome<ProposalStep> SessionRegistry::try_step(const std::string& id, const policy::SignedDecision* decision) {
  const Snapshot snapshot = store_.snapshot();
  auto loaded = CASEMATE_TRY(load(snapshot, id));
  if (!loaded) return no_such_proposal();
  ProposalRecord record = std::move(*loaded);
  const std::uint64_t row_version = snapshot.version_of(number_of(Table::kProposals), id);
  if (record.expires < now_ms()) {
    return Refusal(RefusalKind::kConflict, "the proposal has expired", "propose the change again");
  }
  const Candidate candidate = CASEMATE_TRY(examine(snapshot, {record.session, record.text, {}, "", BreakGlass::kNo}));
  const auto current = candidate.stored ? std::optional<Digest>(candidate.stored->record.hash) : std::nullopt;
  if (current != record.predecessor) {
    return Refusal(RefusalKind::kConflict, "session `" + record.session + "` was changed since this was proposed",
                   "read the stored version, apply the change to it, and propose that");
  }
  const Authority authority = CASEMATE_TRY(authority_over(snapshot, candidate, BreakGlass::kNo));
  Change change;
  if (decision != nullptr) {
    CASEMATE_TRY(check_decisions(candidate, authority, {*decision}));
    add_decision(record.decisions, *decision);
    log_decision(id, record, *decision, change);
  }
  const policy::Verdict verdict = evaluate(candidate, authority, record);
  if (verdict.outcome == policy::Outcome::kGranted) {
    change.rows.push_back({number_of(Table::kProposals), id, "", std::nullopt, row_version});
    return accept(id, candidate, authority, std::move(record), std::move(change));
  }
  if (decision == nullptr) return internal::refusal_of(verdict, "the change of `" + record.session + "`");
  change.rows.push_back(row_of(id, record, row_version));
  static_cast<void>(CASEMATE_TRY(store_.commit(std::move(change))));
  return ProposalStep{Proposal{id, std::move(record), verdict, false}, std::nullopt};
}

Outcome<Done> SessionRegistry::withdraw(const std::string& id, const policy::Caller& caller) {
  const Snapshot snapshot = store_.snapshot();
  const Proposal proposal = CASEMATE_TRY(read_proposal(id, caller));
  const StoredSessionPointer stored = CASEMATE_TRY(parsed_->plain(snapshot, proposal.record.session));
  const bool is_creator = stored && caller.key_hash == hex(stored->record.creator);
  if (!is_creator && caller.key_hash != hex(proposal.record.proposer)) {
    return Refusal(RefusalKind::kForbidden, "only the proposer or who created the session withdraws a proposal",
                   "to object, sign with --reject");
  }
  Change change;
  change.rows.push_back(
      {number_of(Table::kProposals), id, "", std::nullopt, snapshot.version_of(number_of(Table::kProposals), id)});
  change.log(
      Administration{"proposal withdrawn", proposal.record.session + " " + id, digest_from_hex(caller.key_hash), {}});
  static_cast<void>(CASEMATE_TRY(store_.commit(std::move(change))));
  return Done{};
}

}  // namespace casemate::cas
