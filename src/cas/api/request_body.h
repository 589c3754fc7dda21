// JSON of requests, strictly: one object, UTF-8, no key twice, at most eight levels, and only the keys that the route
// knows with the types that it expects. What it does not understand it refuses with the key's name, so that a
// misspelt option is never ignored.
//
// Pure; threads: any. Errors: refusals of kind kMalformed.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cas/sessions/refusal.h"
#include "policy/approval.h"

namespace casemate::cas {

// What the body of a request may have. Absent ones are empty.
struct RequestBody {
  std::string text, proof, head;
  std::vector<policy::SignedDecision> decisions;
  std::optional<bool> break_glass;
  std::vector<std::string> holders;
  std::optional<std::uint64_t> threshold;
};

enum class BodyKey { kText, kProof, kHead, kDecisions, kBreakGlass, kHolders, kThreshold };

// `required` and `optional` ones only.
Outcome<RequestBody> parse_request_body(std::string_view body, std::initializer_list<BodyKey> required,
                                        std::initializer_list<BodyKey> optional);
// A signature file as `casemate session sign` makes it.
Outcome<policy::SignedDecision> parse_decision(std::string_view body);

// "/v1/sessions/a%2Fb?limit=3" in its parts.
struct Target {
  std::string path;  // decoded
  std::vector<std::pair<std::string, std::string>> query;
  std::string value_of(std::string_view name) const;
};
Outcome<Target> parse_target(std::string_view target);

}  // namespace casemate::cas
