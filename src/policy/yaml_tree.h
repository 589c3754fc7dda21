// YAML as sessions use it: a tree of mappings with text keys, lists and scalars, each with its place in the text.
//
// libyaml (YAML 1.1 syntax) delivers events; types are not resolved here, a scalar is text that stood with or without
// quotes. What a hostile text can do here -> what we answer:
//   exponential aliases        -> a budget of nodes after expansion, and of aliases; cyclic ones cannot be written
//   deep nesting, huge text    -> limits below, checked before anything is built
//   duplicate keys             -> refused, with both places
//   tags, directives, merge keys, several documents, keys that are no text -> refused: sessions need none of them
//   control characters, overlong or broken UTF-8, UTF-16 -> refused by libyaml's reader, which is told to expect UTF-8
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/diagnostics.h"

namespace casemate::policy {

inline constexpr std::size_t kMaxSessionSize = std::size_t{1} << 20;
inline constexpr std::size_t kMaxDepth = 24;
inline constexpr std::size_t kMaxNodeCount = 50'000;  // after aliases are expanded
inline constexpr std::size_t kMaxAliasCount = 100;
inline constexpr std::size_t kMaxScalarSize = 256 * 1024;

enum class NodeKind { kScalar, kList, kMapping };
enum class Quoting { kPlain, kQuoted };  // block scalars count as quoted: their type is never guessed

struct Entry;

// Threads: immutable after parsing. The text is wiped when the node goes, because it may be a secret; copies that
// libyaml made are not.
struct Node {
  NodeKind kind = NodeKind::kScalar;
  Quoting quoting = Quoting::kPlain;
  Position where;
  std::string text;            // kScalar
  std::vector<Node> items;     // kList
  std::vector<Entry> entries;  // kMapping

  Node() = default;
  Node(const Node&) = default;
  Node(Node&&) = default;
  Node& operator=(const Node&) = default;
  Node& operator=(Node&&) = default;
  ~Node();
};

struct Entry {
  Node key;
  Node value;
};

// Nothing when the text is no YAML of our kind; then `diagnostics` has at least one error. Blocks: no.
std::optional<Node> parse_yaml(std::string_view text, Diagnostics& diagnostics);

}  // namespace casemate::policy
