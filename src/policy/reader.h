// Turns YAML nodes into typed values and says what was expected when they are something else. One table of fields per
// mapping (read_mapping) decides which keys exist; everything else is refused with the nearest known key.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policy/diagnostics.h"
#include "policy/session.h"
#include "policy/suggestion.h"
#include "policy/yaml_tree.h"

namespace casemate::policy {

// Whether messages may quote the text.
enum class Disclosure { kPublic, kSecret };

enum class Presence { kOptional, kRequired };

template <typename T>
struct Choice {
  std::string_view word;
  T value;
};

// "a list", "nothing (null)", "text": what stands at a node, without its contents.
std::string describe(const Node& node);

class Reader {
 public:
  Reader(std::string session_name, Version of_text, Diagnostics& diagnostics)
      : session(std::move(session_name)), version(of_text), out(diagnostics) {}

  // `what` is how messages call the value: "`size`". Each reports at most one error and then gives a harmless value.
  std::string text(const Node& node, const std::string& what, Disclosure disclosure = Disclosure::kPublic);
  // Nothing after an error.
  std::optional<std::string> maybe_text(const Node& node, const std::string& what, Disclosure disclosure);
  // With well-formed references to secrets, if any; never quoted.
  std::string template_text(const Node& node, const std::string& what);
  std::string local_name(const Node& node, const std::string& what);
  std::string absolute_session(const Node& node, const std::string& what);
  std::string path(const Node& node, const std::string& what);
  // Lower-case digits; `sizes` in bytes, of which one must fit.
  std::string hex(const Node& node, const std::string& what, std::span<const std::size_t> sizes);
  std::string hex(const Node& node, const std::string& what, std::size_t size) {
    return hex(node, what, std::span<const std::size_t>(&size, 1));
  }
  bool boolean(const Node& node, const std::string& what);
  std::uint64_t integer(const Node& node, const std::string& what, std::uint64_t least, std::uint64_t most);
  // "24h", "90d", "30m", "500ms" where milliseconds are asked for.
  enum class Unit { kSeconds, kMilliseconds };
  std::uint64_t duration(const Node& node, const std::string& what, Unit unit = Unit::kSeconds);

  template <typename T>
  T choice(const Node& node, const std::string& what, std::span<const Choice<T>> choices) {
    std::vector<std::string_view> words;
    words.reserve(choices.size());
    for (const Choice<T>& row : choices) words.push_back(row.word);
    return choices[choose(node, what, words)].value;
  }
  // The index of one of `words`; 0 after an error.
  std::size_t choose(const Node& node, const std::string& what, std::span<const std::string_view> words);

  bool expect_list(const Node& node, const std::string& what, const std::string& of);
  bool expect_mapping(const Node& node, const std::string& what);
  // One item per element of a list that is not empty.
  template <typename T>
  std::vector<T> list(const Node& node, const std::string& what, const std::string& of,
                      T (*read)(Reader&, const Node&)) {
    std::vector<T> items;
    if (!expect_list(node, what, of)) return items;
    items.reserve(node.items.size());
    for (const Node& item : node.items) items.push_back(read(*this, item));
    return items;
  }

  void wrong(const Node& node, const std::string& what, const std::string& expected, std::string advice = "");

  void report_unknown(const Node& key, const std::string& owner, std::span<const std::string_view> known);

  const std::string session;
  const Version version;
  Diagnostics& out;
};

template <typename T>
struct Field {
  std::string_view name;
  void (*read)(T& target, const Node& value, Reader& reader);
  Presence presence = Presence::kOptional;
};

// `owner`: "a service". Keys in the order of the text.
template <typename T>
void read_mapping(T& target, const Node& node, const std::string& owner, std::span<const Field<T>> fields,
                  Reader& reader) {
  if (!reader.expect_mapping(node, owner)) return;
  std::vector<std::string_view> known;
  known.reserve(fields.size());
  for (const Field<T>& field : fields) known.push_back(field.name);
  for (const Entry& entry : node.entries) {
    const Field<T>* found = nullptr;
    for (const Field<T>& field : fields) {
      if (field.name == entry.key.text) found = &field;
    }
    if (found != nullptr) {
      found->read(target, entry.value, reader);
    } else {
      reader.report_unknown(entry.key, owner, known);
    }
  }
  for (const Field<T>& field : fields) {
    if (field.presence == Presence::kOptional) continue;
    bool is_there = false;
    for (const Entry& entry : node.entries) is_there = is_there || entry.key.text == field.name;
    if (!is_there) reader.out.error(node.where, owner + " lacks the key `" + std::string(field.name) + "`", "add it");
  }
}

bool is_null(const Node& node);

}  // namespace casemate::policy
