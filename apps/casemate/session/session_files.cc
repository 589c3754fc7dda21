#include "casemate/session/session_files.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "policy/parse.h"
#include "policy/variables.h"
#include "policy/yaml_tree.h"

namespace casemate::session_tool {
namespace {

struct FileCloser {
  void operator()(std::FILE* file) const {
    if (file != stdin && file != stdout) std::fclose(file);
  }
};
using File = std::unique_ptr<std::FILE, FileCloser>;
constexpr std::size_t kFirstStep = 16 << 10;

Result<std::map<std::string, std::string, std::less<>>> given_variables(const Options& options) {
  std::map<std::string, std::string, std::less<>> variables;
  for (const std::string& word : options.variables) {
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos || equals == 0) {
      return Error(ErrorCategory::kUsage, "-e takes NAME=VALUE, for example -e PORT=8443");
    }
    variables[word.substr(0, equals)] = word.substr(equals + 1);
  }
  return variables;
}

Result<std::optional<std::string>> filled_in(const std::string& text, const Options& options,
                                             policy::Diagnostics& diagnostics) {
  if (options.literal) return std::optional<std::string>(text);
  const auto variables = CASEMATE_TRY(given_variables(options));
  const policy::VariableLookup lookup = [&](std::string_view name) -> std::optional<std::string> {
    if (const auto found = variables.find(name); found != variables.end()) return found->second;
    const char* value = options.use_environment ? std::getenv(std::string(name).c_str()) : nullptr;
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
  return policy::fill_in_variables(text, lookup, diagnostics);
}

}  // namespace

Result<std::string> read_whole_file(const std::string& path, std::size_t limit) {
  const File file(path == "-" ? stdin : std::fopen(path.c_str(), "re"));
  if (file == nullptr) return Error::from_errno("cannot open " + path, errno);
  // In growing steps: memory of the limit's size would be touched, and given back, for every small file.
  std::string text;
  std::size_t size = 0;
  for (std::size_t step = kFirstStep; size <= limit && std::feof(file.get()) == 0; step *= 2) {
    text.resize(std::min(limit + 1, size + step));
    size += std::fread(text.data() + size, 1, text.size() - size, file.get());
    if (std::ferror(file.get()) != 0) return Error::from_errno("cannot read " + path, errno);
  }
  if (size > limit)
    return Error(ErrorCategory::kFormat, path + " has more than " + std::to_string(limit / 1024) + " KiB");
  text.resize(size);
  return text;
}

Result<void> write_file(const std::string& path, const std::string& contents) {
  File file(std::fopen(path.c_str(), "we"));
  if (file == nullptr) return Error::from_errno("cannot write " + path, errno);
  const bool written = std::fwrite(contents.data(), 1, contents.size(), file.get()) == contents.size();
  if (!written || std::fclose(file.release()) != 0) return Error::from_errno("cannot write " + path, errno);
  return {};
}

Result<LoadedSession> load_session(const std::string& path, const Options& options, const policy::KnownSessions& known,
                                   Depth depth) {
  const std::string text = CASEMATE_TRY(read_whole_file(path, policy::kMaxSessionSize));
  LoadedSession loaded;
  const std::optional<std::string> filled = CASEMATE_TRY(filled_in(text, options, loaded.diagnostics));
  if (!filled) return loaded;
  loaded.session = policy::parse_session(*filled, {options.name}, loaded.diagnostics);
  if (loaded.session && depth == Depth::kCheck) {
    // Without the exporters' files their fragments stay open; CAS has them.
    if (!known.empty()) policy::resolve_imported_fragments(*loaded.session, known, loaded.diagnostics);
    policy::check_session(*loaded.session, known, loaded.diagnostics);
  }
  loaded.diagnostics.sort();
  return loaded;
}

Result<std::string> text_for_cas(const std::string& path, const Options& options) {
  const std::string text = CASEMATE_TRY(read_whole_file(path, policy::kMaxSessionSize));
  policy::Diagnostics diagnostics;
  std::optional<std::string> filled = CASEMATE_TRY(filled_in(text, options, diagnostics));
  if (filled) return std::move(*filled);
  print(diagnostics, path, options);
  return Error(ErrorCategory::kFormat, path + ": variables are missing");
}

Result<OtherSessions> OtherSessions::load(const Options& options) {
  OtherSessions others;
  Options unnamed = options;
  unnamed.name.clear();
  for (const std::string& path : options.others) {
    LoadedSession loaded = CASEMATE_TRY(load_session(path, unnamed, {}, Depth::kParse));
    if (!loaded.session) {
      print(loaded.diagnostics, path, options);
      return Error(ErrorCategory::kFormat, path + " is no right session; correct it first");
    }
    others.owned_.push_back(std::make_unique<policy::Session>(std::move(*loaded.session)));
    others.known_[others.owned_.back()->name] = others.owned_.back().get();
  }
  return others;
}

Result<policy::Session> require_session(const std::string& path, const Options& options,
                                        const policy::KnownSessions& known) {
  LoadedSession loaded = CASEMATE_TRY(load_session(path, options, known, Depth::kCheck));
  print(loaded.diagnostics, path, options);
  if (loaded.session && !loaded.diagnostics.has_errors()) return std::move(*loaded.session);
  const std::size_t count = loaded.diagnostics.error_count();
  return Error(ErrorCategory::kFormat, path + " has " + std::to_string(count) + (count == 1 ? " error" : " errors"));
}

void print(const policy::Diagnostics& diagnostics, const std::string& path, const Options& options) {
  for (const policy::Diagnostic& diagnostic : diagnostics.all()) {
    if (options.quiet && diagnostic.severity == policy::Severity::kWarning) continue;
    std::fprintf(stderr, "%s\n", policy::to_text(diagnostic, path).c_str());
  }
  if (diagnostics.omitted_count() != 0) {
    std::fprintf(stderr, "%s: and %zu more\n", path.c_str(), diagnostics.omitted_count());
  }
}

}  // namespace casemate::session_tool
