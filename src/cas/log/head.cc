#include "cas/log/head.h"

#include <algorithm>

#include "cas/log/text_lines.h"

namespace casemate::cas {
namespace {

using internal::LineReader;

constexpr std::string_view kLogIdLabel = "casemate log id v1\n";
constexpr std::string_view kKeyStepLabel = "casemate log key v1\n";
constexpr std::string_view kOriginPrefix = "casemate/log/";
constexpr std::string_view kSignatureMark = "\xE2\x80\x94 ";  // em dash and space, as signed-note wants
constexpr std::byte kEd25519Type{0x01};                       // signature type of signed-note
constexpr std::size_t kKeyIdSize = 4, kSignatureSize = 64, kMostSignatures = 16, kLargestNote = 16 * 1024;

Error wrong(const std::string& what) { return Error(ErrorCategory::kFormat, what); }

std::string body_of(const TreeHead& head) {
  return log_origin(head.log_id) + '\n' + std::to_string(head.size) + '\n' + crypto::to_base64(head.root) + '\n' +
         "time " + std::to_string(head.time) + '\n' + "epoch " + std::to_string(head.epoch) + '\n';
}

// Key id of signed-note: the first bytes of SHA-256(name || newline || type || key).
Bytes key_id_of(const std::string& name, const LogKey& key) {
  Bytes input = crypto::to_bytes(crypto::as_byte_view(name + '\n'));
  input.push_back(kEd25519Type);
  crypto::append(input, key);
  const Digest digest = crypto::sha256(input);
  return Bytes(digest.begin(), digest.begin() + kKeyIdSize);
}

Bytes key_step_statement(const Digest& log_id, std::uint64_t index, const LogKey& new_key) {
  Bytes statement = crypto::to_bytes(crypto::as_byte_view(kKeyStepLabel));
  crypto::append(statement, log_id);
  for (int shift = 56; shift >= 0; shift -= 8) statement.push_back(static_cast<std::byte>(index >> shift));
  crypto::append(statement, new_key);
  return statement;
}

bool is_signed_by(const LogKey& key, ByteView message, ByteView signature) {
  const auto public_key = crypto::PublicKey::from_ed25519(key);
  return public_key.has_value() && public_key.value().verify(crypto::SignatureScheme::kEd25519, message, signature);
}

Result<std::uint64_t> number_behind(LineReader& lines, std::string_view keyword) {
  const auto words = CASEMATE_TRY(lines.words(keyword, 2));
  return internal::parse_number(words.front());
}

Result<Digest> parse_origin(std::string_view line) {
  if (!line.starts_with(kOriginPrefix)) return wrong("log head: not of a Casemate log");
  return internal::parse_digest(line.substr(kOriginPrefix.size()));
}

// Base64 in its one canonical form: what decodes must encode to the same text.
Result<Bytes> parse_base64(std::string_view text) {
  Bytes bytes = CASEMATE_TRY(crypto::from_base64(text));
  if (crypto::to_base64(bytes) != text) return wrong("log head: base64 in an unusual form");
  return bytes;
}

Result<NoteSignature> parse_signature(std::string_view line) {
  if (!line.starts_with(kSignatureMark)) return wrong("log head: a signature line was expected");
  const auto words = internal::split_words(line.substr(kSignatureMark.size()));
  if (words.size() != 2 || words[0].empty()) return wrong("log head: a signature line has a name and a signature");
  NoteSignature signature;
  signature.bytes = CASEMATE_TRY(parse_base64(words[1]));
  signature.name = words[0];
  if (signature.bytes.size() <= kKeyIdSize) return wrong("log head: a signature is too short");
  return signature;
}

}  // namespace

Digest log_id_of(const LogKey& first_key) {
  crypto::Sha256 hash;
  hash.update(crypto::as_byte_view(kLogIdLabel));
  hash.update(first_key);
  return hash.finish();
}

std::string log_origin(const Digest& log_id) { return std::string(kOriginPrefix) + crypto::to_hex(log_id); }

LogKey log_key_of(const crypto::PrivateKey& key) {
  LogKey raw{};
  const Bytes& bytes = key.public_key().raw();
  std::copy_n(bytes.begin(), std::min(bytes.size(), raw.size()), raw.begin());
  return raw;
}

Result<SignedHead> sign_head(const TreeHead& head, const crypto::PrivateKey& key) {
  const Bytes signature =
      CASEMATE_TRY(key.sign(crypto::SignatureScheme::kEd25519, crypto::as_byte_view(body_of(head))));
  NoteSignature note{log_origin(head.log_id), {}};
  note.bytes = key_id_of(note.name, log_key_of(key));
  crypto::append(note.bytes, signature);
  return SignedHead{head, {std::move(note)}};
}

Result<KeyStep> sign_key_step(const Digest& log_id, std::uint64_t index, const LogKey& new_key,
                              const crypto::PrivateKey& old_key) {
  const Bytes statement = key_step_statement(log_id, index, new_key);
  return KeyStep{index, new_key, CASEMATE_TRY(old_key.sign(crypto::SignatureScheme::kEd25519, statement))};
}

Result<void> verify_keys(const LogKeys& keys, const Digest& log_id) {
  if (log_id_of(keys.first) != log_id) return wrong("the first key is not that of log " + crypto::to_hex(log_id));
  const LogKey* current = &keys.first;
  std::uint64_t least_index = 1;  // entry 0 creates the log
  for (const KeyStep& step : keys.steps) {
    if (step.index < least_index) return wrong("the log's keys are out of order");
    if (!is_signed_by(*current, key_step_statement(log_id, step.index, step.new_key), step.signature)) {
      return wrong("the key introduced by entry " + std::to_string(step.index) + " is not signed by the key before");
    }
    current = &step.new_key;
    least_index = step.index + 1;
  }
  return {};
}

const LogKey& key_for_size(const LogKeys& keys, std::uint64_t size) {
  const LogKey* key = &keys.first;
  for (const KeyStep& step : keys.steps) {
    if (step.index < size) key = &step.new_key;
  }
  return *key;
}

Result<void> verify_head(const SignedHead& head, const LogKeys& keys) {
  if (auto chain = verify_keys(keys, head.head.log_id); !chain) return chain;
  const LogKey& key = key_for_size(keys, head.head.size);
  const std::string name = log_origin(head.head.log_id);
  const Bytes key_id = key_id_of(name, key);
  for (const NoteSignature& signature : head.signatures) {
    const ByteView bytes = signature.bytes;
    if (signature.name != name || bytes.size() != kKeyIdSize + kSignatureSize) continue;
    if (!crypto::equal(bytes.first(kKeyIdSize), key_id)) continue;
    if (is_signed_by(key, crypto::as_byte_view(body_of(head.head)), bytes.subspan(kKeyIdSize))) return {};
  }
  return wrong("the head of size " + std::to_string(head.head.size) + " is not signed by the log's key of that time");
}

std::string to_note(const SignedHead& head) {
  std::string note = body_of(head.head) + '\n';
  for (const NoteSignature& signature : head.signatures) {
    note += std::string(kSignatureMark) + signature.name + ' ' + crypto::to_base64(signature.bytes) + '\n';
  }
  return note;
}

Result<SignedHead> parse_note(std::string_view note) {
  if (note.size() > kLargestNote) return wrong("log head: larger than 16 KiB");
  LineReader lines(note, "log head");
  SignedHead head;
  const std::string_view origin = CASEMATE_TRY(lines.line());
  head.head.log_id = CASEMATE_TRY(parse_origin(origin));
  const std::string_view size = CASEMATE_TRY(lines.line());
  head.head.size = CASEMATE_TRY(internal::parse_number(size));
  const std::string_view root_text = CASEMATE_TRY(lines.line());
  const Bytes root = CASEMATE_TRY(parse_base64(root_text));
  if (root.size() != head.head.root.size()) return wrong("log head: a root has 32 bytes");
  std::copy(root.begin(), root.end(), head.head.root.begin());
  head.head.time = CASEMATE_TRY(number_behind(lines, "time"));
  head.head.epoch = CASEMATE_TRY(number_behind(lines, "epoch"));
  if (auto empty = lines.expect(""); !empty) return empty.error();
  while (!lines.at_end()) {
    const std::string_view line = CASEMATE_TRY(lines.line());
    head.signatures.push_back(CASEMATE_TRY(parse_signature(line)));
    if (head.signatures.size() > kMostSignatures) return wrong("log head: too many signatures");
  }
  if (head.signatures.empty()) return wrong("log head: not signed");
  return head;
}

}  // namespace casemate::cas
