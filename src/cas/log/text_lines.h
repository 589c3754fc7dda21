// The text forms of log files: lines that end in one newline, words apart by one space. Private to cas/log.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cas/log/merkle.h"

namespace casemate::cas::internal {

// Threads: one at a time. Views point into the text.
class LineReader {
 public:
  // `what` names the file's kind in errors.
  LineReader(std::string_view text, const char* what) : rest_(text), what_(what) {}

  bool at_end() const { return rest_.empty(); }
  // The first word of the line that comes next; empty at the end.
  std::string_view next_keyword() const;
  // Errors: kFormat at the end, and for a line without its newline.
  Result<std::string_view> line();
  // A line of exactly `count` words, the first of which is `keyword`. Returns the others.
  Result<std::vector<std::string_view>> words(std::string_view keyword, std::size_t count);
  // A line that says just that.
  Result<void> expect(std::string_view line);
  // Everything that is left.
  std::string_view rest() { return std::exchange(rest_, {}); }
  Error failure(const std::string& reason) const;

 private:
  std::string_view rest_;
  const char* what_;
  std::uint64_t number_ = 0;  // of the line read last
};

std::vector<std::string_view> split_words(std::string_view line);
// Decimal without leading zeros. Errors: kFormat.
Result<std::uint64_t> parse_number(std::string_view text);
// Lower-case hex. Errors: kFormat.
Result<Bytes> parse_hex(std::string_view text);
Result<Digest> parse_digest(std::string_view text);

}  // namespace casemate::cas::internal
