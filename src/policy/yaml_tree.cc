#include "policy/yaml_tree.h"

#include <yaml.h>

#include <algorithm>
#include <map>
#include <memory>
#include <span>

#include "crypto/secret.h"

namespace casemate::policy {
namespace {

// What libyaml says (part of it) -> what to do about it.
struct YamlAdvice {
  std::string_view problem, advice;
};
constexpr YamlAdvice kYamlAdvice[] = {
    {"cannot start any token", "a text that begins with @, ` or %, or a tab as indentation, needs quotes or spaces"},
    {"mapping values are not allowed", "is the line indented too far, or does a text with a colon lack its quotes?"},
    {"did not find expected key", "is this line indented like its neighbours, or does a quote end too early?"},
    {"could not find expected ':'", "every key ends with a colon and a space"},
    {"did not find expected ',' or ']'", "close the list with ] or separate its items with commas"},
    {"did not find expected ',' or '}'", "close the mapping with } or separate its entries with commas"},
    {"did not find expected '-' indicator", "items of one list begin in the same column"},
    {"unexpected end of stream", "a quote that was opened is not closed"},
    {"unknown escape character", "in double quotes \\ begins an escape; write \\\\ or use single quotes"},
    {"found undefined alias", "an anchor (&name) must stand before its alias (*name)"},
    {"block sequence entries are not allowed", "put the first item of the list on a line of its own"},
    {"control characters", "sessions are UTF-8 text without control characters"},
    {"UTF-8", "sessions are UTF-8 text"},
};

Position position_of(const yaml_mark_t& mark) {
  return {static_cast<unsigned>(mark.line) + 1, static_cast<unsigned>(mark.column) + 1};
}

Position position_of_offset(std::string_view text, std::size_t offset) {
  Position where{1, 1};
  for (const char letter : text.substr(0, offset)) {
    if (letter == '\n') {
      ++where.line;
      where.column = 1;
    } else if ((static_cast<unsigned char>(letter) & 0xC0U) != 0x80U) {
      ++where.column;
    }
  }
  return where;
}

struct Event {
  yaml_event_t raw{};
  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { yaml_event_delete(&raw); }

