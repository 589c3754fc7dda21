#include "keeper/description.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdlib>
#include <map>
#include <set>

#include "base/unique_fd.h"
#include "keeper/json_tree.h"

namespace casemate::keeper {
namespace {

constexpr std::size_t kLargestDescription = 16 << 20;
constexpr std::uint64_t kSmallestCache = 4 << 20;

struct KindRow {
  std::string_view name;
  RegionKind kind;
  std::set<std::string_view> required, optional;  // besides "path" and "kind"
};

const std::vector<KindRow>& kind_rows() {
  static const std::vector<KindRow> rows = {
      {"host", RegionKind::kHost, {}, {"source"}},
      {"encrypted",
       RegionKind::kEncrypted,
       {"volume", "key-file"},
       {"freshness", "bound", "anchor", "directory", "access"}},
      {"authenticated", RegionKind::kAuthenticated, {"source", "manifest", "sha256"}, {}},
      {"ephemeral", RegionKind::kEphemeral, {}, {"size", "mode", "uid", "gid"}},
      {"file", RegionKind::kFile, {"text"}, {"mode", "uid", "gid"}},
  };
  return rows;
}

class DescriptionReader {
 public:
  explicit DescriptionReader(std::string directory) : directory_(std::move(directory)) {}

  Result<RunDescription> read(const JsonNode& root) {
    if (root.kind != JsonKind::kObject) return json_error(root.place, "a run description is an object { ... }");
    RunDescription description;
    for (std::size_t i = 0; i < root.keys.size(); ++i) {
      const JsonNode& value = root.children[i];
      if (root.keys[i] == "cache") {
        description.cache_size = CASEMATE_TRY(size_of(value, "cache"));
        if (description.cache_size < kSmallestCache) return json_error(value.place, "\"cache\" is less than 4M");
      } else if (root.keys[i] == "regions") {
        description.regions = CASEMATE_TRY(read_regions(value));
      } else {
        return json_error(root.key_places[i], "unknown key \"" + root.keys[i] + "\"; known: cache, regions");
      }
    }
    if (description.regions.empty()) return json_error(root.place, "\"regions\" is missing or empty");
    return description;
  }

 private:
  Result<std::vector<RegionDescription>> read_regions(const JsonNode& list) {
    if (list.kind != JsonKind::kArray) return json_error(list.place, "\"regions\" is a list [ ... ]");
    std::vector<RegionDescription> regions;
    for (const JsonNode& item : list.children) {
      RegionDescription region = CASEMATE_TRY(read_region(item));
      const auto same = [&](const RegionDescription& other) { return other.path == region.path; };
      if (std::ranges::any_of(regions, same)) {
        return json_error(item.place, "a second region has the path \"" + region.path + "\"");
      }
      regions.push_back(std::move(region));
    }
    return regions;
  }

  Result<const KindRow*> kind_of(const JsonNode& item) {
    if (item.kind != JsonKind::kObject) return json_error(item.place, "a region is an object { ... }");
    const JsonNode* const kind = item.find("kind");
    std::string known;
    for (const KindRow& row : kind_rows()) {
      if (kind != nullptr && kind->kind == JsonKind::kString && kind->text == row.name) return &row;
      known += (known.empty() ? "" : ", ") + std::string(row.name);
    }
    return json_error(kind != nullptr ? kind->place : item.place, "a region needs a \"kind\", one of: " + known);
  }

  Result<RegionDescription> read_region(const JsonNode& item) {
    const KindRow& row = *CASEMATE_TRY(kind_of(item));
    RegionDescription region;
    region.kind = row.kind;
    for (std::size_t i = 0; i < item.keys.size(); ++i) {
      const std::string& key = item.keys[i];
      if (key != "kind" && key != "path" && !row.required.contains(key) && !row.optional.contains(key)) {
        return json_error(item.key_places[i],
                          "a region of kind \"" + std::string(row.name) + "\" has no \"" + key + "\"");
      }
      if (auto taken = take(region, key, item.children[i]); !taken) return taken.error();
    }
    if (region.path.empty()) return json_error(item.place, "a region needs a \"path\"");
    for (const std::string_view key : row.required) {
      if (item.find(key) == nullptr) {
        return json_error(item.place, "the region \"" + region.path + "\" needs \"" + std::string(key) + "\"");
      }
    }
    return finish(std::move(region), item);
  }

