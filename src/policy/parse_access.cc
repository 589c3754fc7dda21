// access_policy: who may read, update, create below, and break the glass. SCONE's words and keys, and our quorum trees.
#include <algorithm>

#include "crypto/bytes.h"
#include "crypto/signature.h"
#include "policy/parse_internal.h"

namespace casemate::policy::internal {
namespace {

constexpr std::uint64_t kMaxMembers = 64;

constexpr std::string_view kTermWords[] = {"CREATOR", "ANY", "NONE"};
constexpr TermKind kTermKinds[] = {TermKind::kCreator, TermKind::kAny, TermKind::kNone};

// What SCONE prints as key hash: 64 hex digits, or about 50 letters and digits in its version 5.
bool looks_like_key_hash(std::string_view text) {
  return text.size() >= 40 && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char letter) {
           return (letter >= '0' && letter <= '9') || (letter >= 'a' && letter <= 'z') ||
                  (letter >= 'A' && letter <= 'Z');
         });
}

std::string hex_of_certificate(Reader& reader, const Node& node) {
  Result<std::vector<crypto::Bytes>> blocks = crypto::from_pem(node.text, "CERTIFICATE");
  if (blocks && blocks.value().size() == 1) return crypto::to_hex(blocks.value().front());
  reader.out.error(node.where, "an access rule: this is no PEM certificate, or more than one",
                   "paste one whole PEM block");
  return "";
}

AccessTerm read_term(Reader& reader, const Node& node);

AccessTerm read_word_term(Reader& reader, const Node& node) {
  AccessTerm term;
  term.where = node.where;
  for (std::size_t i = 0; i < std::size(kTermWords); ++i) {
    if (node.text != kTermWords[i]) continue;
    term.kind = kTermKinds[i];
    return term;
  }
  if (node.text.find("-----BEGIN CERTIFICATE-----") != std::string::npos) {
    term.kind = TermKind::kCertificate;
    term.identity = hex_of_certificate(reader, node);
  } else if (node.text.find("-----BEGIN") != std::string::npos) {
    term.kind = TermKind::kSigner;
    term.identity = read_public_key(reader, node, "an access rule");
  } else if (looks_like_key_hash(node.text)) {
    term.kind = TermKind::kKeyHash;
    term.identity = node.text;
  } else {
    const std::string_view near = nearest(node.text, kTermWords);
    reader.out.error(
        node.where,
        "an access rule: expected CREATOR, ANY, NONE, a key hash, a PEM block or a mapping, found " + describe(node),
        near.empty() ? "a mapping is {signer: KEY} or {at_least: 2, of: [...]}"
                     : "did you mean `" + std::string(near) + "`?");
  }
  return term;
}

void read_signer(AccessTerm& term, const Node& node, Reader& reader) {
  term.kind = TermKind::kSigner;
  term.identity = read_public_key(reader, node, "`signer`");
}

void read_at_least(AccessTerm& term, const Node& node, Reader& reader) {
  term.kind = TermKind::kQuorum;
  term.at_least = static_cast<unsigned>(reader.integer(node, "`at_least`", 1, kMaxMembers));
}

void read_of(AccessTerm& term, const Node& node, Reader& reader) {
  term.of = reader.list<AccessTerm>(node, "`of`", "members", read_term);
}

void read_veto(AccessTerm& term, const Node& node, Reader& reader) {
  term.veto = reader.list<AccessTerm>(node, "`veto`", "members", read_term);
}

void read_time_lock(AccessTerm& term, const Node& node, Reader& reader) {
  term.time_lock = reader.duration(node, "`time_lock`");
}

constexpr Field<AccessTerm> kSignerFields[] = {{"signer", read_signer, Presence::kRequired}};
constexpr Field<AccessTerm> kQuorumFields[] = {
    {"at_least", read_at_least, Presence::kRequired},
    {"of", read_of, Presence::kRequired},
    {"veto", read_veto},
    {"time_lock", read_time_lock},
};

AccessTerm read_term(Reader& reader, const Node& node) {
  if (node.kind == NodeKind::kScalar) return read_word_term(reader, node);
  AccessTerm term;
  term.where = node.where;
  const bool is_signer =
      node.kind == NodeKind::kMapping && !node.entries.empty() && node.entries.front().key.text == "signer";
  if (is_signer) {
    read_mapping<AccessTerm>(term, node, "a signer", kSignerFields, reader);
  } else {
    term.kind = TermKind::kQuorum;
    read_mapping<AccessTerm>(term, node, "a quorum", kQuorumFields, reader);
  }
  return term;
}

AccessRule read_rule(Reader& reader, const Node& node, const char* name) {
  return reader.list<AccessTerm>(node, "`" + std::string(name) + "`", "who may", read_term);
}

constexpr Field<AccessPolicy> kAccessFields[] = {
    {"read",
     [](AccessPolicy& policy, const Node& node, Reader& reader) { policy.read = read_rule(reader, node, "read"); }},
    {"update",
     [](AccessPolicy& policy, const Node& node, Reader& reader) { policy.update = read_rule(reader, node, "update"); }},
    {"create_sessions", [](AccessPolicy& policy, const Node& node,
                           Reader& reader) { policy.create_sessions = read_rule(reader, node, "create_sessions"); }},
    {"break_glass", [](AccessPolicy& policy, const Node& node,
                       Reader& reader) { policy.break_glass = read_rule(reader, node, "break_glass"); }},
};

Result<crypto::PublicKey> decode_public_key(const std::string& text) {
  const Error no_key(ErrorCategory::kFormat, "no key");
  if (text.find("-----BEGIN") != std::string::npos) {
    const std::vector<crypto::Bytes> blocks = CASEMATE_TRY(crypto::from_pem(text, "PUBLIC KEY"));
    if (blocks.size() != 1) return no_key;
    return crypto::PublicKey::from_subject_public_key_info(blocks.front());
  }
  if (text.size() == 64 && text.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos) {
    return crypto::PublicKey::from_ed25519(CASEMATE_TRY(crypto::from_hex(text)));
  }
  return crypto::PublicKey::from_subject_public_key_info(CASEMATE_TRY(crypto::from_base64(text)));
}

}  // namespace

std::string read_public_key(Reader& reader, const Node& node, const std::string& what) {
  constexpr const char* kExpected = "an Ed25519 or ECDSA public key";
  if (node.kind != NodeKind::kScalar || node.text.empty()) {
    reader.wrong(node, what, kExpected);
    return "";
  }
  Result<crypto::PublicKey> key = decode_public_key(node.text);
  if (key && key.value().kind() != crypto::KeyKind::kRsa) {
    return crypto::to_hex(key.value().to_subject_public_key_info());
  }
  reader.out.error(node.where, what + ": expected " + kExpected + ", found " + (key ? "an RSA key" : describe(node)),
                   "give its PEM block, the base64 text inside it, or the 64 hex digits of an Ed25519 key");
  return "";
}

AccessPolicy read_access_policy(Reader& reader, const Node& node) {
  AccessPolicy policy;
  policy.where = node.where;
  read_mapping<AccessPolicy>(policy, node, "`access_policy`", kAccessFields, reader);
  return policy;
}

}  // namespace casemate::policy::internal
