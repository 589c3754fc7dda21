#include "attest/moment.h"

#include <ctime>

namespace casemate::attest {
namespace {

constexpr Moment kSecondsPerMinute = 60, kSecondsPerHour = 3600;

// Takes pieces off the front of a text; remembers whether everything fitted.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  bool failed() const { return failed_; }
  bool at_end() const { return rest_.empty(); }
  bool next_is(char wanted) const { return !rest_.empty() && rest_.front() == wanted; }

  int digits(std::size_t count) {
    int value = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (rest_.empty() || rest_.front() < '0' || rest_.front() > '9') return fail();
      value = value * 10 + (rest_.front() - '0');
      rest_.remove_prefix(1);
    }
    return value;
  }
  // One of `wanted`.
  char one_of(std::string_view wanted) {
    if (rest_.empty() || wanted.find(rest_.front()) == std::string_view::npos) return static_cast<char>(fail());
    const char taken = rest_.front();
    rest_.remove_prefix(1);
    return taken;
  }
  void skip_digits() {
    while (!rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9') rest_.remove_prefix(1);
  }

 private:
  int fail() {
    failed_ = true;
    return 0;
  }

  std::string_view rest_;
  bool failed_ = false;
};

bool is_possible(const std::tm& parts) {
  return parts.tm_mon >= 0 && parts.tm_mon < 12 && parts.tm_mday >= 1 && parts.tm_mday <= 31 && parts.tm_hour < 24 &&
         parts.tm_min < 60 && parts.tm_sec <= 60;
}

// Seconds east of Greenwich; 0 for "Z" and for nothing.
Moment scan_offset(Scanner& scanner) {
  if (scanner.at_end()) return 0;
  const char sign = scanner.one_of("Zz+-");
  if (sign != '+' && sign != '-') return 0;
  Moment offset = scanner.digits(2) * kSecondsPerHour;
  if (scanner.next_is(':')) scanner.one_of(":");
  offset += scanner.digits(2) * kSecondsPerMinute;
  return sign == '-' ? -offset : offset;
}

}  // namespace

Result<Moment> parse_moment(std::string_view text) {
  Scanner scanner(text);
  std::tm parts{};
  parts.tm_year = scanner.digits(4) - 1900;
  scanner.one_of("-");
  parts.tm_mon = scanner.digits(2) - 1;
  scanner.one_of("-");
  parts.tm_mday = scanner.digits(2);
  Moment offset = 0;
  if (!scanner.at_end()) {
    scanner.one_of("Tt ");
    parts.tm_hour = scanner.digits(2);
    scanner.one_of(":");
    parts.tm_min = scanner.digits(2);
    scanner.one_of(":");
    parts.tm_sec = scanner.digits(2);
    if (scanner.next_is('.')) {
      scanner.one_of(".");
      scanner.digits(1);
      scanner.skip_digits();
    }
    offset = scan_offset(scanner);
  }
  if (scanner.failed() || !scanner.at_end() || !is_possible(parts)) {
    return Error(ErrorCategory::kFormat, "\"" + std::string(text) + "\" is no time like 2025-07-04T10:16:31Z");
  }
  return static_cast<Moment>(timegm(&parts)) - offset;
}

std::string to_text(Moment moment) {
  constexpr Moment kLastYear9999 = 253402300799;
  if (moment < -62135596800 || moment > kLastYear9999) return moment < 0 ? "the distant past" : "the distant future";
  const std::time_t seconds = moment;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  return std::string(text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts));
}

void ValidityWindow::narrow(Moment other_begin, Moment other_end, const std::string& part) {
  if (other_begin > begin) {
    begin = other_begin;
    begin_set_by = part;
  }
  if (other_end < end) {
    end = other_end;
    end_set_by = part;
  }
}

}  // namespace casemate::attest
