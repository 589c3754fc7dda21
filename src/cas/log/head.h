// Signed heads of the log, and the keys that sign them.
//
// A head is a note in the form of C2SP's tlog-checkpoint and signed-note (Ed25519), so that witnesses can cosign it as
// it is; our time and epoch are its extension lines (docs/formats/log.md, "Heads").
//
// The log id is derived from the first key. A later key is introduced by a signature of the key before it, so whoever
// knows the id can check every key that ever signed.
//
// What a hostile log or a hostile carrier can do here -> what we answer
//   sign with another key, for another log          -> the key chain does not lead there: refused
//   use a retired key for a newer tree              -> a key signs exactly the sizes between its introduction and the
//   next show two trees of one size, or drop the newest  -> not visible in one head: compare with heads kept
//   (consistency)
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cas/log/merkle.h"
#include "crypto/signature.h"

namespace casemate::cas {

using LogKey = std::array<std::byte, 32>;  // raw Ed25519 public key

struct TreeHead {
  Digest log_id{};
  std::uint64_t size = 0;
  Digest root{};
  std::uint64_t time = 0;  // milliseconds since 1970
  std::uint64_t epoch = 0;

  bool operator==(const TreeHead&) const = default;
};

struct NoteSignature {
  std::string name;
  Bytes bytes;  // 4 bytes that tell keys apart, then the signature
};

struct SignedHead {
  TreeHead head;
  // Ours first; then those of witnesses, which are carried but not judged here.
  std::vector<NoteSignature> signatures;
};

// From this key on: introduced by the entry `index`, so it signs the heads of sizes above `index`.
struct KeyStep {
  std::uint64_t index = 0;
  LogKey new_key{};
  Bytes signature;  // of the key before
};

struct LogKeys {
  LogKey first{};
  std::vector<KeyStep> steps;
};

Digest log_id_of(const LogKey& first_key);

// "casemate/log/<id in hex>": origin and key name of notes.
std::string log_origin(const Digest& log_id);

// Requires: `key` is an Ed25519 key. Errors: kSystem.
Result<SignedHead> sign_head(const TreeHead& head, const crypto::PrivateKey& key);
Result<KeyStep> sign_key_step(const Digest& log_id, std::uint64_t index, const LogKey& new_key,
                              const crypto::PrivateKey& old_key);
LogKey log_key_of(const crypto::PrivateKey& key);

// That the chain belongs to `log_id` and every step is signed. Errors: kFormat.
Result<void> verify_keys(const LogKeys& keys, const Digest& log_id);
// The key that signs heads of `size`.
const LogKey& key_for_size(const LogKeys& keys, std::uint64_t size);
// Errors: kFormat, with the reason: chain, or signature.
Result<void> verify_head(const SignedHead& head, const LogKeys& keys);

std::string to_note(const SignedHead& head);
// Errors: kFormat for anything but a note that to_note could have made. Verifies nothing.
Result<SignedHead> parse_note(std::string_view note);

}  // namespace casemate::cas
