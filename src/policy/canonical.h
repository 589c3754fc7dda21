// The canonical form of a session and its hash: what versions are named by, what approvers sign, what the log records.
// docs/formats/session.md ("Canonical form") has the definition; tests recompute the hash from it independently.
//
// Two texts that mean the same have the same form: order of keys, quoting, aliases, equivalent spellings and sets do
// not count. What is not given is not there, so that keys added to the language later leave old hashes alone.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "crypto/hash.h"
#include "policy/session.h"
#include "policy/value.h"

namespace casemate::policy {

// Explicit secret values enter as commitments: whoever has the form cannot read them, and whoever lacks the session's
// `commitment_salt` cannot even check a guess.
Value canonical_form(const Session& session);

// SHA-256("casemate session hash v1" ‖ 0x00 ‖ JSON of the form).
crypto::Sha256Digest session_hash(const Session& session);
crypto::Sha256Digest hash_of_form(const Value& form);

// SHA-256("casemate secret commitment v1" ‖ 0x00 ‖ salt ‖ u64 size of path ‖ path ‖ u64 size of value ‖ value), sizes
// big-endian, as 64 hex digits. `salt`: 64 hex digits, or empty (then no bytes enter for it).
std::string commitment(std::string_view salt, std::string_view path, std::string_view value);

// Parts of the form, which the semantic diff also names.
Value canonical_rule(const AccessRule& rule);

}  // namespace casemate::policy
