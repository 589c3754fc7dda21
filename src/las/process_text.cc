#include "las/process_text.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace casemate::las {
namespace {

Error malformed(std::string_view what, std::string_view line) {
  return Error(ErrorCategory::kFormat, std::string(what) + ": cannot read \"" + std::string(line.substr(0, 80)) + "\"");
}

// Takes lines off the front; false at the end.
bool next_line(std::string_view& text, std::string_view& line) {
  if (text.empty()) return false;
  const std::size_t end = std::min(text.find('\n'), text.size());
  line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return true;
}

std::string_view next_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  const std::size_t end = std::min(line.find_first_of(" \t"), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(end);
  return word;
}

template <typename Integer>
std::optional<Integer> number(std::string_view text, int base = 10) {
  Integer value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool is_header(std::string_view line) {
  const std::size_t dash = line.find('-');
  return dash != std::string_view::npos && dash > 0 &&
         std::all_of(line.begin(), line.begin() + static_cast<std::ptrdiff_t>(dash),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

// "start-end perms offset dev inode   name"
std::optional<Mapping> parse_header(std::string_view line) {
  Mapping mapping;
  const std::string_view range = next_word(line);
  const std::size_t dash = range.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto start = number<std::uint64_t>(range.substr(0, dash), 16);
  const auto end = number<std::uint64_t>(range.substr(dash + 1), 16);
  mapping.permissions = next_word(line);
  const auto offset = number<std::uint64_t>(next_word(line), 16);
  mapping.device = next_word(line);
  const auto inode = number<std::uint64_t>(next_word(line));
  if (!start || !end || !offset || !inode || mapping.permissions.size() != 4) return std::nullopt;
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  mapping.name = line;
  mapping.start = *start;
  mapping.end = *end;
  mapping.offset = *offset;
  mapping.inode = *inode;
  return mapping;
}

// "Key:   123 kB" or "Key: 123"; nothing when it has another key.
std::optional<std::string_view> value_of(std::string_view line, std::string_view key) {
  if (!line.starts_with(key) || line.size() <= key.size() || line[key.size()] != ':') return std::nullopt;
  line.remove_prefix(key.size() + 1);
  return next_word(line);
}

// Adds the pages of "Anonymous" and "Swap" lines; false when one is malformed.
bool add_private_pages(std::string_view line, Mapping& mapping, unsigned& seen) {
  for (const std::string_view key : {"Anonymous", "Swap"}) {
    const auto text = value_of(line, key);
    if (!text) continue;
    const auto kib = number<std::uint64_t>(*text);
    if (!kib) return false;
    mapping.private_pages_kib += *kib;
    ++seen;
  }
  return true;
}

}  // namespace

Result<std::vector<Mapping>> parse_maps(std::string_view text) {
  std::vector<Mapping> mappings;
  for (std::string_view line; next_line(text, line);) {
    std::optional<Mapping> mapping = parse_header(line);
    if (!mapping) return malformed("maps", line);
    mappings.push_back(std::move(*mapping));
  }
  return mappings;
}

Result<std::vector<Mapping>> parse_smaps(std::string_view text) {
  std::vector<Mapping> mappings;
  unsigned seen = 2;  // of the two fields of the mapping before
  for (std::string_view line; next_line(text, line);) {
    if (is_header(line)) {
      std::optional<Mapping> mapping = parse_header(line);
      if (!mapping || seen != 2) return malformed("smaps", line);
      mappings.push_back(std::move(*mapping));
      seen = 0;
    } else if (mappings.empty() || !add_private_pages(line, mappings.back(), seen)) {
      return malformed("smaps", line);
    }
  }
  if (seen != 2) return malformed("smaps", "end of the text");
  return mappings;
}

Result<ProcessStatus> parse_status(std::string_view text) {
  ProcessStatus status;
  unsigned seen = 0;
  for (std::string_view line; next_line(text, line);) {
    if (const auto value = value_of(line, "TracerPid")) {
      const auto parsed = number<std::int64_t>(*value);
      if (!parsed) return malformed("status", line);
      status.tracer = *parsed;
      ++seen;
    }
    const std::pair<std::string_view, std::uint64_t*> fields[] = {{"Threads", &status.threads},
                                                                  {"Seccomp_filters", &status.seccomp_filters},
                                                                  {"VmPeak", &status.peak_kib},
                                                                  {"VmSize", &status.size_kib}};
    for (const auto& [key, out] : fields) {
      const auto value = value_of(line, key);
      if (!value) continue;
      const auto parsed = number<std::uint64_t>(*value);
      if (!parsed) return malformed("status", line);
      *out = *parsed;
      ++seen;
    }
  }
  // A process without an address space (kernel thread, or dead) has no Vm lines.
  if (seen != 5) return malformed("status", "a field that is missing or there twice");
  return status;
}

Result<std::uint64_t> parse_start_time(std::string_view text) {
  // The name in parentheses may contain anything; fields start behind the last one.
  const std::size_t close = text.rfind(')');
  if (close == std::string_view::npos) return malformed("stat", text);
  std::string_view rest = text.substr(close + 1);
  std::string_view word;
  for (int field = 3; field <= 22; ++field) word = next_word(rest);
  const auto ticks = number<std::uint64_t>(word);
  if (!ticks) return malformed("stat", text);
  return *ticks;
}

}  // namespace casemate::las
