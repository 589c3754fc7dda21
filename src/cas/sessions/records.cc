#include "cas/sessions/records.h"

#include <algorithm>

#include "cas/log/cbor.h"

namespace casemate::cas {
namespace {

constexpr std::uint64_t kFormatVersion = 1;
constexpr std::uint64_t kMaxDecisions = 256;

ByteView view_of(const std::optional<Digest>& digest) { return digest ? ByteView(*digest) : ByteView(); }

Result<Digest> read_digest(CborReader& reader) {
  const ByteView bytes = CASEMATE_TRY(reader.byte_string());
  Digest digest{};
  if (bytes.size() != digest.size()) return Error(ErrorCategory::kFormat, "a digest of the store has another size");
  std::copy(bytes.begin(), bytes.end(), digest.begin());
  return digest;
}

Result<std::optional<Digest>> read_optional_digest(CborReader& reader) {
  const ByteView bytes = CASEMATE_TRY(reader.byte_string());
  if (bytes.empty()) return std::optional<Digest>();
  Digest digest{};
  if (bytes.size() != digest.size()) return Error(ErrorCategory::kFormat, "a digest of the store has another size");
  std::copy(bytes.begin(), bytes.end(), digest.begin());
  return std::optional<Digest>(digest);
}

Result<std::string> read_text(CborReader& reader) {
  const ByteView bytes = CASEMATE_TRY(reader.byte_string());
  return std::string(crypto::as_text(bytes));
}

// The array's head and the format's version, of a row with `size` elements.
Result<void> begin(CborReader& reader, std::uint64_t size) {
  const std::uint64_t count = CASEMATE_TRY(reader.array(size));
  const std::uint64_t version = CASEMATE_TRY(reader.unsigned_number());
  if (count != size || version != kFormatVersion) {
    return Error(ErrorCategory::kFormat, "a row of the store has a form that this version does not know");
  }
  return {};
}

Result<policy::SignedDecision> read_decision(CborReader& reader) {
  policy::SignedDecision decision;
  if (CASEMATE_TRY(reader.array(4)) != 4) return Error(ErrorCategory::kFormat, "a stored decision is incomplete");
  const std::uint64_t kind = CASEMATE_TRY(reader.unsigned_number());
  if (kind > 1) return Error(ErrorCategory::kFormat, "a stored decision is neither approval nor objection");
  decision.decision = kind == 0 ? policy::Decision::kApprove : policy::Decision::kReject;
  const ByteView signer = CASEMATE_TRY(reader.byte_string());
  decision.signer = crypto::to_bytes(signer);
  decision.not_after = CASEMATE_TRY(reader.unsigned_number());
  const ByteView signature = CASEMATE_TRY(reader.byte_string());
  decision.signature = crypto::to_bytes(signature);
  return decision;
}

void write_decision(CborWriter& writer, const policy::SignedDecision& decision) {
  writer.array(4);
  writer.unsigned_number(decision.decision == policy::Decision::kApprove ? 0 : 1);
  writer.byte_string(decision.signer);
  writer.unsigned_number(decision.not_after);
  writer.byte_string(decision.signature);
}

}  // namespace

SecretValue encode(const SessionRecord& record) {
  CborWriter writer;
  writer.array(7);
  writer.unsigned_number(kFormatVersion);
  writer.unsigned_number(record.version);
  writer.byte_string(crypto::as_byte_view(record.text));
  writer.byte_string(record.hash);
  writer.byte_string(record.creator);
  writer.unsigned_number(record.created);
  writer.byte_string(view_of(record.predecessor));
  return SecretValue(writer.take());
}

Result<SessionRecord> decode_session_record(ByteView bytes) {
  CborReader reader(bytes);
  if (auto begun = begin(reader, 7); !begun) return begun.error();
  SessionRecord record;
  record.version = CASEMATE_TRY(reader.unsigned_number());
  record.text = CASEMATE_TRY(read_text(reader));
  record.hash = CASEMATE_TRY(read_digest(reader));
  record.creator = CASEMATE_TRY(read_digest(reader));
  record.created = CASEMATE_TRY(reader.unsigned_number());
  record.predecessor = CASEMATE_TRY(read_optional_digest(reader));
  if (auto finished = reader.finish(); !finished) return finished.error();
  return record;
}

SecretValue encode(const ProposalRecord& record) {
  CborWriter writer;
  writer.array(9);
  writer.unsigned_number(kFormatVersion);
  writer.text_string(record.session);
  writer.byte_string(crypto::as_byte_view(record.text));
  writer.byte_string(view_of(record.predecessor));
  writer.byte_string(record.proposer);
  writer.byte_string(record.certificate);
  writer.unsigned_number(record.proposed_at);
  writer.unsigned_number(record.expires);
  writer.array(record.decisions.size());
  for (const policy::SignedDecision& decision : record.decisions) write_decision(writer, decision);
  return SecretValue(writer.take());
}

Result<ProposalRecord> decode_proposal_record(ByteView bytes) {
  CborReader reader(bytes);
  if (auto begun = begin(reader, 9); !begun) return begun.error();
  ProposalRecord record;
  record.session = CASEMATE_TRY(reader.text_string());
  record.text = CASEMATE_TRY(read_text(reader));
  record.predecessor = CASEMATE_TRY(read_optional_digest(reader));
  record.proposer = CASEMATE_TRY(read_digest(reader));
  const ByteView certificate = CASEMATE_TRY(reader.byte_string());
  record.certificate = crypto::to_bytes(certificate);
  record.proposed_at = CASEMATE_TRY(reader.unsigned_number());
  record.expires = CASEMATE_TRY(reader.unsigned_number());
  const std::uint64_t count = CASEMATE_TRY(reader.array(kMaxDecisions));
  for (std::uint64_t i = 0; i < count; ++i) {
    policy::SignedDecision decision = CASEMATE_TRY(read_decision(reader));
    record.decisions.push_back(std::move(decision));
  }
  if (auto finished = reader.finish(); !finished) return finished.error();
  return record;
}

}  // namespace casemate::cas
