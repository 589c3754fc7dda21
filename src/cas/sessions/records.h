// Rows of sessions and of proposed changes, as they stand in the store (sealed). Deterministic CBOR:
//
//   SessionRecord  = [1, version u, text b, hash b32, creator b32, created ms u, predecessor b (0 or 32 bytes)]
//   ProposalRecord = [1, session t, text b, predecessor b (0 or 32), proposer b32, certificate b, proposed ms u,
//                     expires ms u, [[decision u, signer b, not after s u, signature b]...]]
//
// Pure; threads: any. Decoders accept only what the encoders make; errors: kFormat.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cas/log/merkle.h"
#include "cas/store/secret_value.h"
#include "policy/approval.h"

namespace casemate::cas {

struct SessionRecord {
  std::uint64_t version = 0;  // 1, 2, ...
  std::string text;           // YAML as it was uploaded
  Digest hash{};              // of the canonical form
  Digest creator{};           // SHA-256 of the creator's SubjectPublicKeyInfo
  std::uint64_t created = 0;  // when this version became the current one, milliseconds since 1970
  std::optional<Digest> predecessor;
};

struct ProposalRecord {
  std::string session, text;
  std::optional<Digest> predecessor;
  Digest proposer{};                           // SHA-256 of the proposer's SubjectPublicKeyInfo
  Bytes certificate;                           // the proposer's, DER; may be empty
  std::uint64_t proposed_at = 0, expires = 0;  // milliseconds since 1970
  std::vector<policy::SignedDecision> decisions;
};

SecretValue encode(const SessionRecord& record);
Result<SessionRecord> decode_session_record(ByteView bytes);
SecretValue encode(const ProposalRecord& record);
Result<ProposalRecord> decode_proposal_record(ByteView bytes);

}  // namespace casemate::cas
