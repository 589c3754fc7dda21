#include "policy/reader.h"

#include <algorithm>
#include <charconv>

#include "policy/names.h"
#include "policy/scalar.h"

namespace casemate::policy {
namespace {

constexpr std::size_t kMaxPath = 1024;
constexpr std::size_t kMaxListSize = 2000;

// Keys that people bring from elsewhere and that are no keys of sessions.
struct ForeignKey {
  std::string_view key, advice;
};
constexpr ForeignKey kForeignKeys[] = {
    {"host_paths", "that belongs to sconectl's service.yaml; here name host paths as `regions` of an image"},
    {"ports", "which ports a program opens is its own affair; `network` says which are protected"},
    {"restart", "starting again is the orchestrator's affair"},
    {"replicas", "how many run is the orchestrator's affair"},
    {"fspf", "SCONE's keys are `fspf_path`, `fspf_key` and `fspf_tag`"},
    {"max_activations", "limit instances with `singleton_enclaves: true` under `security`"},
};

std::string quoted(std::string_view text) {
  constexpr std::size_t kMostShown = 60;
  if (text.size() <= kMostShown) return "`" + std::string(text) + "`";
  return "`" + std::string(text.substr(0, kMostShown)) + "...`";
}

bool is_whole(PlainMeaning meaning) {
  return meaning == PlainMeaning::kText || meaning == PlainMeaning::kCanonicalNumber;
}

struct DurationUnit {
  std::string_view suffix;
  std::uint64_t milliseconds;
};
constexpr std::uint64_t kSecond = 1000, kHour = 3600 * kSecond, kDay = 24 * kHour;
constexpr DurationUnit kDurationUnits[] = {
    {"ms", 1}, {"s", kSecond}, {"m", 60 * kSecond}, {"h", kHour}, {"d", kDay}, {"w", 7 * kDay}, {"y", 365 * kDay},
};

std::optional<std::uint64_t> parse_duration(std::string_view text) {
  std::uint64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || count > 100'000'000) return std::nullopt;
  const std::string_view suffix(end, static_cast<std::size_t>(text.data() + text.size() - end));
  for (const DurationUnit& unit : kDurationUnits) {
    if (suffix == unit.suffix && count <= 100 * 365 * kDay / unit.milliseconds) return count * unit.milliseconds;
  }
  return std::nullopt;
}

}  // namespace

bool is_null(const Node& node) {
  return node.kind == NodeKind::kScalar && node.quoting == Quoting::kPlain &&
         meaning_of_plain(node.text) == PlainMeaning::kNull;
}

std::string describe(const Node& node) {
  if (node.kind == NodeKind::kList) return "a list";
  if (node.kind == NodeKind::kMapping) return "a mapping";
  if (node.quoting == Quoting::kQuoted) return node.text.empty() ? "an empty text" : "text in quotes";
  return std::string(name_of(meaning_of_plain(node.text)));
}

void Reader::wrong(const Node& node, const std::string& what, const std::string& expected, std::string advice) {
  out.error(node.where, what + ": expected " + expected + ", found " + describe(node), std::move(advice));
}

void Reader::report_unknown(const Node& key, const std::string& owner, std::span<const std::string_view> known) {
  if (out.is_full()) return out.error(key.where, "");
  std::string advice;
  for (const ForeignKey& row : kForeignKeys) {
    if (row.key == key.text) advice = row.advice;
  }
  if (advice.empty()) advice = suggest(key.text, known);
  out.error(key.where, owner + " has no key " + quoted(key.text), advice);
}

bool Reader::expect_list(const Node& node, const std::string& what, const std::string& of) {
  if (node.kind != NodeKind::kList) {
    wrong(node, what, "a list of " + of,
          node.kind == NodeKind::kMapping ? "put `- ` before its first key" : "write [...]");
    return false;
  }
  if (node.items.size() > kMaxListSize) {
    out.error(node.where, what + ": more than " + std::to_string(kMaxListSize) + " items", "split the session");
    return false;
  }
  if (!node.items.empty()) return true;
  out.error(node.where, what + ": expected a list of " + of + ", found an empty one", "remove the key");
  return false;
}

