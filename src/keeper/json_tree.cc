#include "keeper/json_tree.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

namespace casemate::keeper {
namespace {

constexpr std::size_t kDeepest = 64;

// Counts lines and columns as the parser takes characters. The parser moves iterators around, so the count is outside.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, JsonPlace* place) : at_(at), place_(place) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    place_->column += 1;
    if (*at_ == '\n') *place_ = {place_->line + 1, 1};
    ++at_;
    return *this;
  }
  friend bool operator==(const CountingIterator& left, const CountingIterator& right) { return left.at_ == right.at_; }
  friend bool operator!=(const CountingIterator& left, const CountingIterator& right) { return left.at_ != right.at_; }

 private:
  const char* at_;
  JsonPlace* place_;
};

// Receives the parser's events. Returning false ends the parse; `failure` says why.
class TreeBuilder : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit TreeBuilder(const JsonPlace* place) : place_(place) {}

  bool null() override { return add({}) != nullptr; }
  bool boolean(bool value) override { return add_number(JsonKind::kBoolean, value ? 1 : 0); }
  bool number_integer(number_integer_t value) override { return add_number(JsonKind::kInteger, value); }
  bool number_unsigned(number_unsigned_t value) override {
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return fail("number too large");
    return add_number(JsonKind::kInteger, static_cast<std::int64_t>(value));
  }
  bool number_float(number_float_t, const string_t&) override { return fail("numbers must be whole"); }
  bool string(string_t& value) override {
    JsonNode node;
    node.kind = JsonKind::kString;
    node.text = std::move(value);
    return add(std::move(node)) != nullptr;
  }
  bool binary(binary_t&) override { return fail("binary values do not belong here"); }
  bool start_object(std::size_t) override { return open(JsonKind::kObject); }
  bool start_array(std::size_t) override { return open(JsonKind::kArray); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& value) override {
    JsonNode& object = *open_.back();
    if (std::ranges::find(object.keys, value) != object.keys.end()) return fail("\"" + value + "\" is given twice");
    object.keys.push_back(std::move(value));
    object.key_places.push_back(*place_);
    return true;
  }
  bool parse_error(std::size_t, const std::string& token, const nlohmann::json::exception&) override {
    return fail(token.empty() || token == "<U+0000>" ? "no JSON" : "no JSON: unexpected " + token);
  }

  JsonNode root;
  std::optional<Error> failure;

 private:
  bool fail(const std::string& what) {
    if (!failure) failure = json_error(*place_, what);
    return false;
  }
  bool add_number(JsonKind kind, std::int64_t value) {
    JsonNode node;
    node.kind = kind;
    node.number = value;
    return add(std::move(node)) != nullptr;
  }
  JsonNode* add(JsonNode node) {
    node.place = *place_;
    if (open_.empty()) {
      root = std::move(node);
      return &root;
    }
    open_.back()->children.push_back(std::move(node));
    return &open_.back()->children.back();
  }
  // Pointers stay valid: a parent's children grow only when nothing below it is open.
  bool open(JsonKind kind) {
    if (open_.size() >= kDeepest) return fail("nested too deeply");
    JsonNode node;
    node.kind = kind;
    open_.push_back(add(std::move(node)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  const JsonPlace* place_;
  std::vector<JsonNode*> open_;
};

}  // namespace

Error json_error(const JsonPlace& place, const std::string& what) {
  return Error(ErrorCategory::kFormat,
               "line " + std::to_string(place.line) + ", column " + std::to_string(place.column) + ": " + what);
}

const JsonNode* JsonNode::find(std::string_view key) const {
  const auto found = std::ranges::find(keys, key);
  return found == keys.end() ? nullptr : &children[static_cast<std::size_t>(found - keys.begin())];
}

Result<JsonNode> parse_json(std::string_view text) {
  JsonPlace place;
  TreeBuilder builder(&place);
  const CountingIterator begin(text.data(), &place), end(text.data() + text.size(), &place);
  constexpr bool kStrict = true, kIgnoreComments = true;
  const bool parsed =
      nlohmann::json::sax_parse(begin, end, &builder, nlohmann::json::input_format_t::json, kStrict, kIgnoreComments);
  if (builder.failure) return *builder.failure;
  if (!parsed) return json_error(place, "no JSON");
  return std::move(builder.root);
}

}  // namespace casemate::keeper
