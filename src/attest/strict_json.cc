#include "attest/strict_json.h"

#include <set>

namespace casemate::attest {
namespace {

constexpr std::size_t kMaximumSize = std::size_t{1} << 20;
constexpr int kMaximumDepth = 16;

Error malformed(const std::string& what) { return Error(ErrorCategory::kFormat, "JSON: " + what); }

// Follows the parser and remembers the first thing that is not strict.
class Strictness {
 public:
  bool operator()(int depth, Json::parse_event_t event, Json& value) {
    if (depth > kMaximumDepth) complaint_ = "nested deeper than 16 levels";
    if (event == Json::parse_event_t::object_start) keys_.emplace_back();
    if (event == Json::parse_event_t::object_end) keys_.pop_back();
    if (event == Json::parse_event_t::key && !keys_.back().insert(value.get<std::string>()).second) {
      complaint_ = "member \"" + value.get<std::string>() + "\" is there twice";
    }
    return true;
  }
  const std::string& complaint() const { return complaint_; }

 private:
  std::vector<std::set<std::string>> keys_;
  std::string complaint_;
};

bool is_space(char character) {
  return character == ' ' || character == '\t' || character == '\n' || character == '\r';
}

// Walks text that is known to be good JSON.
class RawWalker {
 public:
  explicit RawWalker(std::string_view text) : text_(text) {}

  void skip_space() {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  }
  bool take(char wanted) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }
  // A string with its quotes.
  std::string_view take_string() {
    skip_space();
    const std::size_t begin = at_++;
    while (at_ < text_.size() && text_[at_] != '"') at_ += text_[at_] == '\\' ? 2 : 1;
    at_ = std::min(at_ + 1, text_.size());
    return text_.substr(begin, at_ - begin);
  }
  // Any value, by counting brackets outside of strings.
  std::string_view take_value() {
    skip_space();
    const std::size_t begin = at_;
    int depth = 0;
    while (at_ < text_.size()) {
      const char next = text_[at_];
      if (next == '"') {
        take_string();
        continue;
      }
      if (depth == 0 && (next == ',' || next == '}' || next == ']' || is_space(next))) break;
      if (next == '{' || next == '[') ++depth;
      if (next == '}' || next == ']') --depth;
      ++at_;
      if (depth == 0 && (next == '}' || next == ']')) break;
    }
    return text_.substr(begin, at_ - begin);
  }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

Result<Json> parse_strict_json(std::string_view text) {
  if (text.size() > kMaximumSize) return malformed("longer than 1 MiB");
  Strictness strictness;
  const auto follow = [&strictness](int depth, Json::parse_event_t event, Json& value) {
    return strictness(depth, event, value);
  };
  Json parsed = Json::parse(text, follow, /*allow_exceptions=*/false);
  if (parsed.is_discarded()) return malformed("syntax error");
  if (!strictness.complaint().empty()) return malformed(strictness.complaint());
  return parsed;
}

Result<std::string_view> raw_member(std::string_view text, std::string_view key) {
  RawWalker walker(text);
  const std::string quoted = "\"" + std::string(key) + "\"";
  if (!walker.take('{')) return malformed("not an object");
  do {
    const std::string_view name = walker.take_string();
    if (!walker.take(':')) break;
    const std::string_view value = walker.take_value();
    if (name == quoted) return value;
  } while (walker.take(','));
  return malformed("member \"" + std::string(key) + "\" is missing");
}

Result<JsonReader> JsonReader::of(const Json& object, std::string what) {
  if (!object.is_object()) return Error(ErrorCategory::kFormat, what + ": not a JSON object");
  return JsonReader(object, std::move(what));
}

Error JsonReader::wrong(const char* key, const char* expected) const {
  const char* problem = has(key) ? "\" is not " : "\" is missing: ";
  return Error(ErrorCategory::kFormat, what_ + ": \"" + key + problem + expected);
}

Result<std::string> JsonReader::text(const char* key) const {
  const auto found = object_->find(key);
  if (found == object_->end() || !found->is_string()) return wrong(key, "a text");
  return found->get<std::string>();
}

Result<std::uint64_t> JsonReader::number(const char* key, std::uint64_t maximum) const {
  const auto found = object_->find(key);
  if (found == object_->end() || !found->is_number_unsigned()) return wrong(key, "a number from 0");
  const auto value = found->get<std::uint64_t>();
  if (value > maximum) return wrong(key, "a number in range");
  return value;
}

Result<Moment> JsonReader::moment(const char* key) const {
  Result<Moment> parsed = parse_moment(CASEMATE_TRY(text(key)));
  if (!parsed) return wrong(key, "a time");
  return parsed;
}

Result<crypto::Bytes> JsonReader::hex(const char* key, std::size_t size) const {
  Result<crypto::Bytes> bytes = crypto::from_hex(CASEMATE_TRY(text(key)));
  if (!bytes || bytes.value().size() != size) return wrong(key, "hexadecimal digits of the right count");
  return bytes;
}

Result<const Json*> JsonReader::array(const char* key) const {
  const auto found = object_->find(key);
  if (found == object_->end() || !found->is_array()) return wrong(key, "an array");
  return &*found;
}

Result<const Json*> JsonReader::object(const char* key) const {
  const auto found = object_->find(key);
  if (found == object_->end() || !found->is_object()) return wrong(key, "an object");
  return &*found;
}

Result<std::vector<std::string>> JsonReader::texts(const char* key) const {
  std::vector<std::string> list;
  if (!has(key)) return list;
  for (const Json& entry : *CASEMATE_TRY(array(key))) {
    if (!entry.is_string()) return wrong(key, "an array of texts");
    list.push_back(entry.get<std::string>());
  }
  return list;
}

}  // namespace casemate::attest
