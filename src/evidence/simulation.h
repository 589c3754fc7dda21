// Evidence that a local attestation service (LAS) gives about one process: a typed statement, signed with the LAS's own
// key. With the back end `simulation` that is all, and the key is software: such evidence counts only where a policy
// pins the key's id. With `tdx` and `snp` a node part follows: the hardware's quote, which binds the LAS key.
// docs/las.md has the layout byte by byte. All integers are little-endian.
//
// What a hostile peer can do here -> what we answer
//  - lie in size fields, append, truncate, use reserved bytes -> kFormat; nothing is allocated from a length that has
//    not been compared with what is there
//  - turn simulation into hardware, swap keys, nonces, node parts -> the signed statement names back end, key id and
//    the digest of the node part; check_process_evidence() compares them all
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "base/result.h"
#include "crypto/bytes.h"
#include "crypto/signature.h"

namespace casemate::evidence {

enum class LasBackend : std::uint32_t { kSimulation = 1, kTdx = 2, kSnp = 3 };

// What the asker wants to use the evidence for. A verifier expects exactly one.
enum class StatementPurpose : std::uint32_t {
  kRun = 1,        // `casemate run --attest`: the nonce is the one given there
  kProvision = 2,  // runtime to CAS: the nonce is the bound value of the channel
};

// How the LAS convinced itself of the caller (bits); docs/las.md, "The argument".
inline constexpr std::uint32_t kCallerInspected = 1;  // process image looked at before and after the request
inline constexpr std::uint32_t kCallerSetGroup = 2;   // and the kernel vouches for it by a set-group-id executable
inline constexpr std::uint32_t kCallerHosted = 4;     // its executable says that it runs no programs; judged so

inline constexpr std::size_t kProcessEvidenceMaximumSize = 48 * 1024;
inline constexpr std::size_t kProcessStatementSize = 256;
inline constexpr std::size_t kNodePartMaximumSize = 40 * 1024;

using Digest32 = std::array<std::byte, 32>;
using Digest64 = std::array<std::byte, 64>;

struct ProcessStatement {
  LasBackend backend = LasBackend::kSimulation;
  StatementPurpose purpose = StatementPurpose::kRun;
  std::uint32_t caller_checks = 0;
  Digest32 measurement = {};    // of the runtime executable (`casemate measure`)
  Digest64 nonce_digest = {};   // statement_nonce_digest()
  Digest32 las_key_id = {};     // las_key_id()
  Digest32 node_digest = {};    // SHA-256 of the node part; all zero in simulation
  std::uint64_t issued_at = 0;  // seconds since 1970 by the host's clock: for people, never for freshness
};

// The hardware's word for the LAS key.
struct NodePart {
  Digest32 nonce = {};          // what the quote was made fresh with
  std::uint64_t issued_at = 0;  // as above
  crypto::Bytes quote;          // TDX quote or SNP report
  crypto::Bytes auxiliary;      // SNP certificate table, may be empty
};

struct ProcessEvidence {
  ProcessStatement statement;
  crypto::Bytes public_key;  // P-256, x || y
  crypto::Bytes signature;   // ECDSA with SHA-256 over encode_statement(): r || s
  std::optional<NodePart> node;
};

// Nonces have 1 to 64 bytes.
Digest64 statement_nonce_digest(StatementPurpose purpose, crypto::ByteView nonce);
// SHA-256 of the key's SubjectPublicKeyInfo.
Digest32 las_key_id(const crypto::PublicKey& key);
// What the quote of a node must carry as report data.
Digest64 node_report_data(LasBackend backend, const Digest32& las_key_id, const Digest32& nonce);

// Exactly the kProcessStatementSize bytes that are signed.
crypto::Bytes encode_statement(const ProcessStatement& statement);
crypto::Bytes encode_node_part(const NodePart& node);
Digest32 node_part_digest(const NodePart& node);

crypto::Bytes serialize(const ProcessEvidence& evidence);
// True when `bytes` start as process evidence does: for readers that take several formats.
bool looks_like_process_evidence(crypto::ByteView bytes);
// Errors: kFormat.
Result<ProcessEvidence> parse_process_evidence(crypto::ByteView bytes);

// That the statement is signed with the key beside it and names that key and that node part. Says nothing about
// whether the key is to be trusted: compare statement.las_key_id with a pin (simulation), or verify node->quote against
// node_report_data() (hardware). Errors: kFormat with what does not fit.
Result<void> check_process_evidence(const ProcessEvidence& evidence);

const char* name_of(LasBackend backend);
const char* name_of(StatementPurpose purpose);

}  // namespace casemate::evidence
