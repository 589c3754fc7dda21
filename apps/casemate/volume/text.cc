#include "casemate/volume/text.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <ctime>
#include <iterator>
#include <nlohmann/json.hpp>

namespace casemate::volume_tool {
namespace {

struct Character {
  std::size_t size = 0;  // 0: no UTF-8 here
  std::uint32_t code = 0;
};

// The character that `bytes` start with (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF).
Character first_character(std::string_view bytes) {
  struct Form {
    unsigned mask, lead;
    std::size_t size;
    std::uint32_t least;
  };
  constexpr Form kForms[] = {
      {0x80, 0x00, 1, 0}, {0xe0, 0xc0, 2, 0x80}, {0xf0, 0xe0, 3, 0x800}, {0xf8, 0xf0, 4, 0x10000}};
  const auto at = [&](std::size_t index) { return static_cast<unsigned>(static_cast<unsigned char>(bytes[index])); };
  for (const Form& form : kForms) {
    if ((at(0) & form.mask) != form.lead || bytes.size() < form.size) continue;
    std::uint32_t code = at(0) & ~form.mask;
    for (std::size_t i = 1; i < form.size; ++i) {
      if ((at(i) & 0xc0) != 0x80) return {};
      code = code << 6 | (at(i) & 0x3f);
    }
    if (code < form.least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return {};
    return {form.size, code};
  }
  return {};
}

bool is_control(std::uint32_t code) { return code < 0x20 || (code >= 0x7f && code < 0xa0); }

std::string escaped(std::string_view bytes) {
  if (bytes == "\n") return "\\n";
  if (bytes == "\t") return "\\t";
  if (bytes == "\\") return "\\\\";
  std::string text;
  for (const char byte : bytes) text += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
  return text;
}

std::tm utc(std::int64_t seconds) {
  const std::time_t time = static_cast<std::time_t>(seconds);
  std::tm parts = {};
  if (gmtime_r(&time, &parts) == nullptr) parts = {};
  return parts;
}

std::string date(const std::tm& parts, char between) {
  return fmt::format("{:04}-{:02}-{:02}{}{:02}:{:02}:{:02}", parts.tm_year + 1900LL, parts.tm_mon + 1, parts.tm_mday,
                     between, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

Error bad_position(const std::string& text) {
  return Error(ErrorCategory::kUsage,
               "'" + text + "' is no position; write EPOCH.SEQUENCE.TAG as `anchor --show` does");
}

}  // namespace

std::string printable(std::string_view bytes) {
  std::string text;
  while (!bytes.empty()) {
    const Character character = first_character(bytes);
    const std::string_view piece = bytes.substr(0, std::max<std::size_t>(character.size, 1));
    const bool plain = character.size != 0 && !is_control(character.code) && character.code != '\\';
    text += plain ? std::string(piece) : escaped(piece);
    bytes.remove_prefix(piece.size());
  }
  return text;
}

bool is_utf8(std::string_view bytes) {
  while (!bytes.empty()) {
    const Character character = first_character(bytes);
    if (character.size == 0) return false;
    bytes.remove_prefix(character.size);
  }
  return true;
}

void add_bytes(nlohmann::ordered_json& object, const std::string& key, std::string_view bytes) {
  if (is_utf8(bytes)) {
    object[key] = std::string(bytes);
    return;
  }
  object[key] = printable(bytes);
  object[key + "_hex"] = to_hex(std::as_bytes(std::span(bytes.data(), bytes.size())));
}

std::string to_hex(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte byte : bytes) text += fmt::format("{:02x}", std::to_integer<unsigned>(byte));
  return text;
}

std::optional<std::string> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(text.data() + i, text.data() + i + 2, value, 16);
    if (error != std::errc() || end != text.data() + i + 2) return std::nullopt;
    bytes += static_cast<char>(value);
  }
  return bytes;
}

std::string readable_size(std::uint64_t size) {
  constexpr const char* kUnits[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  std::size_t unit = 0;
  auto value = static_cast<double>(size);
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} bytes", size) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string readable_time(const volume::Timestamp& time) { return date(utc(time.seconds), ' '); }

std::string exact_time(const volume::Timestamp& time) {
  return fmt::format("{}.{:09}Z", date(utc(time.seconds), 'T'), time.nanoseconds);
}

std::string readable_mode(std::uint32_t mode) {
  struct Type {
    std::uint32_t bits;
    char letter;
  };
  constexpr Type kTypes[] = {{S_IFREG, '-'}, {S_IFDIR, 'd'}, {S_IFLNK, 'l'}, {S_IFCHR, 'c'},
                             {S_IFBLK, 'b'}, {S_IFIFO, 'p'}, {S_IFSOCK, 's'}};
  const auto* type = std::find_if(std::begin(kTypes), std::end(kTypes),
                                  [&](const Type& candidate) { return candidate.bits == (mode & S_IFMT); });
  std::string text(1, type != std::end(kTypes) ? type->letter : '?');
  constexpr std::string_view kLetters = "rwxrwxrwx";
  for (unsigned i = 0; i < kLetters.size(); ++i) text += (mode & (0400U >> i)) != 0 ? kLetters[i] : '-';
  if ((mode & S_ISUID) != 0) text[3] = text[3] == 'x' ? 's' : 'S';
  if ((mode & S_ISGID) != 0) text[6] = text[6] == 'x' ? 's' : 'S';
  if ((mode & S_ISVTX) != 0) text[9] = text[9] == 'x' ? 't' : 'T';
  return text;
}

std::string to_text(const volume::Position& position) {
  return fmt::format("{}.{}.{}", position.epoch, position.sequence, to_hex(position.chain_tag));
}

Result<volume::Position> parse_position(const std::string& text) {
  volume::Position position;
  const char* const end = text.data() + text.size();
  const auto epoch = std::from_chars(text.data(), end, position.epoch);
  if (epoch.ec != std::errc() || epoch.ptr == end || *epoch.ptr != '.') return bad_position(text);
  const auto sequence = std::from_chars(epoch.ptr + 1, end, position.sequence);
  if (sequence.ec != std::errc() || sequence.ptr == end || *sequence.ptr != '.') return bad_position(text);
  const auto tag = from_hex(std::string_view(sequence.ptr + 1, static_cast<std::size_t>(end - sequence.ptr - 1)));
  if (!tag.has_value() || tag->size() != position.chain_tag.size()) return bad_position(text);
  std::memcpy(position.chain_tag.data(), tag->data(), tag->size());
  return position;
}

}  // namespace casemate::volume_tool
