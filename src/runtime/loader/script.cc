// See script.h. Positions are indices into Linux's 256-byte buffer, which is filled up with NUL behind the file's end.
#include "runtime/loader/script.h"

namespace casemate::runtime {
namespace {

constexpr std::size_t kNone = static_cast<std::size_t>(-1);
constexpr std::size_t kLast = kScriptHeadSize - 1;

class Line {
 public:
  explicit Line(std::span<const std::byte> head) : head_(head) {}

  char at(std::size_t index) const { return index < head_.size() ? static_cast<char>(head_[index]) : '\0'; }
  bool is_blank(std::size_t index) const { return at(index) == ' ' || at(index) == '\t'; }

  // First newline, unless a NUL comes before it.
  std::size_t newline() const {
    for (std::size_t index = 0; index <= kLast && at(index) != '\0'; ++index) {
      if (at(index) == '\n') return index;
    }
    return kNone;
  }

  // Both look at [first, last], last included.
  std::size_t next_non_blank(std::size_t first, std::size_t last) const {
    while (first <= last && is_blank(first)) ++first;
    return first <= last ? first : kNone;
  }
  std::size_t next_terminator(std::size_t first, std::size_t last) const {
    while (first <= last && !is_blank(first) && at(first) != '\0') ++first;
    return first <= last ? first : kNone;
  }

  // [begin, end), ended by the first NUL. Never null, also when the file ends at `begin`.
  std::span<const std::byte> text(std::size_t begin, std::size_t end) const {
    std::size_t stop = begin;
    while (stop < end && at(stop) != '\0') ++stop;
    return head_.subspan(begin < head_.size() ? begin : head_.size(), stop - begin);
  }

 private:
  std::span<const std::byte> head_;
};

}  // namespace

bool is_script(std::span<const std::byte> head) {
  return head.size() >= 2 && head[0] == std::byte{'#'} && head[1] == std::byte{'!'};
}

LoadError parse_script_line(std::span<const std::byte> head, ScriptLine& result) {
  result = {};
  if (!is_script(head)) return LoadError::kUnknownFormat;
  const Line line(head.first(head.size() < kScriptHeadSize ? head.size() : kScriptHeadSize));
  std::size_t end = line.newline();
  if (end == kNone) {
    const std::size_t path = line.next_non_blank(2, kLast);
    if (path == kNone) return LoadError::kScriptWithoutInterpreter;
    if (line.next_terminator(path, kLast) == kNone) return LoadError::kScriptPathTruncated;
    end = kLast;
  }
  while (line.is_blank(end - 1)) --end;  // ends at '!' at the latest
  const std::size_t path = line.next_non_blank(2, end);
  if (path == kNone || path == end) return LoadError::kScriptWithoutInterpreter;
  const std::size_t separator = line.next_terminator(path, end);
  result.interpreter = line.text(path, separator == kNone ? end : separator);
  if (separator == kNone || line.at(separator) == '\0') return LoadError::kNone;
  const std::size_t argument = line.next_non_blank(separator, end);
  if (argument != kNone) result.argument = line.text(argument, end);
  return LoadError::kNone;
}

}  // namespace casemate::runtime