bool Reader::expect_mapping(const Node& node, const std::string& what) {
  if (node.kind == NodeKind::kMapping) return true;
  wrong(node, what, "a mapping with keys",
        node.kind == NodeKind::kList ? "remove the `- `" : "write `key: value` lines");
  return false;
}

std::optional<std::string> Reader::maybe_text(const Node& node, const std::string& what, Disclosure disclosure) {
  if (node.kind != NodeKind::kScalar) {
    wrong(node, what, "text");
    return std::nullopt;
  }
  if (node.quoting == Quoting::kQuoted) return node.text;
  const PlainMeaning meaning = meaning_of_plain(node.text);
  if (is_whole(meaning)) return node.text;
  if (meaning == PlainMeaning::kNull) {
    wrong(node, what, "text", "for an empty text write \"\"");
    return std::nullopt;
  }
  const bool may_quote = disclosure == Disclosure::kPublic;
  out.error(node.where,
            what + ": without quotes " + (may_quote ? quoted(node.text) : "this text") + " is " +
                std::string(name_of(meaning)) + " in YAML, not text",
            may_quote ? "write \"" + node.text + "\"" : "write it in quotes");
  return std::nullopt;
}

std::string Reader::text(const Node& node, const std::string& what, Disclosure disclosure) {
  return maybe_text(node, what, disclosure).value_or("");
}

std::string Reader::template_text(const Node& node, const std::string& what) {
  std::string value = text(node, what, Disclosure::kSecret);
  if (Result<std::vector<SecretReference>> references = find_references(value); !references) {
    out.error(node.where, what + ": " + references.error().message(),
              "write $$CASEMATE::name$$ or $$CASEMATE::name:format$$");
  }
  return value;
}

std::string Reader::local_name(const Node& node, const std::string& what) {
  const std::optional<std::string> name = maybe_text(node, what, Disclosure::kPublic);
  if (name && !is_local_name(*name)) {
    out.error(node.where, what + ": " + quoted(*name) + " is no name",
              "names have letters, digits, and _ - . inside, at most " + std::to_string(kMaxLocalName));
  }
  return name.value_or("");
}

std::string Reader::absolute_session(const Node& node, const std::string& what) {
  const std::optional<std::string> reference = maybe_text(node, what, Disclosure::kPublic);
  if (!reference) return "";
  Result<std::string> absolute = resolve_session(session, *reference);
  if (absolute) return std::move(absolute).value();
  out.error(node.where, what + ": " + quoted(*reference) + ": " + absolute.error().message(),
            "write the other session's full name, or ../name for a sibling");
  return "";
}

std::string Reader::path(const Node& node, const std::string& what) {
  std::optional<std::string> value = maybe_text(node, what, Disclosure::kPublic);
  if (!value) return "";
  const std::string closed = "/" + *value + "/";
  const bool has_dots = closed.find("/../") != std::string::npos || closed.find("/./") != std::string::npos;
  if (value->empty() || value->front() != '/' || has_dots || value->find("//") != std::string::npos) {
    out.error(node.where, what + ": " + quoted(*value) + " is no absolute path",
              "write it from / on, without . and .. and //");
  } else if (value->size() > kMaxPath) {
    out.error(node.where, what + ": a path of more than " + std::to_string(kMaxPath) + " bytes", "shorten it");
  }
  if (value->size() > 1 && value->back() == '/') value->pop_back();
  return *value;
}

