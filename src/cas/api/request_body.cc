#include "cas/api/request_body.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "crypto/bytes.h"
#include "policy/moment.h"

namespace casemate::cas {
namespace {

using Json = nlohmann::json;

constexpr int kDeepest = 8;
constexpr std::size_t kMostElements = 4096;
constexpr std::size_t kMostQuery = 16;

Refusal malformed(const std::string& what, const std::string& advice = "docs: /v1/openapi") {
  return Refusal(RefusalKind::kMalformed, what, advice);
}

// Looks at every event of the parser: depth, number of elements, and keys of each open object.
class Strictness {
 public:
  bool operator()(int depth, Json::parse_event_t event, Json& value) {
    // Keys first: every object is opened and closed here, however deep.
    bool is_twice = false;
    if (event == Json::parse_event_t::object_start) keys_.emplace_back();
    if (event == Json::parse_event_t::object_end) keys_.pop_back();
    if (event == Json::parse_event_t::key) is_twice = !keys_.back().insert(value.get<std::string>()).second;
    if (is_twice) return fail("it has a key twice");
    if (depth > kDeepest || ++events_ > kMostElements) return fail("it is nested too deeply or has too many elements");
    return true;
  }
  const std::string& failure() const { return failure_; }

 private:
  bool fail(const char* why) {
    if (failure_.empty()) failure_ = why;
    return true;
  }
  std::vector<std::set<std::string>> keys_;
  std::size_t events_ = 0;
  std::string failure_;
};

Outcome<Json> parse_object(std::string_view text) {
  Strictness strictness;
  const Json json = Json::parse(
      text.begin(), text.end(),
      [&](int depth, Json::parse_event_t event, Json& value) { return strictness(depth, event, value); }, false);
  if (json.is_discarded()) return malformed("the body is no JSON");
  if (!strictness.failure().empty()) return malformed("the body is refused: " + strictness.failure());
  if (!json.is_object()) return malformed("the body is no JSON object");
  return json;
}

Outcome<std::string> text_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) {
    return malformed(std::string("`") + key + "` is missing or no text");
  }
  return found->get<std::string>();
}

Outcome<policy::SignedDecision> decision_of(const Json& json) {
  if (!json.is_object()) return malformed("a decision is no object");
  constexpr std::string_view kKnown[] = {"format",      "decision",  "log_id", "session",  "hash",
                                         "predecessor", "not_after", "signer", "signature"};
  for (const auto& [key, value] : json.items()) {
    if (std::find(std::begin(kKnown), std::end(kKnown), key) == std::end(kKnown)) {
      return malformed("a decision has the unknown key `" + key.substr(0, 64) + "`");
    }
  }
  const std::string kind = CASEMATE_TRY(text_of(json, "decision"));
  const std::string not_after = CASEMATE_TRY(text_of(json, "not_after"));
  const std::string signer = CASEMATE_TRY(text_of(json, "signer"));
  const std::string signature = CASEMATE_TRY(text_of(json, "signature"));
  const auto moment = policy::parse_moment(not_after);
  const auto signer_bytes = crypto::from_base64(signer);
  const auto signature_bytes = crypto::from_base64(signature);
  if ((kind != "approve" && kind != "reject") || !moment || !signer_bytes || !signature_bytes) {
    return malformed("a decision is damaged", "make it with `casemate session sign`");
  }
  if (signer_bytes.value().size() > 1024 || signature_bytes.value().size() > 1024) {
    return malformed("a decision's key or signature is too large");
  }
  return policy::SignedDecision{kind == "approve" ? policy::Decision::kApprove : policy::Decision::kReject,
                                signer_bytes.value(), moment.value(), signature_bytes.value()};
}

Outcome<Done> read_decisions(const Json& value, RequestBody& body) {
  if (!value.is_array() || value.size() > 64) return malformed("`decisions` is no list of at most 64");
  for (const Json& one : value) {
    policy::SignedDecision decision = CASEMATE_TRY(decision_of(one));
    body.decisions.push_back(std::move(decision));
  }
  return Done{};
}

Outcome<Done> read_holders(const Json& value, RequestBody& body) {
  if (!value.is_array() || value.size() > 64) return malformed("`holders` is no list of at most 64");
  for (const Json& one : value) {
    if (!one.is_string()) return malformed("a holder is no text: 64 hex digits of an X25519 key");
    body.holders.push_back(one.get<std::string>());
  }
  return Done{};
}

