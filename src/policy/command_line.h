// A service's `command`: one text that becomes argv. It is split before anything is substituted, so that no secret and
// no argument of the host can add or remove words.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace casemate::policy {

inline constexpr std::size_t kMaxWordCount = 1024;

// Words are separated by white space. '...' keeps everything; "..." keeps white space, with \ before " and \; outside
// of quotes \ keeps the next character. There are no variables, no globs, no shell. Errors: kFormat.
Result<std::vector<std::string>> split_command(std::string_view command);

// A piece of a word: literal text, or a place for the host's argument number `argument` ("@@3").
struct WordPart {
  std::string_view text;
  int argument = -1;
};
// "@@" without a digit is literal. Numbers above 999 are literal text, too: the checker refuses them.
std::vector<WordPart> parts_of_word(std::string_view word);

}  // namespace casemate::policy
