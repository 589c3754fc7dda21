#include "cas/sessions/registry.h"

#include <algorithm>

#include "cas/sessions/registry_internal.h"
#include "cas/sessions/tables.h"
#include "policy/canonical.h"
#include "policy/check.h"
#include "policy/describe.h"
#include "policy/names.h"
#include "policy/parse.h"
#include "policy/yaml_tree.h"

namespace casemate::cas {
namespace internal {
namespace {

bool term_names_key(const policy::AccessTerm& term, const std::string& key_hash, const std::string& creator) {
  switch (term.kind) {
    case policy::TermKind::kAny:
      return true;
    case policy::TermKind::kNone:
      return false;
    case policy::TermKind::kCreator:
      return key_hash == creator;
    case policy::TermKind::kKeyHash:
      return key_hash == term.identity;
    case policy::TermKind::kCertificate:
      return false;  // compared with the whole certificate, by whoever evaluates
    case policy::TermKind::kSigner:
      return key_hash == policy::key_hash(term.identity);
    case policy::TermKind::kQuorum:
      break;
  }
  return names_key(term.of, key_hash, creator) || names_key(term.veto, key_hash, creator);
}

std::string history_row_key(const std::string& session, std::uint64_t version) {
  std::string number(8, '\0');
  for (std::size_t i = 0; i < number.size(); ++i) number[i] = static_cast<char>(version >> (8 * (7 - i)));
  return session_row_key(session, number);
}

// Generated secrets that the next version has no use for, or gets anew.
bool is_kept(const policy::Secret& old, const policy::Session& next) {
  const policy::Secret* secret = next.find_secret(old.name);
  return secret != nullptr && secret->is_generated() && secret->survives_update(next.version) &&
         secret->kind == old.kind && secret->size == old.size && secret->key_type == old.key_type;
}

RowChange removal(Table table, std::string key) { return {number_of(table), std::move(key), "", std::nullopt, {}}; }

void forget_secrets(const policy::Session& stored, const policy::Session* next, Change& change) {
  for (const policy::Secret& secret : stored.secrets) {
    if (!secret.is_generated() || (next != nullptr && is_kept(secret, *next))) continue;
    change.rows.push_back(removal(Table::kSecrets, session_row_key(stored.name, secret.name)));
  }
}

policy::AccessRule rule_of_one(policy::TermKind kind, const std::string& identity) {
  policy::AccessTerm term;
  term.kind = kind;
  term.identity = identity;
  return {term};
}

Refusal findings_refusal(const policy::Diagnostics& diagnostics, const std::string& name) {
  const std::size_t count = diagnostics.error_count();
  Refusal refusal(RefusalKind::kMalformed,
                  "session `" + name + "` has " + std::to_string(count) + (count == 1 ? " error" : " errors"),
                  "correct what is listed; `casemate session check FILE` finds most of it without the CAS");
  for (const policy::Diagnostic& one : diagnostics.all()) {
    if (one.severity == policy::Severity::kError) refusal.findings.push_back(one);
  }
  return refusal;
}

void check_imports_exist(const policy::Session& session, const policy::KnownSessions& known,
                         policy::Diagnostics& diagnostics) {
  const auto check = [&](const auto& one, const char* what) {
    if (!one.import || known.contains(one.import->session)) return;
    diagnostics.error(one.import->where,
                      std::string(what) + " `" + one.name + "` is imported from session `" + one.import->session +
                          "`, which does not exist on this CAS",
                      "create that session first, with an export to `" + session.name + "`");
  };
  for (const policy::Secret& secret : session.secrets) check(secret, "secret");
  for (const policy::Volume& volume : session.volumes) check(volume, "volume");
}

Refusal predecessor_conflict(const std::string& name, const std::string& stored_hash,
                             const std::optional<std::string>& predecessor) {
  if (!predecessor) {
    return Refusal(RefusalKind::kConflict, "session `" + name + "` exists, and this version names no predecessor",
                   "write predecessor: " + stored_hash + " if you know what the stored version says");
  }
  return Refusal(
      RefusalKind::kConflict,
      "`predecessor` is " + *predecessor + ", but the stored version of session `" + name + "` is " + stored_hash,
      "somebody changed it meanwhile: read the stored version, apply your change to it, then name that hash");
}

}  // namespace

bool names_key(const policy::AccessRule& rule, const std::string& key_hash, const std::string& creator) {
  return !key_hash.empty() && std::any_of(rule.begin(), rule.end(), [&](const policy::AccessTerm& term) {
    return term_names_key(term, key_hash, creator);
  });
}

Refusal refusal_of(const policy::Verdict& verdict, const std::string& what) {
  const bool is_vetoed = verdict.outcome == policy::Outcome::kVetoed;
  const bool is_waiting = verdict.outcome == policy::Outcome::kWaiting;
  Refusal refusal(RefusalKind::kForbidden, what + (is_vetoed    ? " was vetoed"
                                                   : is_waiting ? " has its approvals, but its time lock is not over"
                                                                : " is not allowed to this caller alone"));
  if (!is_vetoed) {
    refusal.advice = is_waiting ? "propose it (`casemate session propose`), and apply it when the lock is over"
                                : "if the rule has approvers: propose it (`casemate session propose`) and have it "
                                  "signed (`casemate session sign`, then `casemate session approve`)";
  }
  refusal.explanation = verdict.explanation;
  return refusal;
}

Refusal no_such_session(const std::string& name) {
  return Refusal(RefusalKind::kNotFound, "there is no session `" + name + "`, or this caller may not know of it",
                 "check the name; its creator decides who may read it (access_policy: read)");
}

std::string hex(const Digest& digest) { return crypto::to_hex(digest); }

}  // namespace internal

using internal::hex;

Result<std::optional<Digest>> owner_of(const Snapshot& snapshot) {
  const auto row = CASEMATE_TRY(snapshot.find(number_of(Table::kServer), kOwnerRow));
  if (!row) return std::optional<Digest>();
  Digest digest{};
  const ByteView bytes = row->value.expose();
  if (bytes.size() != digest.size()) return Error(ErrorCategory::kFormat, "the row of the CAS's owner is damaged");
  std::copy(bytes.begin(), bytes.end(), digest.begin());
  return std::optional<Digest>(digest);
}

Approval to_approval(const policy::SignedDecision& decision) {
  return {crypto::sha256(decision.signer), decision.decision == policy::Decision::kApprove ? "approve" : "veto",
          decision.not_after * 1000, decision.signature};
}

Digest digest_from_hex(const std::string& text) {
  Digest digest{};
  const auto bytes = crypto::from_hex(text);
  if (bytes && bytes.value().size() == digest.size()) {
    std::copy(bytes.value().begin(), bytes.value().end(), digest.begin());
  }
  return digest;
}

SessionRegistry::~SessionRegistry() { finish(); }

void SessionRegistry::finish() {
  if (learner_.joinable()) learner_.join();
}

Result<std::unique_ptr<SessionRegistry>> SessionRegistry::open(Store& store, const RegistryOptions& options) {
  std::unique_ptr<SessionRegistry> registry(new SessionRegistry(store, options));
  registry->parsed_ = std::make_unique<ParsedSessions>(options.most_parsed_bytes);
  registry->learner_ =
      std::thread([&registry = *registry, snapshot = store.snapshot()] { registry.learn_names(snapshot); });
  return registry;
}

// Beside the first requests. What changes meanwhile is looked up again in the end.
void SessionRegistry::learn_names(const Snapshot& snapshot) {
  std::set<std::string> names;
  Result<void> learnt =
      snapshot.for_each(number_of(Table::kSessions), [&](const std::string& name, const StoredRow&) -> Result<void> {
        names.insert(name);
        return {};
      });
  const std::unique_lock lock(names_mutex_);
  names_ = std::move(names);
  names_learnt_ = std::move(learnt);
  for (const std::string& name : changed_meanwhile_) note_name_locked(name);
  changed_meanwhile_.clear();
  names_known_.notify_all();
}

Result<void> SessionRegistry::wait_for_names(std::shared_lock<std::shared_mutex>& lock) const {
  names_known_.wait(lock, [this] { return names_learnt_.has_value(); });
  return *names_learnt_;
}

std::uint64_t SessionRegistry::now_ms() const { return std::max(options_.clock(), store_.snapshot().head().head.time); }

std::string SessionRegistry::log_id() const { return hex(store_.log_id()); }

std::size_t SessionRegistry::session_count() const {
  return static_cast<std::size_t>(store_.snapshot().count(number_of(Table::kSessions)));
}

bool SessionRegistry::is_owner(const policy::Caller& caller) const {
  const auto owner = owner_of(store_.snapshot());
  return owner && owner.value() && !caller.key_hash.empty() && caller.key_hash == hex(*owner.value());
}

// The newest snapshot decides, so the order in which commits come here does not matter.
void SessionRegistry::note_name(const std::string& name) {
  const std::unique_lock lock(names_mutex_);
  if (names_learnt_) {
    note_name_locked(name);
  } else {
    changed_meanwhile_.push_back(name);
  }
}

void SessionRegistry::note_name_locked(const std::string& name) {
  const bool exists = store_.snapshot().version_of(number_of(Table::kSessions), name) != kAbsent;
  if (exists) {
    names_.insert(name);
  } else {
    names_.erase(name);
  }
}

Result<bool> SessionRegistry::has_children(const std::string& name) const {
  std::shared_lock lock(names_mutex_);
  if (auto known = wait_for_names(lock); !known) return known.error();
  const auto next = names_.lower_bound(name + "/");
  return next != names_.end() && next->starts_with(name + "/");
}

Result<StoredSessionPointer> SessionRegistry::find(const std::string& name) const {
  return parsed_->complete(store_.snapshot(), name);
}

Outcome<StoredSessionPointer> SessionRegistry::require_readable(const Snapshot& snapshot, const std::string& name,
                                                                const policy::Caller& caller) const {
  StoredSessionPointer stored = CASEMATE_TRY(parsed_->complete(snapshot, name));
  if (!stored || stored->session.access() == nullptr) return internal::no_such_session(name);
  policy::ApprovalInput input;
  input.change.session = name;
  input.caller = caller;
  input.creator_key_hash = hex(stored->record.creator);
  const policy::Verdict verdict = policy::evaluate(policy::read_rule(*stored->session.access()), input);
  if (verdict.outcome != policy::Outcome::kGranted) return internal::no_such_session(name);
  return stored;
}

Outcome<StoredSessionPointer> SessionRegistry::read(const std::string& name, const policy::Caller& caller) const {
  return require_readable(store_.snapshot(), name, caller);
}

bool SessionRegistry::may_read(const std::string& name, const policy::Caller& caller) const {
  const Snapshot snapshot = store_.snapshot();
  if (snapshot.version_of(number_of(Table::kSessions), name) == kAbsent) return is_owner(caller);
  return require_readable(snapshot, name, caller).has_value();
}

bool SessionRegistry::is_session_owner(const std::string& name, const policy::Caller& caller) const {
  const auto stored = find(name);
  if (!stored) return false;
  if (!stored.value()) return is_owner(caller);
  const std::string creator = hex(stored.value()->record.creator);
  const policy::AccessPolicy* const access = stored.value()->session.access();
  return (!caller.key_hash.empty() && caller.key_hash == creator) ||
         (access != nullptr && internal::names_key(policy::update_rule(*access), caller.key_hash, creator));
}

Outcome<SessionPage> SessionRegistry::list(const std::string& after, std::size_t limit,
                                           const policy::Caller& caller) const {
  constexpr std::size_t kMostLookedAt = 5000;  // in one answer: the rest comes with the next page
  std::vector<std::string> names;
  bool is_end = false;
  {
    std::shared_lock lock(names_mutex_);
    if (auto known = wait_for_names(lock); !known) return known.error();
    auto next = names_.upper_bound(after);
    for (; next != names_.end() && names.size() < kMostLookedAt; ++next) names.push_back(*next);
    is_end = next == names_.end();
  }
  const Snapshot snapshot = store_.snapshot();
  SessionPage page;
  for (const std::string& name : names) {
    if (page.names.size() == limit) {
      page.next = page.names.back();
      return page;
    }
    if (require_readable(snapshot, name, caller)) page.names.push_back(name);
  }
  if (!is_end) page.next = names.back();
  return page;
}

// ---- changes --------------------------------------------------------------------------------------------------------

Outcome<SessionRegistry::Candidate> SessionRegistry::examine(const Snapshot& snapshot,
                                                             const NewVersion& version) const {
  if (version.text.size() > policy::kMaxSessionSize) {
    return Refusal(RefusalKind::kTooLarge, "a session's text has at most 1 MiB", "inject large files from volumes");
  }
  Candidate candidate;
  candidate.name = version.name;
  candidate.text = version.text;
  policy::Diagnostics diagnostics;
  auto session = policy::parse_session(version.text, {version.name}, diagnostics);
  if (!session) return internal::findings_refusal(diagnostics, version.name);
  const policy::KnownSessions known = CASEMATE_TRY(parsed_->exporters_of(snapshot, *session, candidate.exporters));
  internal::check_imports_exist(*session, known, diagnostics);
  policy::resolve_imported_fragments(*session, known, diagnostics);
  policy::check_session(*session, known, diagnostics);
  diagnostics.sort();
  if (diagnostics.has_errors()) return internal::findings_refusal(diagnostics, version.name);
  candidate.hash = policy::session_hash(*session);
  candidate.session = std::move(*session);
  for (const StoredSessionPointer& exporter : candidate.exporters) {
    candidate.relied_on.push_back({number_of(Table::kSessions), exporter->session.name, exporter->row_version});
  }
  candidate.stored = CASEMATE_TRY(parsed_->complete(snapshot, version.name));
  candidate.is_stored_already = candidate.stored && candidate.stored->record.hash == candidate.hash;
  candidate.warnings = diagnostics.all();
  return candidate;
}

Outcome<SessionRegistry::Authority> SessionRegistry::authority_over(const Snapshot& snapshot,
                                                                    const Candidate& candidate,
                                                                    BreakGlass break_glass) const {
  Authority authority;
  authority.break_glass = break_glass;
  const std::string parent(policy::parent_namespace(candidate.name));
  StoredSessionPointer source = candidate.stored;
  if (!source && parent.empty()) {
    const auto owner = CASEMATE_TRY(owner_of(snapshot));
    if (!owner) {
      return Refusal(RefusalKind::kForbidden, "this CAS has no owner yet", "claim it first: `casemate cas claim`");
    }
    authority.rule = options_.top_level == TopLevel::kAnyone
                         ? internal::rule_of_one(policy::TermKind::kAny, "")
                         : internal::rule_of_one(policy::TermKind::kKeyHash, hex(*owner));
    return authority;
  }
  if (!source) {
    source = CASEMATE_TRY(parsed_->complete(snapshot, parent));
    if (!source) {
      return Refusal(RefusalKind::kNotFound,
                     "`" + candidate.name + "` would lie in namespace `" + parent + "`, which does not exist",
                     "create session `" + parent + "` first");
    }
    authority.relied_on = RowCheck{number_of(Table::kSessions), parent, source->row_version};
  }
  authority.creator = hex(source->record.creator);
  const policy::AccessPolicy* access = source->session.access();
  if (access == nullptr) {
    return Refusal(RefusalKind::kForbidden,
                   "the access policy of `" + source->session.name + "` is imported, and the exporter no longer has it",
                   "restore the exported config-fragment");
  }
  if (break_glass == BreakGlass::kYes) {
    if (access->break_glass) authority.rule = *access->break_glass;
    return authority;
  }
  authority.rule = candidate.stored ? policy::update_rule(*access) : policy::create_rule(*access);
  return authority;
}

// Before anything of a text is looked at: findings about imports would tell strangers which sessions exist.
Outcome<Done> SessionRegistry::require_part(const Snapshot& snapshot, const std::string& name,
                                            const policy::Caller& caller, BreakGlass break_glass) const {
  if (auto valid = policy::check_session_name(name); !valid) {
    return Refusal(RefusalKind::kMalformed, valid.error().message(), "names are letters, digits and . _ - ~");
  }
  Candidate candidate;
  candidate.name = name;
  candidate.stored = CASEMATE_TRY(parsed_->complete(snapshot, name));
  if (candidate.stored && require_readable(snapshot, name, caller)) return Done{};
  const Authority authority = CASEMATE_TRY(authority_over(snapshot, candidate, break_glass));
  if (internal::names_key(authority.rule, caller.key_hash, authority.creator)) return Done{};
  policy::ApprovalInput input;
  input.change.session = name;
  input.caller = caller;
  input.creator_key_hash = authority.creator;
  const policy::Verdict verdict = policy::evaluate(authority.rule, input);
  if (verdict.outcome == policy::Outcome::kGranted) return Done{};
  if (candidate.stored) return internal::no_such_session(name);
  return internal::refusal_of(verdict, "creating `" + name + "`");
}

Outcome<Done> SessionRegistry::check_decisions(const Candidate& candidate, const Authority& authority,
                                               const std::vector<policy::SignedDecision>& decisions) const {
  if (decisions.size() > internal::kMostDecisions) {
    return Refusal(RefusalKind::kLimit, "a change has at most 64 signed decisions");
  }
  const policy::Change change{log_id(), candidate.name, hex(candidate.hash), candidate.session.predecessor};
  for (const policy::SignedDecision& decision : decisions) {
    const std::string key = crypto::to_hex(crypto::sha256(decision.signer));
    if (!internal::names_key(authority.rule, key, authority.creator)) {
      return Refusal(RefusalKind::kForbidden, "key " + key.substr(0, 16) + " is not among those that the rule names",
                     "`casemate session sign --show-key` prints the hash of a key");
    }
    if (!policy::verify_decision(change, decision)) {
      return Refusal(RefusalKind::kForbidden,
                     "the signature of key " + key.substr(0, 16) + " is not for this change: session `" +
                         candidate.name + "`, version " + change.hash + ", log " + change.log_id,
                     "sign this text, with --stored naming the stored version and --log-id this CAS's log");
    }
    if (decision.not_after * 1000 < now_ms()) {
      return Refusal(RefusalKind::kForbidden, "the signature of key " + key.substr(0, 16) + " has expired",
                     "sign again with a later --not-after");
    }
  }
  return Done{};
}

policy::Verdict SessionRegistry::evaluate(const Candidate& candidate, const Authority& authority,
                                          const ProposalRecord& record) const {
  policy::ApprovalInput input;
  input.change = {log_id(), candidate.name, hex(candidate.hash), candidate.session.predecessor};
  input.decisions = record.decisions;
  input.caller = {hex(record.proposer), crypto::to_hex(record.certificate)};
  input.creator_key_hash = authority.creator;
  input.now = now_ms() / 1000;
  input.proposed_at = record.proposed_at / 1000;
  return policy::evaluate(authority.rule, input);
}

Change SessionRegistry::change_of(const Candidate& candidate, const Authority& authority,
                                  const ProposalRecord& record) const {
  const StoredSession* stored = candidate.stored.get();
  SessionRecord next;
  next.version = stored == nullptr ? 1 : stored->record.version + 1;
  next.text = candidate.text;
  next.hash = candidate.hash;
  next.creator = stored == nullptr ? record.proposer : stored->record.creator;
  next.created = now_ms();
  if (stored != nullptr) next.predecessor = stored->record.hash;

  Change change;
  change.checks = candidate.relied_on;
  if (authority.relied_on) change.checks.push_back(*authority.relied_on);
  change.rows.push_back({number_of(Table::kSessions), candidate.name, candidate.name, encode(next),
                         stored == nullptr ? kAbsent : stored->row_version});
  if (stored != nullptr) {
    change.rows.push_back({number_of(Table::kHistory),
                           internal::history_row_key(candidate.name, stored->record.version), candidate.name,
                           encode(stored->record), std::nullopt});
    internal::forget_secrets(stored->session, &candidate.session, change);
  }
  SessionChange entry{candidate.name,
                      stored == nullptr ? "create" : "update",
                      next.version,
                      next.hash,
                      next.predecessor,
                      record.proposer,
                      {}};
  for (const policy::SignedDecision& decision : record.decisions) entry.approvals.push_back(to_approval(decision));
  if (authority.break_glass == BreakGlass::kYes) {
    change.log(Administration{"break-glass", candidate.name + " " + hex(next.hash), record.proposer, entry.approvals});
  }
  change.log(std::move(entry));
  return change;
}

// The change's last entry is the session's.
Outcome<AcceptedChange> SessionRegistry::commit(Change change, const Candidate& candidate) {
  const Committed committed = CASEMATE_TRY(store_.commit(std::move(change)));
  note_name(candidate.name);
  AcceptedChange accepted;
  accepted.created = candidate.stored == nullptr;
  accepted.version = candidate.stored == nullptr ? 1 : candidate.stored->record.version + 1;
  accepted.hash = candidate.hash;
  accepted.receipt = CASEMATE_TRY(committed.receipt(committed.entry_count() - 1));
  accepted.warnings = candidate.warnings;
  return accepted;
}

Outcome<AcceptedChange> SessionRegistry::put(const NewVersion& version, const policy::Caller& caller) {
  return internal::again_after_races([&] { return try_put(version, caller); });
}

Outcome<AcceptedChange> SessionRegistry::try_put(const NewVersion& version, const policy::Caller& caller) {
  const Snapshot snapshot = store_.snapshot();
  CASEMATE_TRY(require_part(snapshot, version.name, caller, version.break_glass));
  const Candidate candidate = CASEMATE_TRY(examine(snapshot, version));
  const Authority authority = CASEMATE_TRY(authority_over(snapshot, candidate, version.break_glass));
  ProposalRecord record;
  record.session = version.name;
  record.proposer = digest_from_hex(caller.key_hash);
  record.certificate = CASEMATE_TRY(crypto::from_hex(caller.certificate_hex));
  record.proposed_at = now_ms();
  record.decisions = version.decisions;
  if (candidate.is_stored_already) {
    AcceptedChange unchanged;
    unchanged.unchanged = true;
    unchanged.version = candidate.stored->record.version;
    unchanged.hash = candidate.hash;
    unchanged.warnings = candidate.warnings;
    return unchanged;
  }
  if (candidate.stored) {
    const std::string stored_hash = hex(candidate.stored->record.hash);
    if (!version.expected_hash.empty() && version.expected_hash != stored_hash) {
      return Refusal(RefusalKind::kPrecondition,
                     "the stored version is " + stored_hash + ", not " + version.expected_hash,
                     "read the stored version and apply your change to it");
    }
    if (candidate.session.predecessor != stored_hash) {
      return internal::predecessor_conflict(version.name, stored_hash, candidate.session.predecessor);
    }
  } else if (candidate.session.predecessor || !version.expected_hash.empty()) {
    return Refusal(version.expected_hash.empty() ? RefusalKind::kConflict : RefusalKind::kPrecondition,
                   "session `" + version.name + "` does not exist, so there is no version to replace",
                   "remove `predecessor` to create it");
  }
  CASEMATE_TRY(check_decisions(candidate, authority, record.decisions));
  const policy::Verdict verdict = evaluate(candidate, authority, record);
  if (verdict.outcome != policy::Outcome::kGranted) {
    return internal::refusal_of(verdict, (candidate.stored ? "updating `" : "creating `") + version.name + "`");
  }
  return commit(change_of(candidate, authority, record), candidate);
}

Outcome<AcceptedChange> SessionRegistry::remove(const std::string& name, const std::string& expected_hash,
                                                const policy::Caller& caller) {
  return internal::again_after_races([&] { return try_remove(name, expected_hash, caller); });
}

Outcome<AcceptedChange> SessionRegistry::try_remove(const std::string& name, const std::string& expected_hash,
                                                    const policy::Caller& caller) {
  const Snapshot snapshot = store_.snapshot();
  const StoredSessionPointer stored = CASEMATE_TRY(require_readable(snapshot, name, caller));
  const std::string stored_hash = hex(stored->record.hash);
  if (expected_hash != stored_hash) {
    return Refusal(RefusalKind::kPrecondition, "the stored version is " + stored_hash + ", not " + expected_hash,
                   "read the stored version and decide again");
  }
  const bool has_others = CASEMATE_TRY(has_children(name));
  if (has_others) {
    return Refusal(RefusalKind::kConflict, "other sessions lie in namespace `" + name + "`", "remove those first");
  }
  policy::ApprovalInput input;
  input.change.session = name;
  input.caller = caller;
  input.creator_key_hash = hex(stored->record.creator);
  input.now = input.proposed_at = now_ms() / 1000;
  const policy::Verdict verdict = policy::evaluate(policy::update_rule(*stored->session.access()), input);
  if (verdict.outcome != policy::Outcome::kGranted) {
    Refusal refusal = internal::refusal_of(verdict, "removing `" + name + "`");
    refusal.advice = "update it first to a version whose rule lets one caller remove it: removals carry no signatures";
    return refusal;
  }
  Change change;
  change.rows.push_back({number_of(Table::kSessions), name, "", std::nullopt, stored->row_version});
  for (std::uint64_t version = 1; version < stored->record.version; ++version) {
    change.rows.push_back(internal::removal(Table::kHistory, internal::history_row_key(name, version)));
  }
  internal::forget_secrets(stored->session, nullptr, change);
  for (const policy::Volume& volume : stored->session.volumes) {
    change.rows.push_back(internal::removal(Table::kVolumes, session_row_key(name, volume.name)));
  }
  for (const policy::Service& service : stored->session.services) {
    change.rows.push_back(internal::removal(Table::kInstances, session_row_key(name, service.name)));
  }
  change.rows.push_back(internal::removal(Table::kAuthority, session_row_key(name, "ca")));
  change.log(SessionChange{
      name, "remove", stored->record.version, std::nullopt, stored->record.hash, digest_from_hex(caller.key_hash), {}});
  Candidate candidate;
  candidate.name = name;
  candidate.stored = stored;
  return commit(std::move(change), candidate);
}

}  // namespace casemate::cas
