#include "keeper/manifest.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>
#include <optional>

#include "base/unique_fd.h"

namespace casemate::keeper {
namespace {

constexpr std::string_view kFirstLine = "casemate-manifest 1";
constexpr char kHexDigits[] = "0123456789abcdef";
constexpr std::uint64_t kLargestFile = std::uint64_t{1} << 47;

std::string to_hex(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte byte : bytes) {
    const auto value = std::to_integer<unsigned>(byte);
    text += kHexDigits[value >> 4];
    text += kHexDigits[value & 15];
  }
  return text;
}

int digit_of(char character) {
  if (character >= '0' && character <= '9') return character - '0';
  if (character >= 'a' && character <= 'f') return character - 'a' + 10;
  return -1;
}

bool is_plain(char character) { return character > 0x20 && character < 0x7f && character != '%'; }

std::string escape(std::string_view text) {
  std::string out;
  for (const char character : text) {
    if (is_plain(character)) {
      out += character;
      continue;
    }
    const auto value = static_cast<unsigned char>(character);
    out += '%';
    out += kHexDigits[value >> 4];
    out += kHexDigits[value & 15];
  }
  return out;
}

// Only what escape() writes: one text has one spelling.
std::optional<std::string> unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      if (!is_plain(text[i])) return std::nullopt;
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = digit_of(text[i + 1]), low = digit_of(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    const char character = static_cast<char>(high << 4 | low);
    if (is_plain(character) || character == '\0') return std::nullopt;
    out += character;
    i += 2;
  }
  return out;
}

// --- making ---

class ManifestMaker {
 public:
  ManifestMaker(std::string root, ManifestSummary* summary, const std::function<void(std::uint64_t)>& progress)
      : root_(std::move(root)), summary_(summary), progress_(progress), buffer_(kManifestChunk) {}

  Result<std::string> make() {
    if (auto added = add("/"); !added) return added.error();
    std::ranges::sort(lines_, {}, &Line::path);
    std::string text = std::string(kFirstLine) + "\n";
    for (const Line& line : lines_) text += line.text + "\n";
    return text;
  }

 private:
  struct Line {
    std::string path, text;
  };

  Error failure(const std::string& path) const { return Error::from_errno(root_ + path + ": cannot read it", errno); }

  Result<void> add(const std::string& path) {
    struct stat status = {};
    const std::string host_path = root_ + path;
    const int looked = path == "/" ? stat(host_path.c_str(), &status) : lstat(host_path.c_str(), &status);
    if (looked != 0) return failure(path);
    char mode[16] = {};
    std::snprintf(mode, sizeof(mode), "%04o", static_cast<unsigned>(status.st_mode & 07777));
    const std::string owner =
        std::string(" ") + mode + " " + std::to_string(status.st_uid) + " " + std::to_string(status.st_gid) + " ";
    if (S_ISDIR(status.st_mode)) {
      lines_.push_back({path, "directory" + owner + escape(path)});
      return add_children(path);
    }
    if (S_ISLNK(status.st_mode)) {
      char target[PATH_MAX];
      const ssize_t size = readlink(host_path.c_str(), target, sizeof(target));
      if (size < 0) return failure(path);
      const std::string_view text(target, static_cast<std::size_t>(size));
      lines_.push_back({path, "link" + owner + escape(path) + " " + escape(text)});
      return {};
    }
    if (S_ISREG(status.st_mode)) return add_file(path, owner);
    if (summary_ != nullptr) summary_->skipped += 1;
    return {};
  }

  Result<void> add_children(const std::string& path) {
    const std::string host_path = root_ + path;
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(host_path.c_str()), closedir);
    if (directory == nullptr) return failure(path);
    const std::string prefix = path == "/" ? "/" : path + "/";
    while (const dirent* const entry = readdir(directory.get())) {
      const std::string_view name = entry->d_name;
      if (name == "." || name == "..") continue;
      if (auto added = add(prefix + entry->d_name); !added) return added;
    }
    return {};
  }

  Result<void> add_file(const std::string& path, const std::string& owner) {
    const UniqueFd file(open((root_ + path).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY));
    if (!file.is_open()) return failure(path);
    std::uint64_t size = 0;
    std::string digests;
    for (;;) {
      std::size_t filled = 0;
      while (filled < buffer_.size()) {
        const ssize_t got = ::read(file.get(), buffer_.data() + filled, buffer_.size() - filled);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return failure(path);
        if (got == 0) break;
        filled += static_cast<std::size_t>(got);
      }
      if (filled == 0) break;
      digests += (digests.empty() ? "" : ",") + to_hex(crypto::sha256(std::span(buffer_).first(filled)));
      size += filled;
      if (progress_) progress_(filled);
      if (filled < buffer_.size()) break;
    }
    lines_.push_back(
        {path, "file" + owner + std::to_string(size) + " " + (digests.empty() ? "-" : digests) + " " + escape(path)});
    if (summary_ != nullptr) {
      summary_->files += 1;
      summary_->bytes += size;
    }
    return {};
  }

  std::string root_;
  ManifestSummary* summary_;
  const std::function<void(std::uint64_t)>& progress_;
  std::vector<std::byte> buffer_;
  std::vector<Line> lines_;
};

