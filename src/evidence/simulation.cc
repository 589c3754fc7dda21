#include "evidence/simulation.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "crypto/hash.h"

namespace casemate::evidence {
namespace {

using crypto::Bytes;
using crypto::ByteView;

constexpr std::string_view kMagic = "CASEMEVP";  // of the whole
constexpr std::string_view kStatementLabel = "casemate process statement";
constexpr std::string_view kNonceLabel = "casemate statement nonce";
constexpr std::string_view kNodeLabel = "casemate node key";
constexpr std::size_t kLabelSize = 32;
constexpr std::uint32_t kVersion = 1;
constexpr std::uint32_t kSchemeP256 = 1;
constexpr std::size_t kKeySize = 64, kSignatureSize = 64;
constexpr std::size_t kHeaderSize = 8 + 4 + 4;
constexpr std::size_t kFixedSize = kHeaderSize + kProcessStatementSize + 4 + kKeySize + kSignatureSize + 4;

Error malformed(const std::string& what) { return Error(ErrorCategory::kFormat, "process evidence: " + what); }

template <typename Integer>
void put(Bytes& out, Integer value) {
  for (std::size_t i = 0; i < sizeof(value); ++i) out.push_back(static_cast<std::byte>(value >> (8 * i)));
}
void put_label(Bytes& out, std::string_view label) {
  crypto::append(out, crypto::as_byte_view(label));
  out.resize(out.size() + kLabelSize - label.size());
}

// Takes pieces off the front; the caller compares sizes with left() before.
class Cursor {
 public:
  explicit Cursor(ByteView rest) : rest_(rest) {}
  std::size_t left() const { return rest_.size(); }
  ByteView take(std::size_t size) {
    const ByteView piece = rest_.first(size);
    rest_ = rest_.subspan(size);
    return piece;
  }
  template <typename Integer>
  Integer number() {
    std::uint64_t value = 0;
    const ByteView piece = take(sizeof(Integer));
    for (std::size_t i = 0; i < piece.size(); ++i) value |= std::to_integer<std::uint64_t>(piece[i]) << (8 * i);
    return static_cast<Integer>(value);
  }
  template <std::size_t kSize>
  void fill(std::array<std::byte, kSize>& out) {
    std::ranges::copy(take(kSize), out.begin());
  }
  bool take_label(std::string_view label) {
    const ByteView piece = take(kLabelSize);
    return crypto::equal(piece.first(label.size()), crypto::as_byte_view(label)) &&
           crypto::is_all_zero(piece.subspan(label.size()));
  }