  Position where() const { return position_of(raw.start_mark); }
};

std::string_view view(const yaml_char_t* text) {
  return text == nullptr ? std::string_view() : std::string_view(reinterpret_cast<const char*>(text));
}

std::size_t node_count(const Node& node) {
  std::size_t count = 1;
  for (const Node& item : node.items) count += node_count(item);
  for (const Entry& entry : node.entries) count += 1 + node_count(entry.value);
  return count;
}

std::size_t height(const Node& node) {
  std::size_t most = 0;
  for (const Node& item : node.items) most = std::max(most, height(item));
  for (const Entry& entry : node.entries) most = std::max(most, height(entry.value));
  return most + 1;
}

class Builder {
 public:
  Builder(std::string_view text, Diagnostics& diagnostics) : text_(text), diagnostics_(diagnostics) {
    if (yaml_parser_initialize(&parser_) == 0) throw std::bad_alloc();
    yaml_parser_set_encoding(&parser_, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  }
  Builder(const Builder&) = delete;
  Builder& operator=(const Builder&) = delete;
  ~Builder() { yaml_parser_delete(&parser_); }

  std::optional<Node> document();

 private:
  struct Anchor {
    Node node;
    std::size_t count = 0;
    std::size_t height = 0;
  };

  bool next(Event& event);
  bool fail(Position where, std::string message, std::string advice = "") {
    diagnostics_.error(where, std::move(message), std::move(advice));
    return false;
  }
  bool admit(const Event& event, std::size_t depth);
  bool build(const Event& event, std::size_t depth, Node& node);
  bool build_scalar(const Event& event, Node& node);
  bool build_list(const Event& event, std::size_t depth, Node& node);
  bool build_mapping(const Event& event, std::size_t depth, Node& node);
  bool build_alias(const Event& event, std::size_t depth, Node& node);
  bool build_key(Entry& entry, const Event& event, std::map<std::string, Position, std::less<>>& seen);
  bool remember(const yaml_char_t* anchor, const Node& node);

  std::string_view text_;
  Diagnostics& diagnostics_;
  yaml_parser_t parser_{};
  std::map<std::string, Anchor, std::less<>> anchors_;
  std::size_t node_count_ = 0;
  std::size_t alias_count_ = 0;
  std::size_t anchored_count_ = 0;
};

bool Builder::next(Event& event) {
  if (yaml_parser_parse(&parser_, &event.raw) != 0) return true;
  if (parser_.error == YAML_MEMORY_ERROR) throw std::bad_alloc();
  const std::string_view problem = parser_.problem == nullptr ? "unreadable" : parser_.problem;
  const Position where = parser_.error == YAML_READER_ERROR ? position_of_offset(text_, parser_.problem_offset)
                                                            : position_of(parser_.problem_mark);
  // What is not finished is best looked for where it began.
  std::string began;
  if (parser_.error != YAML_READER_ERROR && parser_.context != nullptr &&
      position_of(parser_.context_mark).line != where.line) {
    const Position from = position_of(parser_.context_mark);
    began = "; what is read here began at " + std::to_string(from.line) + ":" + std::to_string(from.column);
  }
  std::string advice;
  for (const YamlAdvice& row : kYamlAdvice) {
    if (advice.empty() && problem.find(row.problem) != std::string_view::npos) advice = row.advice;
  }
  return fail(where, "this is no YAML: " + std::string(problem) + began, advice);
}

// What every node must satisfy before anything is kept of it.
bool Builder::admit(const Event& event, std::size_t depth) {
  if (depth > kMaxDepth) {
    return fail(event.where(), "nested more than " + std::to_string(kMaxDepth) + " levels deep",
                "sessions need fewer than ten");
  }
  if (++node_count_ > kMaxNodeCount) {
    return fail(event.where(),
                "more than " + std::to_string(kMaxNodeCount) + " nodes, aliases counted as what they repeat",
                "split the session");
  }
  return true;
}

bool Builder::remember(const yaml_char_t* anchor, const Node& node) {
  if (anchor == nullptr) return true;
  const std::size_t count = node_count(node);
  anchored_count_ += count;  // kept once more: the same budget bounds it
  if (anchored_count_ > kMaxNodeCount) {
    return fail(node.where, "the anchors of this text cover more than " + std::to_string(kMaxNodeCount) + " nodes",
                "write the repeated parts out");
  }
  if (anchors_.contains(view(anchor))) {
    return fail(node.where, "anchor `" + std::string(view(anchor)) + "` is defined twice",
                "give each anchor its own name");
  }
  anchors_.emplace(std::string(view(anchor)), Anchor{node, count, height(node)});
  return true;
}

bool Builder::build_scalar(const Event& event, Node& node) {
  const auto& scalar = event.raw.data.scalar;
  if (scalar.tag != nullptr) {
    return fail(event.where(), "the tag `" + std::string(view(scalar.tag)) + "` is not allowed",
                "remove it; quotes make a text a text");
  }
  if (scalar.length > kMaxScalarSize) {
    return fail(event.where(), "a text of more than " + std::to_string(kMaxScalarSize / 1024) + " KiB",
                "put large data into a volume");
  }
  node.kind = NodeKind::kScalar;
  node.quoting = scalar.style == YAML_PLAIN_SCALAR_STYLE ? Quoting::kPlain : Quoting::kQuoted;
  node.text.assign(reinterpret_cast<const char*>(scalar.value), scalar.length);
  if (node.text.find('\0') != std::string::npos) return fail(event.where(), "a text with a NUL character", "remove it");
  return remember(scalar.anchor, node);
}

bool Builder::build_list(const Event& event, std::size_t depth, Node& node) {
  node.kind = NodeKind::kList;
  if (event.raw.data.sequence_start.tag != nullptr)
    return fail(event.where(), "a list with a tag is not allowed", "remove it");
  for (;;) {
    Event item;
    if (!next(item)) return false;
    if (item.raw.type == YAML_SEQUENCE_END_EVENT) break;
    if (!build(item, depth + 1, node.items.emplace_back())) return false;
  }
  return remember(event.raw.data.sequence_start.anchor, node);
}

bool Builder::build_key(Entry& entry, const Event& event, std::map<std::string, Position, std::less<>>& seen) {
  if (event.raw.type != YAML_SCALAR_EVENT)
    return fail(event.where(), "a key must be a plain word", "write `key: value`");
  entry.key.where = event.where();
  if (!build_scalar(event, entry.key)) return false;
  const std::string& key = entry.key.text;
  if (key == "<<" && entry.key.quoting == Quoting::kPlain) {
    return fail(event.where(), "the merge key `<<` is not allowed", "write the repeated entries out");
  }
  if (key.size() > 256)
    return fail(event.where(), "a key of more than 256 characters", "is a colon missing, or a quote?");
  const auto [place, is_new] = seen.emplace(key, event.where());
  if (is_new) return true;
  return fail(event.where(), "key `" + key + "` is given twice, first in line " + std::to_string(place->second.line),
              "keep one of them");
}

bool Builder::build_mapping(const Event& event, std::size_t depth, Node& node) {
  node.kind = NodeKind::kMapping;
  if (event.raw.data.mapping_start.tag != nullptr) {
    return fail(event.where(), "a mapping with a tag is not allowed", "remove it");
  }
  std::map<std::string, Position, std::less<>> seen;
  for (;;) {
    Event key;
    if (!next(key)) return false;
    if (key.raw.type == YAML_MAPPING_END_EVENT) break;
    Entry& entry = node.entries.emplace_back();
    if (!admit(key, depth + 1) || !build_key(entry, key, seen)) return false;
    Event value;
    if (!next(value) || !build(value, depth + 1, entry.value)) return false;
  }
  return remember(event.raw.data.mapping_start.anchor, node);
}

bool Builder::build_alias(const Event& event, std::size_t depth, Node& node) {
  const auto found = anchors_.find(view(event.raw.data.alias.anchor));
  if (found == anchors_.end()) {
    return fail(event.where(),
                "alias `" + std::string(view(event.raw.data.alias.anchor)) + "` names no complete anchor",
                "an anchor (&name) must stand before its alias (*name), and not around it");
  }
  if (++alias_count_ > kMaxAliasCount) {
    return fail(event.where(), "more than " + std::to_string(kMaxAliasCount) + " aliases",
                "write the repeated parts out");
  }
  node_count_ += found->second.count;
  if (!admit(event, depth + found->second.height - 1)) return false;
  node = found->second.node;
  node.where = event.where();
  return true;
}

bool Builder::build(const Event& event, std::size_t depth, Node& node) {
  if (!admit(event, depth)) return false;
  node.where = event.where();
  switch (event.raw.type) {
    case YAML_SCALAR_EVENT:
      return build_scalar(event, node);
    case YAML_SEQUENCE_START_EVENT:
      return build_list(event, depth, node);
    case YAML_MAPPING_START_EVENT:
      return build_mapping(event, depth, node);
    case YAML_ALIAS_EVENT:
      return build_alias(event, depth, node);
    default:
      return fail(event.where(), "this is no YAML: a value is missing", "write one");
  }
}

std::optional<Node> Builder::document() {
  Event begin, start, root, end, more;
  if (!next(begin) || !next(start)) return std::nullopt;
  if (start.raw.type != YAML_DOCUMENT_START_EVENT) {
    fail({1, 1}, "the text is empty", "a session has at least `name`, `version` and `services`");
    return std::nullopt;
  }
  const auto& head = start.raw.data.document_start;
  if (head.version_directive != nullptr || head.tag_directives.start != head.tag_directives.end) {
    fail(start.where(), "directives (% lines) are not allowed", "remove the line");
    return std::nullopt;
  }
  Node node;
  if (!next(root) || !build(root, 1, node) || !next(end) || !next(more)) return std::nullopt;
  if (more.raw.type == YAML_STREAM_END_EVENT) return node;
  fail(more.where(), "a second document begins here", "one file holds one session");
  return std::nullopt;
}

}  // namespace

Node::~Node() {
  if (!text.empty()) crypto::wipe(std::as_writable_bytes(std::span<char>(text)));
}

std::optional<Node> parse_yaml(std::string_view text, Diagnostics& diagnostics) {
  if (text.size() > kMaxSessionSize) {
    diagnostics.error({}, "the text has more than " + std::to_string(kMaxSessionSize / 1024) + " KiB",
                      "put large data into a volume, or split the session");
    return std::nullopt;
  }
  return Builder(text, diagnostics).document();
}

}  // namespace casemate::policy