// --- parsing ---

// Cuts one line at single spaces.
class Fields {
 public:
  explicit Fields(std::string_view line) : rest_(line) {}
  std::string_view next() {
    const std::size_t space = std::min(rest_.find(' '), rest_.size());
    const std::string_view field = rest_.substr(0, space);
    is_over_ = space == rest_.size();
    rest_.remove_prefix(std::min(space + 1, rest_.size()));
    return field;
  }
  bool is_over() const { return is_over_; }
  template <typename Number>
  bool number(Number* out, int base) {
    const std::string_view field = next();
    const auto [end, code] = std::from_chars(field.data(), field.data() + field.size(), *out, base);
    return code == std::errc() && end == field.data() + field.size() && !field.empty();
  }

 private:
  std::string_view rest_;
  bool is_over_ = false;
};

bool parse_chunks(std::string_view field, std::uint64_t size, std::vector<crypto::Sha256Digest>* out) {
  if (size > kLargestFile) return false;
  const std::uint64_t count = (size + kManifestChunk - 1) / kManifestChunk;
  if (count == 0) return field == "-";
  if (field.size() != count * 65 - 1) return false;
  out->resize(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < count; ++i) {
    if (i > 0 && field[65 * i - 1] != ',') return false;
    for (std::size_t at = 0; at < 32; ++at) {
      const int high = digit_of(field[65 * i + 2 * at]), low = digit_of(field[65 * i + 2 * at + 1]);
      if (high < 0 || low < 0) return false;
      (*out)[i][at] = static_cast<std::byte>(high << 4 | low);
    }
  }
  return true;
}

bool is_path(std::string_view path) {
  if (path == "/") return true;
  if (!path.starts_with('/') || path.ends_with('/') || path.size() >= PATH_MAX) return false;
  for (std::size_t at = 1; at <= path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string_view name = path.substr(at, end - at);
    if (name.empty() || name == "." || name == ".." || name.size() > NAME_MAX) return false;
    at = end + 1;
  }
  return true;
}

bool parse_line(std::string_view line, ManifestEntry* out) {
  Fields fields(line);
  const std::string_view kind = fields.next();
  if (!fields.number(&out->mode, 8) || out->mode > 07777) return false;
  if (!fields.number(&out->uid, 10) || !fields.number(&out->gid, 10)) return false;
  if (kind == "file") {
    out->mode |= S_IFREG;
    if (!fields.number(&out->size, 10) || !parse_chunks(fields.next(), out->size, &out->chunks)) return false;
  } else if (kind == "directory" || kind == "link") {
    out->mode |= kind == "link" ? S_IFLNK : S_IFDIR;
  } else {
    return false;
  }
  const auto path = unescape(fields.next());
  if (!path || !is_path(*path)) return false;
  out->path = *path;
  if (kind != "link") return fields.is_over();
  if (fields.is_over()) return false;
  const auto target = unescape(fields.next());
  if (!target || target->empty() || target->size() >= PATH_MAX) return false;
  out->target = *target;
  return fields.is_over();
}

Error bad_line(std::size_t number, const char* what) {
  return Error(ErrorCategory::kFormat, "manifest, line " + std::to_string(number) + ": " + what);
}

}  // namespace

Result<std::string> make_manifest(const std::string& directory, ManifestSummary* summary,
                                  const std::function<void(std::uint64_t)>& progress) {
  std::string root = directory;
  while (root.ends_with('/')) root.pop_back();
  return ManifestMaker(root, summary, progress).make();
}

Result<std::vector<ManifestEntry>> parse_manifest(std::string_view text) {
  std::vector<ManifestEntry> entries;
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    number += 1;
    if (end == std::string_view::npos) return bad_line(number, "is cut off");
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (number == 1) {
      if (line != kFirstLine) return bad_line(1, "this is no manifest, or one of another version");
      continue;
    }
    ManifestEntry entry;
    if (!parse_line(line, &entry)) return bad_line(number, "is not understood");
    const bool in_order = entries.empty() ? entry.path == "/" && S_ISDIR(entry.mode) : entries.back().path < entry.path;
    if (!in_order) return bad_line(number, "is out of order");
    entries.push_back(std::move(entry));
  }
  if (entries.empty()) return bad_line(number, "the manifest is empty");
  return entries;
}

std::string manifest_digest(std::string_view text) { return to_hex(crypto::sha256(std::as_bytes(std::span(text)))); }

}  // namespace casemate::keeper
