#include "policy/moment.h"

#include <chrono>
#include <cstdio>

namespace casemate::policy {
namespace {

constexpr std::string_view kPattern = "dddd-dd-ddTdd:dd:ddZ";

// The number of `count` digits at `at`; the pattern has been checked.
int number_at(std::string_view text, std::size_t at, std::size_t count) {
  int number = 0;
  for (const char digit : text.substr(at, count)) number = number * 10 + (digit - '0');
  return number;
}

bool follows_pattern(std::string_view text) {
  if (text.size() != kPattern.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool is_digit = text[i] >= '0' && text[i] <= '9';
    if (kPattern[i] == 'd' ? !is_digit : text[i] != kPattern[i]) return false;
  }
  return true;
}

}  // namespace

Result<std::uint64_t> parse_moment(std::string_view text) {
  const Error wrong(ErrorCategory::kFormat, "expected a time like 2026-12-31T00:00:00Z");
  if (!follows_pattern(text)) return wrong;
  const std::chrono::year_month_day day{std::chrono::year(number_at(text, 0, 4)),
                                        std::chrono::month(static_cast<unsigned>(number_at(text, 5, 2))),
                                        std::chrono::day(static_cast<unsigned>(number_at(text, 8, 2)))};
  const int hour = number_at(text, 11, 2), minute = number_at(text, 14, 2), second = number_at(text, 17, 2);
  if (!day.ok() || hour > 23 || minute > 59 || second > 59) return wrong;
  const auto days = std::chrono::sys_days(day).time_since_epoch().count();
  if (days < 0) return wrong;
  return static_cast<std::uint64_t>(days) * 86400 + static_cast<std::uint64_t>(hour * 3600 + minute * 60 + second);
}

std::string moment_text(std::uint64_t seconds) {
  constexpr std::uint64_t kLast = 253402300799;  // 9999-12-31T23:59:59Z
  if (seconds > kLast) seconds = kLast;
  const std::chrono::year_month_day day{std::chrono::sys_days(std::chrono::days(seconds / 86400))};
  const std::uint64_t rest = seconds % 86400;
  char text[40];
  const int size = std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02u:%02u:%02uZ", static_cast<int>(day.year()),
                                 static_cast<unsigned>(day.month()), static_cast<unsigned>(day.day()),
                                 static_cast<unsigned>(rest / 3600), static_cast<unsigned>(rest / 60 % 60),
                                 static_cast<unsigned>(rest % 60));
  return std::string(text, static_cast<std::size_t>(size));
}

}  // namespace casemate::policy
