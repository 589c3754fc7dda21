// What each route does.
#include <charconv>

#include "cas/api/client_api_internal.h"
#include "cas/service/public_certificates.h"
#include "cas/sessions/tables.h"
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "policy/moment.h"

namespace casemate::cas {
namespace {

using Json = nlohmann::ordered_json;
using internal::json_answer;

constexpr unsigned kMostWrongClaims = 20;
constexpr std::size_t kLargestPage = 1000;

Json hash_or_null(const std::optional<Digest>& digest) {
  return digest ? Json(crypto::to_hex(*digest)) : Json(nullptr);
}

std::string moment_of(std::uint64_t milliseconds) { return policy::moment_text(milliseconds / 1000); }

HttpAnswer text_answer(std::string text, const char* type = "text/plain; charset=utf-8") {
  HttpAnswer answer;
  answer.content_type = type;
  answer.body = std::move(text);
  return answer;
}

Json to_json(const AcceptedChange& change, const std::string& name) {
  Json json = {{"name", name},
               {"version", change.version},
               {"hash", crypto::to_hex(change.hash)},
               {"unchanged", change.unchanged},
               {"warnings", internal::findings_json(change.warnings)}};
  if (change.receipt) json["receipt"] = to_text(*change.receipt);
  return json;
}

const char* name_of(policy::Outcome outcome) {
  switch (outcome) {
    case policy::Outcome::kGranted:
      return "granted";
    case policy::Outcome::kWaiting:
      return "waiting";
    case policy::Outcome::kVetoed:
      return "vetoed";
    case policy::Outcome::kMissing:
      break;
  }
  return "missing";
}

Json to_json(const Proposal& proposal, bool with_text) {
  const ProposalRecord& record = proposal.record;
  Json decisions = Json::array();
  for (const policy::SignedDecision& decision : record.decisions) {
    const bool approves = decision.decision == policy::Decision::kApprove;
    decisions.push_back({{"key", crypto::to_hex(crypto::sha256(decision.signer))},
                         {"decision", approves ? "approve" : "reject"},
                         {"not_after", policy::moment_text(decision.not_after)}});
  }
  Json json = {{"id", proposal.id},
               {"session", record.session},
               {"predecessor", hash_or_null(record.predecessor)},
               {"proposer", crypto::to_hex(record.proposer)},
               {"proposed_at", moment_of(record.proposed_at)},
               {"expires", moment_of(record.expires)},
               {"state", proposal.is_outdated ? "outdated" : name_of(proposal.verdict.outcome)},
               {"explanation", proposal.verdict.explanation},
               {"decisions", decisions}};
  if (proposal.verdict.outcome == policy::Outcome::kWaiting && !proposal.is_outdated) {
    json["effective_at"] = policy::moment_text(proposal.verdict.effective_at);
  }
  if (with_text) json["text"] = record.text;
  return json;
}

HttpAnswer answer_of(const ProposalStep& step) {
  Json json = to_json(step.proposal, false);
  if (!step.accepted) return json_answer(json, 202);
  json["state"] = "applied";
  json["change"] = to_json(*step.accepted, step.proposal.record.session);
  return json_answer(json, 200);
}

Outcome<std::size_t> page_size_of(const Target& target) {
  const std::string text = target.value_of("limit");
  if (text.empty()) return std::size_t{100};
  std::size_t limit = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), limit);
  if (code != std::errc() || end != text.data() + text.size() || limit == 0 || limit > kLargestPage) {
    return Refusal(RefusalKind::kMalformed, "`limit` is no number from 1 to 1000");
  }
  return limit;
}

// "If-Match: "<hash>"", quotes optional.
std::string unquoted(const std::string& text) {
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') return text.substr(1, text.size() - 2);
  return text;
}

// Whose entry it is; empty for those of the CAS itself.
std::string session_of(const Entry& entry) {
  for (const auto& [name, value] : describe_entry(entry)) {
    if (name == "session") return value;
  }
  return "";
}

}  // namespace

ClientApi::Answer ClientApi::health(const Call&) {
  const bool is_ready = !stopping_ && !rolled_back_;
  const char* state = rolled_back_ ? "rolled-back" : stopping_ ? "stopping" : "serving";
  return json_answer({{"state", state}}, is_ready ? 200 : 503);
}

