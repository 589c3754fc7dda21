// The life of sessions: created, read, updated and removed over the store, under the rules that the sessions state.
//
// Every accepted change is durable and in the log before it is answered. The rule of the *stored* version decides; for
// a session that does not exist yet, `create_sessions` of its parent. A change that needs more approvals than come with
// it can wait as a proposal (propose, decide, apply).
//
// What a hostile client can do here -> what we answer
//   overwrite a version that it did not see  -> the predecessor is part of the text: conflict
//   race two updates                         -> the row's version is checked again in the commit: one wins
//   import what is not exported to it        -> refused here, and again when a service starts
//   learn which sessions exist               -> one that it may not read is answered as one that does not exist
//   replay or forge approvals                -> policy/approval.h; the log id and both hashes are signed
//   fill the store                           -> texts, proposals and decisions are limited
//
// Time is the host's, but never below the newest logged time.
#pragma once

#include <condition_variable>
#include <memory>
#include <optional>
#include <set>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include "cas/sessions/parsed_sessions.h"
#include "cas/sessions/records.h"
#include "cas/sessions/refusal.h"
#include "cas/store/store.h"
#include "policy/approval.h"
#include "policy/session.h"

namespace casemate::cas {

enum class TopLevel { kOwnerOnly, kAnyone };

struct RegistryOptions {
  // Who may create sessions that have no parent.
  TopLevel top_level = TopLevel::kOwnerOnly;
  std::size_t most_proposals_of_session = 16;
  std::uint64_t proposal_lifetime_ms = 30ULL * 24 * 3600 * 1000;
  std::size_t most_proposals = 1000;
  // Sessions are kept parsed as long as their texts have at most so many bytes together.
  std::size_t most_parsed_bytes = 32 << 20;
  WallClock clock = system_time;
};

enum class BreakGlass { kNo, kYes };

// A new version, with what its author has collected.
struct NewVersion {
  std::string name, text;
  std::vector<policy::SignedDecision> decisions;
  // When given: the stored version must have this hash, 64 hex digits.
  std::string expected_hash;
  BreakGlass break_glass = BreakGlass::kNo;
};

struct AcceptedChange {
  bool created = false;
  bool unchanged = false;  // this very version is the stored one: a repeated request
  std::uint64_t version = 0;
  Digest hash{};
  std::optional<Receipt> receipt;  // of the log entry; none when unchanged
  std::vector<policy::Diagnostic> warnings;
};

struct SessionPage {
  std::vector<std::string> names;
  std::string next;  // begin the next page after this name; empty: that was all
};

// What has to be decided about a change, and how it stands.
struct Proposal {
  std::string id;  // the proposed version's hash, 64 hex digits
  ProposalRecord record;
  policy::Verdict verdict;
  bool is_outdated = false;  // the stored version is another one than its predecessor
};

struct ProposalStep {
  Proposal proposal;
  std::optional<AcceptedChange> accepted;  // when the rule was satisfied
};

// Threads: any number at once. Changes block until they are durable; reads never wait for changes.
class SessionRegistry {
 public:
  ~SessionRegistry();
  // `store` must outlive it. Returns before the names of all sessions are known, which takes opening every session's
  // row: list() and remove() wait for them, and answer with the error when one of the rows does not open.
  static Result<std::unique_ptr<SessionRegistry>> open(Store& store, const RegistryOptions& options);

  // Waits for what is done beside requests; afterwards the registry uses the store only when it is called.
  void finish();

  // The current version, for the parts of the CAS that act for sessions. Null when there is none. Errors: kFormat.
  Result<StoredSessionPointer> find(const std::string& name) const;

  Outcome<StoredSessionPointer> read(const std::string& name, const policy::Caller& caller) const;
  // At most `limit` names that the caller may read, in order, behind `after`.
  Outcome<SessionPage> list(const std::string& after, std::size_t limit, const policy::Caller& caller) const;
  Outcome<AcceptedChange> put(const NewVersion& version, const policy::Caller& caller);
  // `expected_hash`: of the stored version, 64 hex digits. Only without children.
  Outcome<AcceptedChange> remove(const std::string& name, const std::string& expected_hash,
                                 const policy::Caller& caller);

