#include "cas/log/text_lines.h"

#include <algorithm>
#include <charconv>

namespace casemate::cas::internal {

std::vector<std::string_view> split_words(std::string_view line) {
  std::vector<std::string_view> words;
  while (true) {
    const std::size_t space = line.find(' ');
    words.push_back(line.substr(0, space));
    if (space == std::string_view::npos) return words;
    line.remove_prefix(space + 1);
  }
}

Result<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool has_leading_zero = text.size() > 1 && text.front() == '0';
  if (code != std::errc() || end != text.data() + text.size() || has_leading_zero) {
    return Error(ErrorCategory::kFormat, "not a decimal number of 64 bits");
  }
  return value;
}

Result<Bytes> parse_hex(std::string_view text) {
  if (std::any_of(text.begin(), text.end(), [](char digit) { return digit >= 'A' && digit <= 'F'; })) {
    return Error(ErrorCategory::kFormat, "hexadecimal digits are lower case here");
  }
  return crypto::from_hex(text);
}

Result<Digest> parse_digest(std::string_view text) {
  const Bytes bytes = CASEMATE_TRY(parse_hex(text));
  Digest digest;
  if (bytes.size() != digest.size()) return Error(ErrorCategory::kFormat, "a hash has 64 hexadecimal digits");
  std::copy(bytes.begin(), bytes.end(), digest.begin());
  return digest;
}

Error LineReader::failure(const std::string& reason) const {
  return Error(ErrorCategory::kFormat, std::string(what_) + ", line " + std::to_string(number_) + ": " + reason);
}

std::string_view LineReader::next_keyword() const {
  return rest_.substr(0, std::min(rest_.find(' '), rest_.find('\n')));
}

Result<std::string_view> LineReader::line() {
  ++number_;
  const std::size_t end = rest_.find('\n');
  if (end == std::string_view::npos) return failure("cut off");
  const std::string_view line = rest_.substr(0, end);
  rest_.remove_prefix(end + 1);
  return line;
}

Result<std::vector<std::string_view>> LineReader::words(std::string_view keyword, std::size_t count) {
  const std::string_view whole = CASEMATE_TRY(line());
  std::vector<std::string_view> words = split_words(whole);
  if (words.front() != keyword || words.size() != count) {
    return failure("'" + std::string(keyword) + "' and " + std::to_string(count - 1) + " words were expected");
  }
  words.erase(words.begin());
  return words;
}

Result<void> LineReader::expect(std::string_view wanted) {
  const std::string_view found = CASEMATE_TRY(line());
  if (found != wanted) return failure("'" + std::string(wanted) + "' was expected");
  return {};
}

}  // namespace casemate::cas::internal