  Result<RegionDescription> finish(RegionDescription region, const JsonNode& item) {
    if (region.kind == RegionKind::kHost && region.source.empty()) region.source = region.path;
    if (region.kind == RegionKind::kFile) {
      region.access = RegionAccess::kReadOnly;
      if (item.find("mode") == nullptr) region.mode = 0644;
      if (region.path == "/") return json_error(item.place, "a region of kind \"file\" cannot be the root");
    }
    if (region.kind == RegionKind::kAuthenticated) region.access = RegionAccess::kReadOnly;
    if (item.find("bound") != nullptr && region.freshness != Freshness::kBounded) {
      return json_error(item.find("bound")->place, "\"bound\" needs \"freshness\": \"bounded\"");
    }
    if (item.find("freshness") != nullptr && region.anchor.empty()) {
      return json_error(item.find("freshness")->place, "\"freshness\" needs an \"anchor\" (a file that remembers)");
    }
    return region;
  }

  Result<void> take(RegionDescription& region, const std::string& key, const JsonNode& value) {
    using Taker = Result<void> (DescriptionReader::*)(RegionDescription&, const std::string&, const JsonNode&);
    static const std::map<std::string_view, Taker> takers = {
        {"kind", &DescriptionReader::take_nothing},     {"path", &DescriptionReader::take_path},
        {"directory", &DescriptionReader::take_path},   {"source", &DescriptionReader::take_host_path},
        {"volume", &DescriptionReader::take_host_path}, {"key-file", &DescriptionReader::take_host_path},
        {"anchor", &DescriptionReader::take_host_path}, {"manifest", &DescriptionReader::take_host_path},
        {"access", &DescriptionReader::take_access},    {"freshness", &DescriptionReader::take_freshness},
        {"bound", &DescriptionReader::take_bound},      {"sha256", &DescriptionReader::take_digest},
        {"size", &DescriptionReader::take_size},        {"mode", &DescriptionReader::take_mode},
        {"uid", &DescriptionReader::take_owner},        {"gid", &DescriptionReader::take_owner},
        {"text", &DescriptionReader::take_text},
    };
    return (this->*takers.at(key))(region, key, value);
  }

  Result<void> take_nothing(RegionDescription&, const std::string&, const JsonNode&) { return {}; }

  Result<void> take_path(RegionDescription& region, const std::string& key, const JsonNode& value) {
    const std::string text = CASEMATE_TRY(text_of(value, key));
    const std::string normal = CASEMATE_TRY(normalise(text, key, value.place));
    (key == "path" ? region.path : region.directory) = normal;
    return {};
  }

  Result<void> take_host_path(RegionDescription& region, const std::string& key, const JsonNode& value) {
    std::string text = CASEMATE_TRY(text_of(value, key));
    if (text.empty() || text.find('\0') != std::string::npos) {
      return json_error(value.place, "\"" + key + "\" is no path of the host");
    }
    if (text.front() != '/') text = directory_ + "/" + text;
    std::string& target = key == "source"     ? region.source
                          : key == "volume"   ? region.volume
                          : key == "key-file" ? region.key_file
                          : key == "anchor"   ? region.anchor
                                              : region.manifest;
    target = std::move(text);
    return {};
  }

  Result<void> take_access(RegionDescription& region, const std::string& key, const JsonNode& value) {
    const std::string text = CASEMATE_TRY(text_of(value, key));
    if (text != "read-write" && text != "read-only") {
      return json_error(value.place, "\"access\" is \"read-write\" or \"read-only\"");
    }
    region.access = text == "read-only" ? RegionAccess::kReadOnly : RegionAccess::kReadWrite;
    return {};
  }

  Result<void> take_freshness(RegionDescription& region, const std::string& key, const JsonNode& value) {
    const std::string text = CASEMATE_TRY(text_of(value, key));
    if (text == "strict")
      return json_error(value.place, "freshness \"strict\" needs CAS, which a description cannot name");
    if (text != "local" && text != "bounded")
      return json_error(value.place, "\"freshness\" is \"local\" or \"bounded\"");
    region.freshness = text == "local" ? Freshness::kLocal : Freshness::kBounded;
    return {};
  }

  Result<void> take_bound(RegionDescription& region, const std::string& key, const JsonNode& value) {
    std::string text = CASEMATE_TRY(text_of(value, key));
    std::uint64_t unit = 0;
    if (text.ends_with("ms")) {
      unit = 1;
      text.resize(text.size() - 2);
    } else if (text.ends_with("s")) {
      unit = 1000;
      text.resize(text.size() - 1);
    }
    const auto number = parse_size(text);
    if (unit == 0 || !number || *number * unit < 10 || *number * unit > 3'600'000 || *number > 3'600'000) {
      return json_error(value.place, "\"bound\" is a time from \"10ms\" to \"3600s\"");
    }
    region.bound_milliseconds = *number * unit;
    return {};
  }