ClientApi::Answer ClientApi::metrics(const Call&) {
  std::string text = "# TYPE casemate_cas_requests_total counter\n";
  {
    const std::lock_guard lock(counts_mutex_);
    for (const auto& [key, count] : counts_) {
      text += "casemate_cas_requests_total{route=\"" + key.first + "\",status=\"" + std::to_string(key.second) +
              "\"} " + std::to_string(count) + "\n";
    }
  }
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - started_);
  const AnchorStatus anchor = store_.anchor_status();
  const std::pair<const char*, std::uint64_t> gauges[] = {
      {"sessions", registry_.session_count()},
      {"proposals", store_.snapshot().count(number_of(Table::kProposals))},
      {"secrets", store_.snapshot().count(number_of(Table::kSecrets))},
      {"log_entries", store_.snapshot().head().head.size},
      {"log_epoch", store_.snapshot().head().head.epoch},
      {"anchor_counter", anchor.counter},
      {"anchor_failing", anchor.failure.empty() ? 0 : 1},
      {"rolled_back", rolled_back_ ? 1 : 0},
      {"uptime_seconds", static_cast<std::uint64_t>(seconds.count())},
  };
  for (const auto& [name, value] : gauges) {
    const std::string full = std::string("casemate_cas_") + name;
    text += "# TYPE " + full + " gauge\n" + full + " " + std::to_string(value) + "\n";
  }
  if (options_.more_metrics) text += options_.more_metrics();
  return text_answer(std::move(text), "text/plain; version=0.0.4");
}

ClientApi::Answer ClientApi::openapi(const Call&) {
  return text_answer(std::string(openapi_document()), "application/yaml");
}

ClientApi::Answer ClientApi::status(const Call&) {
  const Snapshot snapshot = store_.snapshot();
  const AnchorStatus anchor = store_.anchor_status();
  const auto owner = CASEMATE_TRY(owner_of(snapshot));
  return json_answer({{"version", options_.version},
                      {"log_id", registry_.log_id()},
                      {"server_key", options_.server_key},
                      {"owner", hash_or_null(owner)},
                      {"log_size", snapshot.head().head.size},
                      {"epoch", snapshot.head().head.epoch},
                      {"unseal", options_.unseal_kind},
                      {"anchor", anchor.kind},
                      {"anchor_promise", anchor.promise},
                      {"anchor_failure", anchor.failure},
                      {"simulation", true}});
}

ClientApi::Answer ClientApi::claim(const Call& call) {
  RequestBody body = CASEMATE_TRY(parse_request_body(call.request.body, {BodyKey::kProof}, {}));
  const std::lock_guard lock(claim_mutex_);
  const std::string& owner_key = call.request.caller.key_hash;
  const auto owner = CASEMATE_TRY(owner_of(store_.snapshot()));
  if (owner && crypto::to_hex(*owner) != owner_key) {
    return Refusal(RefusalKind::kConflict, "this CAS has another owner: key " + crypto::to_hex(*owner).substr(0, 16),
                   "if that is not yours, do not trust this CAS");
  }
  if (options_.claim_token.empty() || wrong_claims_ >= kMostWrongClaims) {
    return Refusal(RefusalKind::kForbidden, "this CAS cannot be claimed now", "restart it to get a new token");
  }
  const std::string wanted = CASEMATE_TRY(
      claim_proof(options_.claim_token, ClaimSide::kClient, options_.server_key, owner_key, registry_.log_id()));
  if (!crypto::equal_in_constant_time(crypto::as_byte_view(wanted), crypto::as_byte_view(body.proof))) {
    ++wrong_claims_;
    return Refusal(RefusalKind::kForbidden, "the proof is not of this CAS's claim token",
                   "the token is in the file claim-token of the CAS's state directory");
  }
  const std::string proof = CASEMATE_TRY(
      claim_proof(options_.claim_token, ClaimSide::kServer, options_.server_key, owner_key, registry_.log_id()));
  if (!owner) {
    const Digest key = digest_from_hex(owner_key);
    Change change;
    change.rows.push_back({number_of(Table::kServer), kOwnerRow, "", SecretValue::copy_of(ByteView(key)), kAbsent});
    const std::string facts = options_.server_key + " " + registry_.log_id() + " " + owner_key;
    change.log(OwnerClaim{key, crypto::sha256(crypto::as_byte_view(facts))});
    static_cast<void>(CASEMATE_TRY(store_.commit(std::move(change))));
    if (options_.on_claimed) options_.on_claimed();
  }
  return json_answer({{"proof", proof}, {"log_id", registry_.log_id()}, {"server_key", options_.server_key}});
}

ClientApi::Answer ClientApi::list_sessions(const Call& call) {
  const std::size_t limit = CASEMATE_TRY(page_size_of(call.target));
  const SessionPage page = CASEMATE_TRY(registry_.list(call.target.value_of("after"), limit, call.request.caller));
  Json json = {{"sessions", page.names}};
  if (!page.next.empty()) json["next"] = page.next;
  return json_answer(json);
}

