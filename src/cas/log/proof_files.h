// What of the log can leave the CAS and be checked by anybody without it: receipts of single entries, consistency
// proofs between two heads, and exports of a whole log (docs/formats/log.md). All three are text.
//
// What a hostile sender can do here -> what we answer
//   change, drop, add or reorder entries or hashes -> the root does not come out, or its signature does not fit
//   present entries of another log                 -> the caller names the log id that it trusts
//   present an old export                          -> not visible in it: the caller gives the newest head that it knows
//   huge numbers, lines, proofs                    -> numbers size nothing; proofs have at most kLongestProof hashes
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cas/log/entry.h"
#include "cas/log/head.h"

namespace casemate::cas {

// Proves that an entry is in the log: what a release or a session change is answered with.
struct Receipt {
  LogKeys keys;
  std::uint64_t index = 0;
  LeafSalt salt{};
  Bytes entry;
  std::vector<Digest> path;
  SignedHead head;
};

// Proves that `newer` continues `older`.
struct ConsistencyProof {
  LogKeys keys;
  SignedHead older, newer;
  std::vector<Digest> path;
};

// An entry with what its leaf was made of; without, only the hash is known to the holder of the export.
struct DisclosedEntry {
  LeafSalt salt{};
  Bytes entry;
};

struct ExportedLeaf {
  Digest hash{};
  std::optional<DisclosedEntry> disclosed;
};

struct LogExport {
  LogKeys keys;
  std::vector<ExportedLeaf> leaves;  // all, from the first
  SignedHead head;                   // of exactly these leaves
};

enum class ProofFileKind { kReceipt, kConsistency, kExport };
// By its first line; nothing when it is none of them.
std::optional<ProofFileKind> kind_of_proof_file(std::string_view text);

std::string to_text(const Receipt& receipt);
std::string to_text(const ConsistencyProof& proof);
std::string to_text(const LogExport& log);

// Errors: kFormat with the line. They verify nothing. Each accepts only what to_text makes.
Result<Receipt> parse_receipt(std::string_view text);
Result<ConsistencyProof> parse_consistency_proof(std::string_view text);
Result<LogExport> parse_export(std::string_view text);

// Whether each shows what it claims about the log `log_id`. Errors: kFormat, with what is wrong.
Result<Entry> verify_receipt(const Receipt& receipt, const Digest& log_id);
Result<void> verify_consistency_proof(const ConsistencyProof& proof, const Digest& log_id);
// Also: the entry that creates the log and every key and epoch change are disclosed and agree with keys and head; times
// and epochs of disclosed entries never fall.
Result<void> verify_export(const LogExport& log, const Digest& log_id);
// That an older head, whoever kept it, is one of the export's beginnings. Requires: verify_export succeeded.
Result<void> verify_continues(const LogExport& log, const SignedHead& older);

// Whether entries of this type are disclosed in every export, because the log cannot be verified without them.
bool is_always_disclosed(const Entry& entry);

// Proofs out of an export. Errors: kUsage when out of range or not disclosed.
Result<Receipt> receipt_from(const LogExport& log, std::uint64_t index);
// The path from the first `old_size` leaves to all.
Result<std::vector<Digest>> consistency_path_from(const LogExport& log, std::uint64_t old_size);

}  // namespace casemate::cas
