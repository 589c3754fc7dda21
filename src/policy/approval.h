// Approval of changes: what is signed, and whether a rule is satisfied by what was signed.
//
// The rule that decides is the stored version's; for a session that does not exist yet, its parent's create_sessions.
// What a hostile client, approver or CAS host can do here -> what we answer
//   replay a signature for another session, CAS, version or branch -> all of them are among the signed bytes
//   replay it later                  -> not_after is signed, and the predecessor is gone once the change was made
//   turn an objection into approval  -> they carry different labels
//   count one key twice              -> keys are counted, not signatures
//   hide an objection                -> cannot be detected here; a time lock gives those who object time to be heard
//   set CAS's clock                  -> `now` is the caller's: CAS never lets it fall below the newest logged time
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "crypto/bytes.h"
#include "crypto/signature.h"
#include "policy/session.h"

namespace casemate::policy {

enum class Decision { kApprove, kReject };

// Which change: everything that a signature binds besides decision and time.
struct Change {
  std::string log_id;                      // 64 hex digits
  std::string session;                     // name
  std::string hash;                        // of the new version, 64 hex digits
  std::optional<std::string> predecessor;  // hash of the stored version; none: the session is created
};

// label ‖ 0x00 ‖ log id (32) ‖ u32 size of name ‖ name ‖ hash (32) ‖ predecessor (1 + 32) ‖ u64 not_after, numbers
// big-endian. Labels: "casemate session approval v1", "casemate session rejection v1". Errors: kFormat when a hash or
// id is not 64 hex digits.
Result<crypto::Bytes> signed_bytes(const Change& change, Decision decision, std::uint64_t not_after);

struct SignedDecision {
  Decision decision = Decision::kApprove;
  crypto::Bytes signer;  // SubjectPublicKeyInfo
  std::uint64_t not_after = 0;
  crypto::Bytes signature;
};

// Errors: kUsage for keys other than Ed25519, P-256, P-384; kFormat as above.
Result<SignedDecision> sign_decision(const Change& change, Decision decision, std::uint64_t not_after,
                                     const crypto::PrivateKey& key);

// Whether the signature is good for exactly this change, its time aside.
bool verify_decision(const Change& change, const SignedDecision& decision);

// The client that brings the change, as its TLS connection authenticated it.
struct Caller {
  std::string key_hash;         // SHA-256 of its public key, 64 hex digits; empty: none
  std::string certificate_hex;  // DER
};

struct ApprovalInput {
  Change change;
  std::span<const SignedDecision> decisions;
  Caller caller;
  std::string creator_key_hash;   // of who created the session; empty: unknown
  std::uint64_t now = 0;          // seconds since 1970
  std::uint64_t proposed_at = 0;  // when this change was first made durable
};

enum class Outcome {
  kGranted,
  kWaiting,  // enough approvals, the time lock is not over
  kMissing,  // not enough approvals
  kVetoed,
};

struct Verdict {
  Outcome outcome = Outcome::kMissing;
  std::uint64_t effective_at = 0;        // kWaiting, kGranted: when the lock ends or ended
  std::vector<std::string> counted;      // key hashes that were counted, 64 hex digits
  std::vector<std::string> explanation;  // for people: what counted, what did not and why, what is missing
};

// Threads: any. Costs one signature verification per decision.
Verdict evaluate(const AccessRule& rule, const ApprovalInput& input);

// The rules that hold where a session says nothing: CREATOR only; create_sessions is then as update.
AccessRule read_rule(const AccessPolicy& policy);
AccessRule update_rule(const AccessPolicy& policy);
AccessRule create_rule(const AccessPolicy& policy);

}  // namespace casemate::policy