  // Makes a proposal durable; applies it at once when nothing is missing.
  Outcome<ProposalStep> propose(const NewVersion& version, const policy::Caller& caller);
  Outcome<Proposal> read_proposal(const std::string& id, const policy::Caller& caller) const;
  // All that wait and that the caller may see; of one session when `session` is not empty.
  Outcome<std::vector<Proposal>> list_proposals(const std::string& session, const policy::Caller& caller) const;
  // Adds a signed approval or objection, whoever brings it, and applies the change when the rule is then satisfied.
  Outcome<ProposalStep> decide(const std::string& id, const policy::SignedDecision& decision);
  // For one whose time lock has passed.
  Outcome<ProposalStep> apply(const std::string& id, const policy::Caller& caller);
  // By the proposer or who created the session.
  Outcome<Done> withdraw(const std::string& id, const policy::Caller& caller);

  // Whether the caller may read the session, also one that is gone (then only the owner).
  bool may_read(const std::string& name, const policy::Caller& caller) const;
  // Whether the caller is one of those who decide about the session: its creator, or named by its update rule. Of one
  // that is not there: the owner of the CAS.
  bool is_session_owner(const std::string& name, const policy::Caller& caller) const;
  bool is_owner(const policy::Caller& caller) const;
  std::uint64_t now_ms() const;
  std::size_t session_count() const;
  std::string log_id() const;

 private:
  struct Candidate;
  struct Authority;

  SessionRegistry(Store& store, const RegistryOptions& options) : store_(store), options_(options) {}
  Outcome<StoredSessionPointer> require_readable(const Snapshot& snapshot, const std::string& name,
                                                 const policy::Caller& caller) const;
  Outcome<Done> require_part(const Snapshot& snapshot, const std::string& name, const policy::Caller& caller,
                             BreakGlass break_glass) const;
  Outcome<Candidate> examine(const Snapshot& snapshot, const NewVersion& version) const;
  Outcome<Authority> authority_over(const Snapshot& snapshot, const Candidate& candidate, BreakGlass break_glass) const;
  Outcome<Done> check_decisions(const Candidate& candidate, const Authority& authority,
                                const std::vector<policy::SignedDecision>& decisions) const;
  policy::Verdict evaluate(const Candidate& candidate, const Authority& authority, const ProposalRecord& record) const;
  Change change_of(const Candidate& candidate, const Authority& authority, const ProposalRecord& record) const;
  Outcome<AcceptedChange> commit(Change change, const Candidate& candidate);
  Outcome<AcceptedChange> try_put(const NewVersion& version, const policy::Caller& caller);
  Outcome<AcceptedChange> try_remove(const std::string& name, const std::string& expected_hash,
                                     const policy::Caller& caller);
  Outcome<ProposalStep> try_propose(const NewVersion& version, const policy::Caller& caller);
  Outcome<ProposalStep> try_step(const std::string& id, const policy::SignedDecision* decision);
  Outcome<ProposalStep> accept(const std::string& id, const Candidate& candidate, const Authority& authority,
                               ProposalRecord record, Change change);
  Outcome<Done> make_room(const Snapshot& snapshot, const std::string& session, Change& change) const;
  Outcome<Proposal> judge(const Snapshot& snapshot, const std::string& id, ProposalRecord record) const;
  bool takes_part(const Snapshot& snapshot, const Proposal& proposal, const policy::Caller& caller) const;
  void learn_names(const Snapshot& snapshot);
  Result<void> wait_for_names(std::shared_lock<std::shared_mutex>& lock) const;
  Result<bool> has_children(const std::string& name) const;
  void note_name(const std::string& name);
  void note_name_locked(const std::string& name);  // names_mutex_ is held

  Store& store_;
  RegistryOptions options_;
  std::unique_ptr<ParsedSessions> parsed_;
  mutable std::shared_mutex names_mutex_;
  mutable std::condition_variable_any names_known_;
  std::set<std::string> names_;               // of all sessions: a store's snapshot has no order
  std::optional<Result<void>> names_learnt_;  // how it went; until then names_ is incomplete
  std::vector<std::string> changed_meanwhile_;
  std::thread learner_;
};

// The owner of the CAS: SHA-256 of the key, once claimed.
Result<std::optional<Digest>> owner_of(const Snapshot& snapshot);
inline constexpr const char* kOwnerRow = "owner";

// What a signature says, as the log keeps it.
Approval to_approval(const policy::SignedDecision& decision);
// 64 hex digits; all zero for none.
Digest digest_from_hex(const std::string& hex);

}  // namespace casemate::cas