ClientApi::Answer ClientApi::read_session(const Call& call) {
  const StoredSessionPointer stored = CASEMATE_TRY(registry_.read(call.value, call.request.caller));
  const std::string hash = crypto::to_hex(stored->record.hash);
  HttpAnswer answer = json_answer({{"name", call.value},
                                   {"version", stored->record.version},
                                   {"hash", hash},
                                   {"predecessor", hash_or_null(stored->record.predecessor)},
                                   {"creator", crypto::to_hex(stored->record.creator)},
                                   {"changed", moment_of(stored->record.created)},
                                   {"text", stored->record.text}});
  answer.fields.emplace_back("ETag", "\"" + hash + "\"");
  return answer;
}

ClientApi::Answer ClientApi::put_session(const Call& call) {
  RequestBody body = CASEMATE_TRY(
      parse_request_body(call.request.body, {BodyKey::kText}, {BodyKey::kDecisions, BodyKey::kBreakGlass}));
  NewVersion version;
  version.name = call.value;
  version.text = std::move(body.text);
  version.decisions = std::move(body.decisions);
  version.expected_hash = unquoted(call.request.if_match);
  version.break_glass = body.break_glass.value_or(false) ? BreakGlass::kYes : BreakGlass::kNo;
  const AcceptedChange change = CASEMATE_TRY(registry_.put(version, call.request.caller));
  return json_answer(to_json(change, call.value), change.created ? 201 : 200);
}

ClientApi::Answer ClientApi::remove_session(const Call& call) {
  if (call.request.if_match.empty()) {
    return Refusal(RefusalKind::kMalformed, "removing a session needs If-Match with the hash of the stored version",
                   "read the session first; its ETag is that hash");
  }
  const AcceptedChange change =
      CASEMATE_TRY(registry_.remove(call.value, unquoted(call.request.if_match), call.request.caller));
  return json_answer({{"name", call.value}, {"receipt", to_text(*change.receipt)}});
}

ClientApi::Answer ClientApi::list_proposals(const Call& call) {
  const auto proposals = CASEMATE_TRY(registry_.list_proposals(call.target.value_of("session"), call.request.caller));
  Json list = Json::array();
  for (const Proposal& proposal : proposals) list.push_back(to_json(proposal, false));
  return json_answer({{"proposals", list}});
}

ClientApi::Answer ClientApi::propose(const Call& call) {
  RequestBody body = CASEMATE_TRY(parse_request_body(call.request.body, {BodyKey::kText}, {BodyKey::kDecisions}));
  NewVersion version;
  version.name = call.value;
  version.text = std::move(body.text);
  version.decisions = std::move(body.decisions);
  const ProposalStep step = CASEMATE_TRY(registry_.propose(version, call.request.caller));
  return answer_of(step);
}

ClientApi::Answer ClientApi::read_proposal(const Call& call) {
  const Proposal proposal = CASEMATE_TRY(registry_.read_proposal(call.value, call.request.caller));
  return json_answer(to_json(proposal, true));
}

ClientApi::Answer ClientApi::withdraw_proposal(const Call& call) {
  CASEMATE_TRY(registry_.withdraw(call.value, call.request.caller));
  return json_answer({{"id", call.value}, {"state", "withdrawn"}});
}

ClientApi::Answer ClientApi::decide_proposal(const Call& call) {
  const policy::SignedDecision decision = CASEMATE_TRY(parse_decision(call.request.body));
  const ProposalStep step = CASEMATE_TRY(registry_.decide(call.value, decision));
  return answer_of(step);
}

ClientApi::Answer ClientApi::apply_proposal(const Call& call) {
  const ProposalStep step = CASEMATE_TRY(registry_.apply(call.value, call.request.caller));
  return answer_of(step);
}

ClientApi::Answer ClientApi::log_head(const Call&) { return text_answer(to_note(store_.snapshot().head())); }

ClientApi::Answer ClientApi::log_consistency(const Call& call) {
  RequestBody body = CASEMATE_TRY(parse_request_body(call.request.body, {BodyKey::kHead}, {}));
  const auto head = parse_note(body.head);
  if (!head) return Refusal(RefusalKind::kMalformed, "`head` is no signed head of a log: " + head.error().message());
  const Snapshot snapshot = store_.snapshot();
  const bool is_ours = head.value().head.log_id == store_.log_id() && verify_head(head.value(), snapshot.log_keys());
  if (!is_ours) {
    return Refusal(RefusalKind::kMalformed, "no key of this CAS's log signed that head",
                   "it is of another CAS, or of an epoch that ended; see `casemate log`");
  }
  const auto proof = store_.log_consistency(head.value());
  if (proof) return text_answer(to_text(proof.value()));
  if (proof.error().system_code() != kRolledBackCode) return Answer(proof.error());
  if (!rolled_back_.exchange(true)) {
    if (options_.on_rolled_back) options_.on_rolled_back();
    if (options_.log) {
      options_.log("rolled-back", {{"own-size", std::to_string(snapshot.head().head.size)},
                                   {"shown-size", std::to_string(head.value().head.size)}});
    }
  }
  return Refusal(RefusalKind::kUnavailable, "this CAS was rolled back: it does not continue a head that it signed",
                 "its owner must put the newest database back, or accept the loss: casemate cas restore --accept");
}