 private:
  ByteView rest_;
};

bool is_known(LasBackend backend) {
  return backend == LasBackend::kSimulation || backend == LasBackend::kTdx || backend == LasBackend::kSnp;
}
bool is_known(StatementPurpose purpose) {
  return purpose == StatementPurpose::kRun || purpose == StatementPurpose::kProvision;
}

Result<ProcessStatement> parse_statement(ByteView bytes) {
  Cursor cursor(bytes);
  ProcessStatement statement;
  if (!cursor.take_label(kStatementLabel)) return malformed("the statement has another label");
  if (cursor.number<std::uint32_t>() != kVersion) return malformed("unknown version of the statement");
  statement.purpose = static_cast<StatementPurpose>(cursor.number<std::uint32_t>());
  statement.backend = static_cast<LasBackend>(cursor.number<std::uint32_t>());
  statement.caller_checks = cursor.number<std::uint32_t>();
  cursor.fill(statement.measurement);
  cursor.fill(statement.nonce_digest);
  cursor.fill(statement.las_key_id);
  cursor.fill(statement.node_digest);
  statement.issued_at = cursor.number<std::uint64_t>();
  if (!is_known(statement.purpose)) return malformed("unknown purpose");
  if (!is_known(statement.backend)) return malformed("unknown back end");
  if ((statement.caller_checks & ~(kCallerInspected | kCallerSetGroup | kCallerHosted)) != 0)
    return malformed("unknown caller checks");
  if (!crypto::is_all_zero(cursor.take(cursor.left()))) return malformed("reserved bytes are not zero");
  return statement;
}

Result<NodePart> parse_node_part(ByteView bytes) {
  Cursor cursor(bytes);
  NodePart node;
  if (cursor.left() < node.nonce.size() + 8 + 4) return malformed("the node part is too short");
  cursor.fill(node.nonce);
  node.issued_at = cursor.number<std::uint64_t>();
  const auto quote_size = cursor.number<std::uint32_t>();
  if (quote_size == 0 || quote_size > cursor.left()) return malformed("size of the node's quote");
  node.quote = crypto::to_bytes(cursor.take(quote_size));
  if (cursor.left() < 4) return malformed("the node part is too short");
  const auto auxiliary_size = cursor.number<std::uint32_t>();
  if (auxiliary_size != cursor.left()) return malformed("size of the node's auxiliary data");
  node.auxiliary = crypto::to_bytes(cursor.take(auxiliary_size));
  return node;
}

}  // namespace

Digest64 statement_nonce_digest(StatementPurpose purpose, ByteView nonce) {
  Bytes message;
  put_label(message, kNonceLabel);
  put(message, kVersion);
  put(message, static_cast<std::uint32_t>(purpose));
  put(message, static_cast<std::uint32_t>(nonce.size()));
  crypto::append(message, nonce);
  return crypto::sha512(message);
}

Digest32 las_key_id(const crypto::PublicKey& key) { return crypto::sha256(key.to_subject_public_key_info()); }

Digest64 node_report_data(LasBackend backend, const Digest32& las_key_id, const Digest32& nonce) {
  Bytes message;
  put_label(message, kNodeLabel);
  put(message, kVersion);
  put(message, static_cast<std::uint32_t>(backend));
  crypto::append(message, las_key_id);
  crypto::append(message, nonce);
  return crypto::sha512(message);
}

Bytes encode_statement(const ProcessStatement& statement) {
  Bytes out;
  out.reserve(kProcessStatementSize);
  put_label(out, kStatementLabel);
  put(out, kVersion);
  put(out, static_cast<std::uint32_t>(statement.purpose));
  put(out, static_cast<std::uint32_t>(statement.backend));
  put(out, statement.caller_checks);
  crypto::append(out, statement.measurement);
  crypto::append(out, statement.nonce_digest);
  crypto::append(out, statement.las_key_id);
  crypto::append(out, statement.node_digest);
  put(out, statement.issued_at);
  out.resize(kProcessStatementSize);
  return out;
}

Bytes encode_node_part(const NodePart& node) {
  Bytes out;
  crypto::append(out, node.nonce);
  put(out, node.issued_at);
  put(out, static_cast<std::uint32_t>(node.quote.size()));
  crypto::append(out, node.quote);
  put(out, static_cast<std::uint32_t>(node.auxiliary.size()));
  crypto::append(out, node.auxiliary);
  return out;
}

Digest32 node_part_digest(const NodePart& node) { return crypto::sha256(encode_node_part(node)); }

Bytes serialize(const ProcessEvidence& evidence) {
  const Bytes node = evidence.node.has_value() ? encode_node_part(*evidence.node) : Bytes();
  Bytes out;
  crypto::append(out, crypto::as_byte_view(kMagic));
  put(out, kVersion);
  put(out, static_cast<std::uint32_t>(kFixedSize + node.size()));
  crypto::append(out, encode_statement(evidence.statement));
  put(out, kSchemeP256);
  crypto::append(out, evidence.public_key);
  crypto::append(out, evidence.signature);
  put(out, static_cast<std::uint32_t>(node.size()));
  crypto::append(out, node);
  return out;
}

bool looks_like_process_evidence(ByteView bytes) {
  return bytes.size() >= kMagic.size() && crypto::equal(bytes.first(kMagic.size()), crypto::as_byte_view(kMagic));
}

Result<ProcessEvidence> parse_process_evidence(ByteView bytes) {
  if (!looks_like_process_evidence(bytes)) return malformed("does not start as such");
  if (bytes.size() < kFixedSize) return malformed("truncated");
  if (bytes.size() > kProcessEvidenceMaximumSize) return malformed("too long");
  Cursor cursor(bytes);
  cursor.take(kMagic.size());
  if (cursor.number<std::uint32_t>() != kVersion) return malformed("unknown version");
  if (cursor.number<std::uint32_t>() != bytes.size()) return malformed("its size field differs from its size");
  ProcessEvidence evidence;
  evidence.statement = CASEMATE_TRY(parse_statement(cursor.take(kProcessStatementSize)));
  if (cursor.number<std::uint32_t>() != kSchemeP256) return malformed("unknown signature scheme");
  evidence.public_key = crypto::to_bytes(cursor.take(kKeySize));
  evidence.signature = crypto::to_bytes(cursor.take(kSignatureSize));
  const auto node_size = cursor.number<std::uint32_t>();
  if (node_size != cursor.left()) return malformed("size of the node part");
  const bool simulated = evidence.statement.backend == LasBackend::kSimulation;
  if (simulated != (node_size == 0)) return malformed("a node part belongs to hardware back ends, and only to them");
  if (!simulated) evidence.node = CASEMATE_TRY(parse_node_part(cursor.take(node_size)));
  return evidence;
}

Result<void> check_process_evidence(const ProcessEvidence& evidence) {
  const crypto::PublicKey key =
      CASEMATE_TRY(crypto::PublicKey::from_point(crypto::KeyKind::kEcP256, evidence.public_key));
  if (las_key_id(key) != evidence.statement.las_key_id) {
    return malformed("the statement names another LAS key than the one beside it");
  }
  const Digest32 node = evidence.node.has_value() ? node_part_digest(*evidence.node) : Digest32{};
  if (node != evidence.statement.node_digest) return malformed("the node part is not the one that was signed");
  if (!key.verify(crypto::SignatureScheme::kEcdsaP256Sha256, encode_statement(evidence.statement),
                  evidence.signature)) {
    return malformed("the LAS's signature does not fit the statement");
  }
  return {};
}

const char* name_of(LasBackend backend) {
  switch (backend) {
    case LasBackend::kSimulation:
      return "simulation";
    case LasBackend::kTdx:
      return "tdx";
    case LasBackend::kSnp:
      break;
  }
  return "snp";
}

const char* name_of(StatementPurpose purpose) { return purpose == StatementPurpose::kRun ? "run" : "provision"; }

}  // namespace casemate::evidence
