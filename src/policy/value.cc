#include "policy/value.h"

namespace casemate::policy {
namespace {

struct Escape {
  char letter;
  const char* text;
};
constexpr Escape kEscapes[] = {{'"', "\\\""}, {'\\', "\\\\"}, {'\b', "\\b"}, {'\f', "\\f"},
                               {'\n', "\\n"}, {'\r', "\\r"},  {'\t', "\\t"}};

void append_text(std::string& out, std::string_view text) {
  constexpr char kDigits[] = "0123456789abcdef";
  out += '"';
  for (const char letter : text) {
    const char* escaped = nullptr;
    for (const Escape& row : kEscapes) {
      if (row.letter == letter) escaped = row.text;
    }
    const auto code = static_cast<unsigned char>(letter);
    if (escaped != nullptr) {
      out += escaped;
    } else if (code < 0x20) {
      out += std::string("\\u00") + kDigits[code >> 4U] + kDigits[code & 15U];
    } else {
      out += letter;
    }
  }
  out += '"';
}

void append(std::string& out, const Value& value) {
  if (const std::string* text = value.text()) return append_text(out, *text);
  if (const std::uint64_t* number = value.number()) {
    out += std::to_string(*number);
  } else if (const bool* truth = value.truth()) {
    out += *truth ? "true" : "false";
  } else if (const Value::List* list = value.list()) {
    out += '[';
    for (std::size_t i = 0; i < list->size(); ++i) {
      if (i != 0) out += ',';
      append(out, (*list)[i]);
    }
    out += ']';
  } else if (const Value::Object* object = value.object()) {
    out += '{';
    bool is_first = true;
    for (const auto& [key, member] : *object) {
      if (!is_first) out += ',';
      is_first = false;
      append_text(out, key);
      out += ':';
      append(out, member);
    }
    out += '}';
  } else {
    out += "null";
  }
}

}  // namespace

std::string to_json(const Value& value) {
  std::string out;
  append(out, value);
  return out;
}

}  // namespace casemate::policy
