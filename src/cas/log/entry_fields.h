// The fields of every entry type: number, name, member. One description serves encoding, decoding and showing, so the
// three cannot disagree. Numbers ascend, as the encoding wants them. Private to cas/log.
#pragma once

#include "cas/log/entry.h"

namespace casemate::cas::internal {

// Fields of types begin behind those of Entry (1 version, 2 type, 3 time, 4 epoch).
template <typename Visitor, typename T>
void visit_fields(Visitor& visit, T& approval) requires std::is_same_v<std::remove_const_t<T>, Approval> {
  visit(1, "key", approval.key);
  visit(2, "decision", approval.decision);
  visit(3, "not-after", approval.not_after_time);
  visit(4, "signature", approval.signature);
}

template <typename Visitor, typename T>
void visit_fields(Visitor& visit, T& body) requires std::is_same_v<std::remove_const_t<T>, LogCreated> {
  visit(10, "log-key", body.log_key);
  visit(11, "software", body.software);
}

template <typename Visitor, typename T>
void visit_fields(Visitor& visit, T& body) requires std::is_same_v<std::remove_const_t<T>, SessionChange> {
  visit(10, "session", body.session);
  visit(11, "action", body.action);
  visit(12, "version", body.version);
  visit(13, "digest", body.digest);
  visit(14, "predecessor", body.predecessor);
  visit(15, "requester", body.requester);
  visit(16, "approvals", body.approvals);
}

template <typename Visitor, typename T>
void visit_fields(Visitor& visit, T& body) requires std::is_same_v<std::remove_const_t<T>, Verdict> {
  visit(10, "session", body.session);
  visit(11, "service", body.service);
  visit(12, "outcome", body.outcome);
  visit(13, "evidence", body.evidence);
  visit(14, "evidence-digest", body.evidence_digest);
  visit(15, "measurement", body.measurement);
  visit(16, "platform", body.platform);
  visit(17, "tcb-status", body.tcb_status);
  visit(18, "advisories", body.advisories);
  visit(19, "session-digest", body.session_digest);
  visit(20, "runtime-key", body.runtime_key);
}

template <typename Visitor, typename T>
void visit_fields(Visitor& visit, T& body) requires std::is_same_v<std::remove_const_t<T>, Release> {
  visit(10, "session", body.session);
  visit(11, "service", body.service);
  visit(12, "session-digest", body.session_digest);
  visit(13, "verdict", body.verdict);
  visit(14, "secrets", body.secrets);
  visit(15, "volumes", body.volumes);
  visit(16, "recipient", body.recipient);
}

template <typename Visitor, typename T>
void visit_fields(Visitor& visit, T& body) requires std::is_same_v<std::remove_const_t<T>, KeyRotation> {
  visit(10, "purpose", body.purpose);
  visit(11, "session", body.session);
  visit(12, "version", body.version);
  visit(13, "new-key", body.new_key);
  visit(14, "signature", body.signature);
}

template <typename Visitor, typename T>
void visit_fields(Visitor& visit, T& body) requires std::is_same_v<std::remove_const_t<T>, SecretRotation> {
  visit(10, "session", body.session);
  visit(11, "secret", body.secret);
  visit(12, "version", body.version);
  visit(13, "reason", body.reason);
}

template <typename Visitor, typename T>
void visit_fields(Visitor& visit, T& body) requires std::is_same_v<std::remove_const_t<T>, Revocation> {
  visit(10, "session", body.session);
  visit(11, "kind", body.kind);
  visit(12, "subject", body.subject);
  visit(13, "generation", body.generation);
  visit(14, "reason", body.reason);
}

template <typename Visitor, typename T>
void visit_fields(Visitor& visit, T& body) requires std::is_same_v<std::remove_const_t<T>, EpochBegun> {
  visit(10, "cause", body.cause);
  visit(11, "continues-at", body.continues_at);
  visit(12, "root", body.root);
  visit(13, "approvals", body.approvals);
}

template <typename Visitor, typename T>
void visit_fields(Visitor& visit, T& body) requires std::is_same_v<std::remove_const_t<T>, Refusals> {
  visit(10, "source", body.source);
  visit(11, "reason", body.reason);
  visit(12, "count", body.count);
  visit(13, "first-time", body.first_time);
  visit(14, "last-time", body.last_time);
}

template <typename Visitor, typename T>
void visit_fields(Visitor& visit, T& body) requires std::is_same_v<std::remove_const_t<T>, OwnerClaim> {
  visit(10, "owner-key", body.owner_key);
  visit(11, "evidence-digest", body.evidence_digest);
}

template <typename Visitor, typename T>
void visit_fields(Visitor& visit, T& body) requires std::is_same_v<std::remove_const_t<T>, ApprovalGiven> {
  visit(10, "session", body.session);
  visit(11, "digest", body.digest);
  visit(12, "predecessor", body.predecessor);
  visit(13, "approval", body.approval);
}

template <typename Visitor, typename T>
void visit_fields(Visitor& visit, T& body) requires std::is_same_v<std::remove_const_t<T>, CertificateIssued> {
  visit(10, "session", body.session);
  visit(11, "service", body.service);
  visit(12, "key", body.key);
  visit(13, "serial", body.serial);
  visit(14, "not-after", body.not_after_time);
}

template <typename Visitor, typename T>
void visit_fields(Visitor& visit, T& body) requires std::is_same_v<std::remove_const_t<T>, Administration> {
  visit(10, "action", body.action);
  visit(11, "detail", body.detail);
  visit(12, "requester", body.requester);
  visit(13, "approvals", body.approvals);
}

}  // namespace casemate::cas::internal