std::string Reader::hex(const Node& node, const std::string& what, std::span<const std::size_t> sizes) {
  std::string expected;
  for (const std::size_t size : sizes) expected += (expected.empty() ? "" : " or ") + std::to_string(2 * size);
  expected += " hex digits";
  if (node.kind != NodeKind::kScalar || node.text.empty()) {
    wrong(node, what, expected);
    return "";
  }
  std::string digits = node.text;
  if (digits.starts_with("0x") || digits.starts_with("0X")) {
    out.error(node.where, what + ": expected " + expected + " without 0x", "remove 0x");
    return "";
  }
  for (char& digit : digits) {
    if (digit >= 'A' && digit <= 'F') digit = static_cast<char>(digit - 'A' + 'a');
  }
  const std::size_t foreign = digits.find_first_not_of("0123456789abcdef");
  const bool fits =
      std::any_of(sizes.begin(), sizes.end(), [&](std::size_t size) { return digits.size() == 2 * size; });
  if (foreign == std::string::npos && fits) return digits;
  if (foreign == std::string::npos) {
    out.error(node.where, what + ": expected " + expected + ", found " + std::to_string(digits.size()),
              digits.size() % 2 != 0 ? "was a digit lost?" : "is it the value that belongs here?");
  } else {
    out.error(node.where,
              what + ": expected " + expected + ", but character " + std::to_string(foreign + 1) + " is none",
              digits.front() == '$' ? "set the variable with -e NAME=VALUE" : "use 0-9 and a-f");
  }
  return "";
}

bool Reader::boolean(const Node& node, const std::string& what) {
  if (node.kind == NodeKind::kScalar && node.quoting == Quoting::kPlain) {
    if (node.text == "true" || node.text == "false") return node.text == "true";
    if (meaning_of_plain(node.text) == PlainMeaning::kBoolean) {
      out.error(node.where, what + ": `" + node.text + "` means different things to different readers of YAML",
                "write true or false");
      return false;
    }
  }
  wrong(node, what, "true or false", node.text == "true" || node.text == "false" ? "remove the quotes" : "");
  return false;
}

std::uint64_t Reader::integer(const Node& node, const std::string& what, std::uint64_t least, std::uint64_t most) {
  const std::string expected = "a whole number from " + std::to_string(least) + " to " + std::to_string(most);
  if (node.kind != NodeKind::kScalar) {
    wrong(node, what, expected);
    return least;
  }
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(node.text.data(), node.text.data() + node.text.size(), value);
  const bool is_complete = error == std::errc() && end == node.text.data() + node.text.size();
  const bool is_canonical = is_complete && std::to_string(value) == node.text;
  if (is_canonical && node.quoting == Quoting::kPlain && value >= least && value <= most) return value;
  const char* advice = "";
  if (is_canonical && node.quoting == Quoting::kQuoted) advice = "remove the quotes";
  if (is_complete && !is_canonical) advice = "write it without leading zeros";
  out.error(node.where,
            what + ": expected " + expected + ", found " + (node.text.empty() ? describe(node) : quoted(node.text)),
            advice);
  return least;
}

std::uint64_t Reader::duration(const Node& node, const std::string& what, Unit unit) {
  const std::uint64_t scale = unit == Unit::kSeconds ? kSecond : 1;
  if (node.kind == NodeKind::kScalar) {
    const std::optional<std::uint64_t> value = parse_duration(node.text);
    if (value && *value != 0 && *value % scale == 0) return *value / scale;
    if (!node.text.empty()) {
      out.error(node.where, what + ": expected a duration, found " + quoted(node.text),
                unit == Unit::kSeconds ? "write a number and s, m, h, d, w or y: 24h"
                                       : "write a number and ms, s or m: 500ms");
      return 1;
    }
  }
  wrong(node, what, "a duration", "write a number and s, m, h, d, w or y: 24h");
  return 1;
}

std::size_t Reader::choose(const Node& node, const std::string& what, std::span<const std::string_view> words) {
  if (node.kind != NodeKind::kScalar || node.text.empty()) {
    std::string expected;
    for (const std::string_view word : words) expected += (expected.empty() ? "" : ", ") + std::string(word);
    wrong(node, what, "one of " + expected);
    return 0;
  }
  const auto found = std::find(words.begin(), words.end(), node.text);
  if (found != words.end()) return static_cast<std::size_t>(found - words.begin());
  out.error(node.where, what + ": " + quoted(node.text) + " is not known",
            out.is_full() ? "" : suggest(node.text, words));
  return 0;
}

}  // namespace casemate::policy
