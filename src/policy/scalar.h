// What YAML readers make of a text without quotes. YAML 1.1 and 1.2 disagree, and writers are surprised by both ("no"
// is a boolean, 0644 and 22:22 are numbers, 1.10 is 1.1), so a text that any of them would change is refused instead
// of guessed.
#pragma once

#include <string_view>

namespace casemate::policy {

enum class PlainMeaning {
  kText,             // text for everybody
  kNull,             // nothing at all, ~, null
  kBoolean,          // true and false in any spelling: yes, no, on, off, y, n too
  kCanonicalNumber,  // a number that is printed exactly as it is written: 8080, -1, 0.3
  kOtherNumber,      // a number in another notation: 0644, 0x1f, 1_000, 1e3, 22:22, 1.10, .inf
  kTimestamp,        // 2026-11-23
};

PlainMeaning meaning_of_plain(std::string_view text);

// "a boolean": how messages call it.
std::string_view name_of(PlainMeaning meaning);

}  // namespace casemate::policy
