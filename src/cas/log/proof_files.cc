// The text forms. What they prove is judged in proof_verify.cc.
#include "cas/log/proof_files.h"

#include "cas/log/text_lines.h"

namespace casemate::cas {
namespace {

using internal::LineReader;

constexpr std::string_view kReceiptTitle = "casemate-log-receipt v1";
constexpr std::string_view kConsistencyTitle = "casemate-log-consistency v1";
constexpr std::string_view kExportTitle = "casemate-log-export v1";

std::string text_of(const LogKeys& keys) {
  std::string text = "key " + crypto::to_hex(keys.first) + '\n';
  for (const KeyStep& step : keys.steps) {
    text += "next-key " + std::to_string(step.index) + ' ' + crypto::to_hex(step.new_key) + ' ' +
            crypto::to_hex(step.signature) + '\n';
  }
  return text;
}

Result<Digest> parse_digest_line(LineReader& lines, std::string_view keyword) {
  const auto words = CASEMATE_TRY(lines.words(keyword, 2));
  return internal::parse_digest(words.front());
}

Result<LogKeys> parse_keys(LineReader& lines) {
  LogKeys keys;
  keys.first = CASEMATE_TRY(parse_digest_line(lines, "key"));
  while (lines.next_keyword() == "next-key") {
    const auto words = CASEMATE_TRY(lines.words("next-key", 4));
    KeyStep step;
    step.index = CASEMATE_TRY(internal::parse_number(words[0]));
    step.new_key = CASEMATE_TRY(internal::parse_digest(words[1]));
    step.signature = CASEMATE_TRY(internal::parse_hex(words[2]));
    keys.steps.push_back(std::move(step));
  }
  return keys;
}

std::string text_of(const std::vector<Digest>& path) {
  std::string text;
  for (const Digest& hash : path) text += "path " + crypto::to_hex(hash) + '\n';
  return text;
}

Result<std::vector<Digest>> parse_path(LineReader& lines) {
  std::vector<Digest> path;
  while (lines.next_keyword() == "path") {
    path.push_back(CASEMATE_TRY(parse_digest_line(lines, "path")));
    if (path.size() > kLongestProof) return lines.failure("the path is too long");
  }
  return path;
}

// The older note of a consistency proof is followed by more, so each of its lines has a prefix.
constexpr std::string_view kQuote = "> ";

std::string quoted(const std::string& note) {
  std::string text;
  for (std::size_t begin = 0; begin < note.size();) {
    const std::size_t end = note.find('\n', begin) + 1;
    text += std::string(kQuote) + note.substr(begin, end - begin);
    begin = end;
  }
  return text;
}

Result<SignedHead> parse_quoted_note(LineReader& lines) {
  std::string note;
  while (lines.next_keyword() == ">") {
    const std::string_view line = CASEMATE_TRY(lines.line());
    if (!line.starts_with(kQuote)) return lines.failure("'> ' was expected");
    note += std::string(line.substr(kQuote.size())) + '\n';
  }
  return parse_note(note);
}

Result<SignedHead> parse_last_note(LineReader& lines) {
  if (auto done = lines.expect("head"); !done) return done.error();
  return parse_note(lines.rest());
}

Result<Bytes> parse_entry(std::string_view text) {
  if (text.size() > 2 * kLargestEntry) return Error(ErrorCategory::kFormat, "the entry is too large");
  return internal::parse_hex(text);
}

// "leaf HASH" or "leaf HASH SALT ENTRY".
Result<ExportedLeaf> parse_leaf(LineReader& lines) {
  const std::string_view line = CASEMATE_TRY(lines.line());
  const auto words = internal::split_words(line);
  if (words.size() != 2 && words.size() != 4) return lines.failure("a leaf has a hash, or a hash, a salt and an entry");
  ExportedLeaf leaf;
  leaf.hash = CASEMATE_TRY(internal::parse_digest(words[1]));
  if (words.size() == 4) {
    DisclosedEntry disclosed;
    disclosed.salt = CASEMATE_TRY(internal::parse_digest(words[2]));
    disclosed.entry = CASEMATE_TRY(parse_entry(words[3]));
    leaf.disclosed = std::move(disclosed);
  }
  return leaf;
}

}  // namespace

std::optional<ProofFileKind> kind_of_proof_file(std::string_view text) {
  const std::string_view title = text.substr(0, text.find('\n'));
  if (title == kReceiptTitle) return ProofFileKind::kReceipt;
  if (title == kConsistencyTitle) return ProofFileKind::kConsistency;
  if (title == kExportTitle) return ProofFileKind::kExport;
  return std::nullopt;
}

std::string to_text(const Receipt& receipt) {
  return std::string(kReceiptTitle) + '\n' + text_of(receipt.keys) + "index " + std::to_string(receipt.index) + '\n' +
         "salt " + crypto::to_hex(receipt.salt) + '\n' + "entry " + crypto::to_hex(receipt.entry) + '\n' +
         text_of(receipt.path) + "head\n" + to_note(receipt.head);
}

std::string to_text(const ConsistencyProof& proof) {
  return std::string(kConsistencyTitle) + '\n' + text_of(proof.keys) + quoted(to_note(proof.older)) +
         text_of(proof.path) + "head\n" + to_note(proof.newer);
}

std::string to_text(const LogExport& log) {
  std::string text = std::string(kExportTitle) + '\n' + text_of(log.keys);
  for (const ExportedLeaf& leaf : log.leaves) {
    text += "leaf " + crypto::to_hex(leaf.hash);
    if (leaf.disclosed)
      text += ' ' + crypto::to_hex(leaf.disclosed->salt) + ' ' + crypto::to_hex(leaf.disclosed->entry);
    text += '\n';
  }
  return text + "head\n" + to_note(log.head);
}

Result<Receipt> parse_receipt(std::string_view text) {
  LineReader lines(text, "receipt");
  if (auto title = lines.expect(kReceiptTitle); !title) return title.error();
  Receipt receipt;
  receipt.keys = CASEMATE_TRY(parse_keys(lines));
  const auto index = CASEMATE_TRY(lines.words("index", 2));
  receipt.index = CASEMATE_TRY(internal::parse_number(index.front()));
  receipt.salt = CASEMATE_TRY(parse_digest_line(lines, "salt"));
  const auto entry = CASEMATE_TRY(lines.words("entry", 2));
  receipt.entry = CASEMATE_TRY(parse_entry(entry.front()));
  receipt.path = CASEMATE_TRY(parse_path(lines));
  receipt.head = CASEMATE_TRY(parse_last_note(lines));
  return receipt;
}

Result<ConsistencyProof> parse_consistency_proof(std::string_view text) {
  LineReader lines(text, "consistency proof");
  if (auto title = lines.expect(kConsistencyTitle); !title) return title.error();
  ConsistencyProof proof;
  proof.keys = CASEMATE_TRY(parse_keys(lines));
  proof.older = CASEMATE_TRY(parse_quoted_note(lines));
  proof.path = CASEMATE_TRY(parse_path(lines));
  proof.newer = CASEMATE_TRY(parse_last_note(lines));
  return proof;
}

Result<LogExport> parse_export(std::string_view text) {
  LineReader lines(text, "log export");
  if (auto title = lines.expect(kExportTitle); !title) return title.error();
  LogExport log;
  log.keys = CASEMATE_TRY(parse_keys(lines));
  while (lines.next_keyword() == "leaf") {
    auto leaf = parse_leaf(lines);
    if (!leaf) return lines.failure(leaf.error().message());
    log.leaves.push_back(std::move(leaf).value());
  }
  log.head = CASEMATE_TRY(parse_last_note(lines));
  return log;
}

}  // namespace casemate::cas
