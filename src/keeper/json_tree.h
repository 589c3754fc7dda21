// A JSON document as a tree that remembers where everything stood, so that mistakes are told with line and column.
// Comments (// and /* */) are allowed; duplicate keys are errors; numbers are integers only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace casemate::keeper {

enum class JsonKind { kNull, kBoolean, kInteger, kString, kArray, kObject };

struct JsonPlace {
  std::uint32_t line = 1, column = 1;
};

struct JsonNode {
  JsonKind kind = JsonKind::kNull;
  JsonPlace place;          // just behind the token
  std::int64_t number = 0;  // also 0 and 1 of booleans
  std::string text;
  std::vector<std::string> keys;  // objects: of children[i]
  std::vector<JsonPlace> key_places;
  std::vector<JsonNode> children;

  // Null when an object has no such key.
  const JsonNode* find(std::string_view key) const;
};

// Errors: kFormat, "line L, column C: ...". At most 64 levels deep.
Result<JsonNode> parse_json(std::string_view text);

// "line L, column C: <what>".
Error json_error(const JsonPlace& place, const std::string& what);

}  // namespace casemate::keeper
