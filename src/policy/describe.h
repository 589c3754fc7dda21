// Parts of sessions in words, for people who decide about them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "policy/session.h"
#include "policy/value.h"

namespace casemate::policy {

// Of the canonical form of a term: "at least 2 of (signer 5f1c..., signer 09ab...), vetoed by signer ..., after 24h"
std::string describe_term(const Value& form);

// The first 16 hex digits of SHA-256 over a SubjectPublicKeyInfo given as hex digits: how keys are called.
std::string short_key_name(std::string_view public_key_hex);
// All 64: what access rules call a key hash.
std::string key_hash(std::string_view public_key_hex);

// "90s", "24h", "30d": the largest unit that leaves no rest.
std::string describe_duration(std::uint64_t seconds);

// At most 200 characters: texts and lists as JSON, objects as "key value, key value".
std::string describe_value(const Value& value);

}  // namespace casemate::policy
