#include "policy/scalar.h"

#include <algorithm>
#include <array>
#include <string>

namespace casemate::policy {
namespace {

constexpr std::string_view kDigits = "0123456789";
constexpr std::size_t kExactDigits = 15;  // a double keeps that many decimal digits

bool consists_of(std::string_view text, std::string_view letters) {
  return text.find_first_not_of(letters) == std::string_view::npos;
}

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

std::string_view without_sign(std::string_view text) {
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) text.remove_prefix(1);
  return text;
}

bool is_boolean(std::string_view text) {
  if (text.empty() || text.size() > 5) return false;
  std::string lower(text);
  for (char& letter : lower) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
  }
  return is_one_of(lower, {"true", "false", "yes", "no", "on", "off", "y", "n"});
}

bool is_canonical_integer(std::string_view text) {
  const bool is_negative = !text.empty() && text.front() == '-';
  if (is_negative) text.remove_prefix(1);
  if (text.empty() || text.size() > kExactDigits || !consists_of(text, kDigits)) return false;
  return text.front() != '0' || (text == "0" && !is_negative);
}

bool is_canonical_fraction(std::string_view text) {
  const std::size_t point = text.find('.');
  if (point == std::string_view::npos || text.size() > kExactDigits) return false;
  const std::string_view whole = text.substr(0, point), fraction = text.substr(point + 1);
  return (is_canonical_integer(whole) || whole == "-0") && !fraction.empty() && consists_of(fraction, kDigits) &&
         fraction.back() != '0';
}

// Base 60 of YAML 1.1: 22:22, 1:30:00, 190:20:30.15
bool is_sexagesimal(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  return consists_of(text.substr(0, colon), "0123456789_") && consists_of(text.substr(colon), "0123456789:._") &&
         text.back() != ':';
}

bool is_prefixed_integer(std::string_view text) {
  if (text.size() < 3 || text.front() != '0') return false;
  const std::string_view digits = text.substr(2);
  switch (text[1]) {
    case 'x':
    case 'X':
      return consists_of(digits, "0123456789abcdefABCDEF_");
    case 'o':
    case 'O':
      return consists_of(digits, "01234567_");
    case 'b':
    case 'B':
      return consists_of(digits, "01_");
    default:
      return false;
  }
}

bool is_float(std::string_view text) {
  std::size_t exponent = text.find_first_of("eE");
  const std::string_view mantissa = text.substr(0, exponent);
  if (mantissa.empty() || !consists_of(mantissa, "0123456789._") || mantissa.find_first_of(kDigits) == mantissa.npos) {
    return false;
  }
  if (std::count(mantissa.begin(), mantissa.end(), '.') > 1) return false;
  if (exponent == std::string_view::npos) return true;
  const std::string_view digits = without_sign(text.substr(exponent + 1));
  return !digits.empty() && consists_of(digits, kDigits);
}

bool is_number(std::string_view text) {
  text = without_sign(text);
  if (text.empty()) return false;
  if (is_one_of(text, {".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN"})) return true;
  return is_float(text) || is_prefixed_integer(text) || is_sexagesimal(text);
}

// YYYY-M-D, alone or with a time behind it.
bool is_timestamp(std::string_view text) {
  if (text.size() < 8 || !consists_of(text.substr(0, 4), kDigits) || text[4] != '-') return false;
  const std::size_t second = text.find('-', 5);
  if (second == std::string_view::npos || second - 5 < 1 || second - 5 > 2) return false;
  if (!consists_of(text.substr(5, second - 5), kDigits)) return false;
  const std::string_view day = text.substr(second + 1);
  const std::size_t end = std::min(day.find_first_not_of(kDigits), day.size());
  return end >= 1 && end <= 2 && (end == day.size() || day[end] == 'T' || day[end] == 't' || day[end] == ' ');
}

}  // namespace

PlainMeaning meaning_of_plain(std::string_view text) {
  if (text.empty() || is_one_of(text, {"~", "null", "Null", "NULL"})) return PlainMeaning::kNull;
  if (is_boolean(text)) return PlainMeaning::kBoolean;
  if (is_canonical_integer(text) || is_canonical_fraction(text)) return PlainMeaning::kCanonicalNumber;
  if (is_timestamp(text)) return PlainMeaning::kTimestamp;
  return is_number(text) ? PlainMeaning::kOtherNumber : PlainMeaning::kText;
}

std::string_view name_of(PlainMeaning meaning) {
  constexpr std::array<std::string_view, 6> kNames = {
      "text", "nothing (null)", "a boolean", "a number", "a number in another notation", "a date"};
  return kNames[static_cast<std::size_t>(meaning)];
}

}  // namespace casemate::policy
