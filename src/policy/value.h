// Values of the canonical form: JSON without numbers other than integers, written in exactly one way.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace casemate::policy {

// Threads: immutable once built.
class Value {
 public:
  using List = std::vector<Value>;
  using Object = std::map<std::string, Value, std::less<>>;  // sorted by the bytes of the keys

  Value() = default;  // null
  Value(std::string text) : content_(std::move(text)) {}
  Value(std::string_view text) : content_(std::string(text)) {}
  Value(const char* text) : content_(std::string(text)) {}
  Value(bool truth) : content_(truth) {}
  Value(std::uint64_t number) : content_(number) {}
  Value(List list) : content_(std::move(list)) {}
  Value(Object object) : content_(std::move(object)) {}

  const std::string* text() const { return std::get_if<std::string>(&content_); }
  const std::uint64_t* number() const { return std::get_if<std::uint64_t>(&content_); }
  const bool* truth() const { return std::get_if<bool>(&content_); }
  const List* list() const { return std::get_if<List>(&content_); }
  const Object* object() const { return std::get_if<Object>(&content_); }
  bool is_null() const { return std::holds_alternative<std::monostate>(content_); }

  bool operator==(const Value& other) const { return content_ == other.content_; }

 private:
  std::variant<std::monostate, bool, std::uint64_t, std::string, List, Object> content_;
};

// No white space; keys sorted by their bytes; strings in UTF-8 with \" \\ \b \f \n \r \t and \u00xx for other control
// characters as the only escapes (RFC 8785 for what sessions contain). One value, one text.
std::string to_json(const Value& value);

}  // namespace casemate::policy