ClientApi::Answer ClientApi::log_export(const Call& call) {
  if (exporting_.exchange(true)) return Refusal(RefusalKind::kLimit, "another export is being made", "try again later");
  const policy::Caller& caller = call.request.caller;
  const bool is_owner = registry_.is_owner(caller);
  std::map<std::string, bool> readable;
  const auto disclose = [&](const Entry& entry) {
    const std::string session = session_of(entry);
    if (session.empty()) return is_owner;
    const auto [known, is_new] = readable.try_emplace(session, false);
    if (is_new) known->second = registry_.may_read(session, caller);
    return known->second;
  };
  const auto log = store_.export_log(disclose);
  exporting_ = false;
  if (!log) return Answer(log.error());
  return text_answer(to_text(log.value()));
}

ClientApi::Answer ClientApi::make_backup(const Call& call) {
  RequestBody body = CASEMATE_TRY(parse_request_body(call.request.body, {BodyKey::kHolders, BodyKey::kThreshold}, {}));
  if (options_.backup_directory.empty()) return Refusal(RefusalKind::kForbidden, "this CAS makes no backups");
  std::vector<crypto::AgreementPublicKey> holders;
  for (const std::string& text : body.holders) {
    const auto bytes = crypto::from_hex(text);
    crypto::AgreementPublicKey key{};
    if (!bytes || bytes.value().size() != key.size()) {
      return Refusal(RefusalKind::kMalformed, "a holder is not the 64 hex digits of an X25519 key",
                     "`casemate cas share-key FILE` makes one");
    }
    std::copy(bytes.value().begin(), bytes.value().end(), key.begin());
    holders.push_back(key);
  }
  if (*body.threshold < 1 || *body.threshold > holders.size()) {
    return Refusal(RefusalKind::kMalformed, "`threshold` is not between 1 and the number of holders");
  }
  const std::string path = options_.backup_directory + "/" + std::to_string(registry_.now_ms()) + ".backup";
  if (auto made = store_.back_up(path, holders, static_cast<unsigned>(*body.threshold)); !made)
    return Answer(made.error());
  Change change;
  change.log(Administration{"backup made",
                            std::to_string(*body.threshold) + " of " + std::to_string(holders.size()) + " shares",
                            digest_from_hex(call.request.caller.key_hash),
                            {}});
  static_cast<void>(CASEMATE_TRY(store_.commit(std::move(change))));
  return json_answer({{"path", path}}, 201);
}

// Expected and found values describe machines: they are for those who decide about the session, not for its readers.
ClientApi::Answer ClientApi::read_refusal(const Call& call) {
  const auto refusal = options_.find_refusal ? options_.find_refusal(call.value) : std::nullopt;
  if (!refusal || !registry_.is_session_owner(refusal->session, call.request.caller)) {
    return Refusal(RefusalKind::kNotFound, "no refusal has this reference, or this caller may not know of it",
                   "the newest 1024 since the CAS started are kept; owners are whom the session's update rule names");
  }
  return json_answer({{"reference", refusal->reference},
                      {"time", moment_of(refusal->time)},
                      {"session", refusal->session},
                      {"service", refusal->service},
                      {"rule", refusal->rule},
                      {"expected", refusal->expected},
                      {"found", refusal->actual},
                      {"advice", refusal->advice}});
}

// "SESSION/SECRET": secrets have no slashes.
ClientApi::Answer ClientApi::read_certificate(const Call& call) {
  const std::size_t slash = call.value.rfind('/');
  const std::string session = call.value.substr(0, slash == std::string::npos ? 0 : slash);
  const std::string secret = call.value.substr(slash + 1);
  const auto found = public_certificate(store_, registry_, session, secret, registry_.now_ms());
  if (!found && found.error().category() == ErrorCategory::kUsage) {
    return Refusal(RefusalKind::kConflict, "this certificate cannot be issued", found.error().message());
  }
  if (!found) return Answer(found.error());
  if (!found.value()) {
    return Refusal(RefusalKind::kNotFound, "there is no public certificate of this name",
                   "sessions publish certificates with `export_public: true`");
  }
  const PublicCertificate& certificate = *found.value();
  return json_answer({{"session", session},
                      {"name", secret},
                      {"kind", policy::name_of(certificate.kind)},
                      {"version", certificate.version},
                      {"not_after", certificate.not_after},
                      {"certificate", certificate.certificate},
                      {"chain", certificate.chain}});
}

}  // namespace casemate::cas
