// What the transparency log records. Each entry is one typed structure with one encoding (docs/formats/log.md), so that
// its hash says what happened. Never in an entry: a secret's value, arguments, environment.
//
// Type and field numbers are stored: never renumber, never reuse.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "cas/log/merkle.h"

namespace casemate::cas {

inline constexpr std::size_t kLargestEntry = 64 * 1024;  // bytes, encoded

// What an approver signed (trust.md, section 4), with the signature, so that the log proves the approval by itself.
struct Approval {
  Digest key{};                      // SHA-256 of the approver's SubjectPublicKeyInfo
  std::string decision;              // "approve" or "veto"
  std::uint64_t not_after_time = 0;  // milliseconds since 1970
  Bytes signature;
};

// The first entry of every log.
struct LogCreated {
  Digest log_key{};  // Ed25519; the log id is derived from it
  std::string software;
};

struct SessionChange {
  std::string session;
  std::string action;  // "create", "update", "remove"
  std::uint64_t version = 0;
  std::optional<Digest> digest;       // of the canonical form; absent when removed
  std::optional<Digest> predecessor;  // digest of the version before
  Digest requester{};                 // SHA-256 of the client's key
  std::vector<Approval> approvals;
};

struct Verdict {
  std::string session, service;
  std::string outcome;   // "accepted"; refusals are counted in Refusals
  std::string evidence;  // "sgx", "tdx", "snp", "simulation"
  Digest evidence_digest{};
  Bytes measurement;
  Digest platform{};  // SHA-256 of the platform's identity
  std::string tcb_status;
  std::vector<std::string> advisories;
  Digest session_digest{};
  Digest runtime_key{};  // SHA-256 of the attested runtime's key
};

struct Release {
  std::string session, service;
  Digest session_digest{};
  std::uint64_t verdict = 0;         // index of its entry
  std::vector<std::string> secrets;  // names, with versions as "name@3"
  std::vector<std::string> volumes;
  Digest recipient{};  // SHA-256 of the attested runtime's key
};

// A key of the CAS itself. For purpose "log", `signature` is the old log key's (log.md, "Keys").
struct KeyRotation {
  std::string purpose;  // "log", "tls", "root", "wrapping", "store"
  std::string session;  // of a wrapping key; empty otherwise
  std::uint64_t version = 0;
  std::optional<Digest> new_key;  // Ed25519 key for "log"; SHA-256 of the public key for "tls"
  Bytes signature;
};

struct SecretRotation {
  std::string session, secret;
  std::uint64_t version = 0;
  std::string reason;
};

struct Revocation {
  std::string session;
  std::string kind;  // "certificate", "platform", "client key", "runtime key"
  Digest subject{};
  std::uint64_t generation = 0;  // of the session's trust
  std::string reason;
};

// From here on the log is the one of a restored or accepted older state: entries of the epoch before with index >=
// `continues_at` are abandoned.
struct EpochBegun {
  std::string cause;  // "restore", "accepted rollback"
  std::uint64_t continues_at = 0;
  Digest root{};  // of the tree of `continues_at` leaves
  std::vector<Approval> approvals;
};

// Refusals of one source over a time, in one entry: whoever is refused must not be able to fill the log.
struct Refusals {
  Digest source{};  // salted hash of what identifies the source
  std::string reason;
  std::uint64_t count = 0;
  std::uint64_t first_time = 0, last_time = 0;
};

struct OwnerClaim {
  Digest owner_key{};
  Digest evidence_digest{};
};

struct ApprovalGiven {
  std::string session;
  Digest digest{};  // of the proposed canonical form
  std::optional<Digest> predecessor;
  Approval approval;
};

struct CertificateIssued {
  std::string session, service;
  Digest key{};
  std::string serial;
  std::uint64_t not_after_time = 0;
};

// What the owner did to the CAS: anchor or unseal method changed, backup made, break-glass used, ...
struct Administration {
  std::string action;
  std::string detail;
  Digest requester{};
  std::vector<Approval> approvals;
};

// In the order of their type numbers, which begin at 1.
using EntryBody = std::variant<LogCreated, SessionChange, Verdict, Release, KeyRotation, SecretRotation, Revocation,
                               EpochBegun, Refusals, OwnerClaim, ApprovalGiven, CertificateIssued, Administration>;

struct Entry {
  std::uint64_t time = 0;  // milliseconds since 1970, never below the entry before
  std::uint64_t epoch = 0;
  EntryBody body;
};

// Errors: kUsage when the entry would be larger than kLargestEntry or has text that entries may not have.
Result<Bytes> encode_entry(const Entry& entry);
// Accepts exactly what encode_entry makes. Errors: kFormat.
Result<Entry> decode_entry(ByteView encoded);

// "session-change" and so on.
const char* entry_type_name(const Entry& entry);
// Everything but time and epoch, as words for people: names and values, one line each, without control characters.
std::vector<std::pair<std::string, std::string>> describe_entry(const Entry& entry);

}  // namespace casemate::cas