template <std::string RequestBody::*kMember>
Outcome<Done> read_text(const Json& value, RequestBody& body) {
  if (!value.is_string()) return malformed("a value that should be a text is none");
  body.*kMember = value.get<std::string>();
  return Done{};
}

Outcome<Done> read_break_glass(const Json& value, RequestBody& body) {
  if (!value.is_boolean()) return malformed("`break_glass` is neither true nor false");
  body.break_glass = value.get<bool>();
  return Done{};
}

Outcome<Done> read_threshold(const Json& value, RequestBody& body) {
  if (!value.is_number_unsigned()) return malformed("`threshold` is no number");
  body.threshold = value.get<std::uint64_t>();
  return Done{};
}

struct KeyRow {
  BodyKey key;
  const char* name;
  Outcome<Done> (*read)(const Json& value, RequestBody& body);
};
const KeyRow kKeys[] = {
    {BodyKey::kText, "text", read_text<&RequestBody::text>}, {BodyKey::kProof, "proof", read_text<&RequestBody::proof>},
    {BodyKey::kHead, "head", read_text<&RequestBody::head>}, {BodyKey::kDecisions, "decisions", read_decisions},
    {BodyKey::kBreakGlass, "break_glass", read_break_glass}, {BodyKey::kHolders, "holders", read_holders},
    {BodyKey::kThreshold, "threshold", read_threshold},
};

bool has(std::initializer_list<BodyKey> keys, BodyKey key) {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

Outcome<std::string> decoded(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char next = text[i];
    if (next == '%') {
      const int high = i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
      if (high < 0 || low < 0) return malformed("the address has a '%' without two hex digits behind it");
      next = static_cast<char>(16 * high + low);
      i += 2;
    }
    if (static_cast<unsigned char>(next) < 0x20) return malformed("the address has control characters");
    plain.push_back(next);
  }
  return plain;
}

}  // namespace

Outcome<RequestBody> parse_request_body(std::string_view text, std::initializer_list<BodyKey> required,
                                        std::initializer_list<BodyKey> optional) {
  const Json json = CASEMATE_TRY(parse_object(text));
  RequestBody body;
  for (const auto& [name, value] : json.items()) {
    const std::string& key = name;  // clang 14 cannot capture a structured binding
    const auto row =
        std::find_if(std::begin(kKeys), std::end(kKeys), [&](const KeyRow& one) { return key == one.name; });
    if (row == std::end(kKeys) || !(has(required, row->key) || has(optional, row->key))) {
      return malformed("the body has the unknown key `" + key.substr(0, 64) + "`");
    }
    CASEMATE_TRY(row->read(value, body));
  }
  for (const KeyRow& row : kKeys) {
    if (has(required, row.key) && !json.contains(row.name)) {
      return malformed(std::string("the body lacks `") + row.name + "`");
    }
  }
  return body;
}

Outcome<policy::SignedDecision> parse_decision(std::string_view text) {
  const Json json = CASEMATE_TRY(parse_object(text));
  return decision_of(json);
}

std::string Target::value_of(std::string_view name) const {
  for (const auto& [key, value] : query) {
    if (key == name) return value;
  }
  return "";
}

Outcome<Target> parse_target(std::string_view target) {
  if (!target.starts_with('/')) return malformed("the address does not begin with '/'");
  Target parsed;
  const std::size_t mark = target.find('?');
  parsed.path = CASEMATE_TRY(decoded(target.substr(0, mark)));
  std::string_view rest = mark == std::string_view::npos ? "" : target.substr(mark + 1);
  while (!rest.empty()) {
    const std::size_t end = rest.find('&');
    const std::string_view pair = rest.substr(0, end);
    rest = end == std::string_view::npos ? "" : rest.substr(end + 1);
    const std::size_t equals = pair.find('=');
    std::string name = CASEMATE_TRY(decoded(pair.substr(0, equals)));
    std::string value = CASEMATE_TRY(decoded(equals == std::string_view::npos ? "" : pair.substr(equals + 1)));
    if (parsed.query.size() == kMostQuery) return malformed("the address has too many parameters");
    if (!parsed.value_of(name).empty()) return malformed("the address has a parameter twice");
    parsed.query.emplace_back(std::move(name), std::move(value));
  }
  return parsed;
}

}  // namespace casemate::cas