  Result<void> take_digest(RegionDescription& region, const std::string& key, const JsonNode& value) {
    std::string text = CASEMATE_TRY(text_of(value, key));
    const auto is_digit = [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; };
    if (text.size() != 64 || !std::ranges::all_of(text, is_digit)) {
      return json_error(value.place, "\"sha256\" is 64 hex digits (`sha256sum MANIFEST`)");
    }
    std::ranges::transform(text, text.begin(), [](char c) { return static_cast<char>(std::tolower(c)); });
    region.manifest_sha256 = std::move(text);
    return {};
  }

  Result<void> take_size(RegionDescription& region, const std::string& key, const JsonNode& value) {
    region.size = CASEMATE_TRY(size_of(value, key));
    return {};
  }

  Result<void> take_mode(RegionDescription& region, const std::string& key, const JsonNode& value) {
    const std::string text = CASEMATE_TRY(text_of(value, key));
    std::uint32_t mode = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
    if (code != std::errc() || end != text.data() + text.size() || mode > 07777 || text.empty()) {
      return json_error(value.place, "\"mode\" is a string of octal digits, such as \"0640\"");
    }
    region.mode = mode;
    return {};
  }

  Result<void> take_owner(RegionDescription& region, const std::string& key, const JsonNode& value) {
    if (value.kind != JsonKind::kInteger || value.number < 0 || value.number >= UINT32_MAX) {
      return json_error(value.place, "\"" + key + "\" is a whole number");
    }
    (key == "uid" ? region.uid : region.gid) = static_cast<std::uint32_t>(value.number);
    return {};
  }

  Result<void> take_text(RegionDescription& region, const std::string& key, const JsonNode& value) {
    region.text = CASEMATE_TRY(text_of(value, key));
    return {};
  }

  static Result<std::string> text_of(const JsonNode& value, const std::string& key) {
    if (value.kind != JsonKind::kString) return json_error(value.place, "\"" + key + "\" is a string");
    return value.text;
  }

  static Result<std::uint64_t> size_of(const JsonNode& value, const std::string& key) {
    const auto size = value.kind == JsonKind::kString ? parse_size(value.text) : std::nullopt;
    if (!size || *size == 0) return json_error(value.place, "\"" + key + "\" is a size such as \"512M\"");
    return *size;
  }

  // Absolute, no "." or "..", single slashes: two spellings of one place would hide that regions overlap.
  static Result<std::string> normalise(const std::string& text, const std::string& key, const JsonPlace& place) {
    const auto mistake = [&](const char* what) { return json_error(place, "\"" + key + "\" " + what); };
    if (text.empty() || text.front() != '/') return mistake("must begin with /");
    if (text.find('\0') != std::string::npos) return mistake("contains a NUL");
    if (text.size() >= PATH_MAX) return mistake("is too long");
    std::string normal;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find('/', at), text.size());
      const std::string component = text.substr(at, end - at);
      if (component == "." || component == "..") return mistake("must not contain . or ..");
      if (component.size() > NAME_MAX) return mistake("has a name of more than 255 bytes");
      if (!component.empty()) normal += "/" + component;
      at = end + 1;
    }
    return normal.empty() ? std::string("/") : normal;
  }

  std::string directory_;
};

Result<std::string> read_text(const std::string& path) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!file.is_open()) return Error::from_errno("cannot open the run description", errno);
  std::string text;
  char part[16384];
  for (;;) {
    const ssize_t got = ::read(file.get(), part, sizeof(part));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno("cannot read the run description", errno);
    if (got == 0) return text;
    text.append(part, static_cast<std::size_t>(got));
    if (text.size() > kLargestDescription) return Error(ErrorCategory::kFormat, "the run description exceeds 16 MiB");
  }
}

}  // namespace

std::optional<std::uint64_t> parse_size(std::string_view text) {
  constexpr std::string_view kUnits = "KMGT";
  unsigned shift = 0;
  if (!text.empty() && kUnits.find(text.back()) != std::string_view::npos) {
    shift = 10 * (static_cast<unsigned>(kUnits.find(text.back())) + 1);
    text.remove_suffix(1);
  }
  std::uint64_t number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (number > (std::uint64_t{1} << 62) >> shift) return std::nullopt;
  return number << shift;
}

Result<RunDescription> parse_description(std::string_view text, const std::string& directory) {
  const JsonNode root = CASEMATE_TRY(parse_json(text));
  return DescriptionReader(directory).read(root);
}

Result<RunDescription> load_description(const std::string& path) {
  char resolved[PATH_MAX];
  if (realpath(path.c_str(), resolved) == nullptr) {
    return Error::from_errno(path + ": cannot find the run description", errno);
  }
  const std::string absolute = resolved;
  const auto text = read_text(absolute);
  if (!text) return text.error().with_context(path);
  auto description = parse_description(text.value(), absolute.substr(0, absolute.rfind('/')));
  if (!description) return description.error().with_context(path);
  return description;
}

}  // namespace casemate::keeper
