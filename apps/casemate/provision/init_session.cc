// `casemate session init -- PROGRAM ARGUMENTS`: the first policy of a newcomer. Lists what the program is made of here
// and now - program, interpreters, libraries, files on its command line - with their digests; the host is believed at
// this moment, and never again.
#include <elf.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <set>

#include "casemate/launch.h"
#include "casemate/program_search.h"
#include "casemate/provision/init_session.h"
#include "casemate/provision/state_directory.h"
#include "casemate/reference/tools.h"
#include "casemate/session/session_files.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "keeper/manifest.h"
#include "las/runtime_measurement.h"

namespace casemate::cli {
namespace {

constexpr const char* kHelp =
    R"(Writes the first policy of a program: casemate session init [OPTIONS] -- PROGRAM [ARGUMENTS]

  -o, --output FILE   where the policy goes (default: PROGRAM.yml in the working directory; never over a file)
  --name NAME         name of the session (default: the program's)
  --state DIR         state directory of your own CAS (default ~/.local/state/casemate)
  --file PATH         list this file, too (may be repeated): configuration, modules loaded later
  --tree DIRECTORY    list everything below DIRECTORY (may be repeated): modules of an interpreter, say

Then: casemate run --policy FILE
)";

struct Options {
  std::string output, name, state;
  std::vector<std::string> files, trees, words;
};

// An option and what takes its value: one word, or the list of all.
struct OptionRow {
  const char* name;
  std::string Options::*word;
  std::vector<std::string> Options::*list;
};
constexpr OptionRow kOptions[] = {{"-o", &Options::output, nullptr},    {"--output", &Options::output, nullptr},
                                  {"--name", &Options::name, nullptr},  {"--state", &Options::state, nullptr},
                                  {"--file", nullptr, &Options::files}, {"--tree", nullptr, &Options::trees}};

Error usage(const std::string& text) {
  return Error(ErrorCategory::kUsage, text + "; see `casemate session init --help`");
}

Result<Options> parse(const std::vector<std::string>& words) {
  Options options;
  std::size_t at = 0;
  const auto value = [&]() -> Result<std::string> {
    if (at + 1 >= words.size() || words[at + 1] == "--") return usage(words[at] + " needs a value");
    return words[++at];
  };
  for (; at < words.size() && words[at].starts_with('-') && words[at] != "--"; ++at) {
    const std::string option = words[at];
    const std::string given = CASEMATE_TRY(value());
    const auto row = std::ranges::find(kOptions, option, &OptionRow::name);
    if (row == std::end(kOptions)) return usage("unknown option " + option);
    if (row->word != nullptr)
      options.*row->word = given;
    else
      (options.*row->list).push_back(given);
  }
  if (at < words.size() && words[at] == "--") ++at;
  options.words.assign(words.begin() + static_cast<std::ptrdiff_t>(at), words.end());
  if (options.words.empty()) return usage("no program given");
  return options;
}

std::string absolute(const std::string& path) { return std::filesystem::absolute(path).lexically_normal().string(); }
std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

bool is_regular(const std::string& path) {
  struct stat status = {};
  return stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

Result<std::string> read_file(const std::string& path) {
  return session_tool::read_whole_file(path, std::size_t{512} << 20);
}

// PT_INTERP of an ELF file; empty: static, or no ELF file.
std::string elf_interpreter(const std::string& contents) {
  Elf64_Ehdr header;
  if (contents.size() < sizeof(header) || std::memcmp(contents.data(), ELFMAG, SELFMAG) != 0) return "";
  std::memcpy(&header, contents.data(), sizeof(header));
  for (std::size_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    const std::size_t offset = header.e_phoff + i * sizeof(segment);
    if (offset + sizeof(segment) > contents.size()) return "";
    std::memcpy(&segment, contents.data() + offset, sizeof(segment));
    if (segment.p_type != PT_INTERP || segment.p_offset > contents.size()) continue;
    return std::string(contents.c_str() + segment.p_offset).substr(0, PATH_MAX);
  }
  return "";
}

// What `interpreter --list file` prints: the loader's own list, as ldd shows it.
Result<std::string> loading_list(const std::string& interpreter, const std::string& file) {
  int pipes[2];
  if (pipe2(pipes, O_CLOEXEC) != 0) return Error::from_errno("no pipe", errno);
  const UniqueFd reading(pipes[0]);
  UniqueFd writing(pipes[1]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, writing.get(), STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  std::string program = interpreter, list = "--list", path = file;
  char* arguments[] = {program.data(), list.data(), path.data(), nullptr};
  char* const no_environment[] = {nullptr};
  pid_t child = 0;
  const int code = posix_spawn(&child, program.c_str(), &actions, nullptr, arguments, no_environment);
  posix_spawn_file_actions_destroy(&actions);
  writing.reset();
  if (code != 0) return Error::from_errno(interpreter + ": cannot start it", code);
  std::string text;
  char part[4096];
  for (ssize_t got = 1; got > 0;) {
    got = read(reading.get(), part, sizeof(part));
    if (got > 0) text.append(part, static_cast<std::size_t>(got));
  }
  int status = 0;
  waitpid(child, &status, 0);
  return text;
}

// Everything that is listed, by path.
class Listing {
 public:
  // A program or library: with what loads it and what it loads. `loader`: for files that name none (libraries).
  Result<void> add_code(const std::string& path, const std::string& loader) {
    if (!seen_.insert(path).second) return {};
    const std::string contents = CASEMATE_TRY(read_file(path));
    note(path, contents);
    if (contents.starts_with("#!")) return add_interpreter(contents);
    const std::string named = elf_interpreter(contents);
    const std::string interpreter = named.empty() ? loader : named;
    if (interpreter.empty()) return {};
    if (!named.empty()) {
      loader_ = named;
      if (auto added = add_file(named); !added) return added;
    }
    const std::string list = CASEMATE_TRY(loading_list(interpreter, path));
    return add_listed(list);
  }

  Result<void> add_file(const std::string& path) {
    if (!seen_.insert(path).second) return {};
    const std::string contents = CASEMATE_TRY(read_file(path));
    note(path, contents);
    return {};
  }

  const std::map<std::string, std::string>& digests() const { return digests_; }
  const std::string& loader() const { return loader_; }

 private:
  void note(const std::string& path, const std::string& contents) {
    digests_[path] = crypto::to_hex(crypto::sha256(crypto::as_byte_view(contents)));
  }

  Result<void> add_interpreter(const std::string& script) {
    std::string line = script.substr(2, script.find('\n') - 2);
    line.erase(0, line.find_first_not_of(" \t"));
    const std::string interpreter = line.substr(0, line.find_first_of(" \t\r"));
    if (auto added = add_code(interpreter, ""); !added) return added;
    if (base_name(interpreter) != "env") return {};
    std::string word = line.substr(std::min(line.size(), interpreter.size()));
    word.erase(0, word.find_first_not_of(" \t"));
    word = word.substr(0, word.find_first_of(" \t\r"));
    const Program program = CASEMATE_TRY(find_program(word, "/usr/local/bin:/usr/bin:/bin"));
    return add_code(program.path, "");
  }

  // "\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x...)"
  Result<void> add_listed(const std::string& list) {
    for (std::size_t at = 0; at < list.size();) {
      const std::size_t end = std::min(list.find('\n', at), list.size());
      const std::string line = list.substr(at, end - at);
      at = end + 1;
      const std::size_t arrow = line.find("=> /");
      if (arrow == std::string::npos) continue;
      const std::string path = line.substr(arrow + 3, line.rfind(" (") - arrow - 3);
      if (auto added = add_file(path); !added) return added;
    }
    return {};
  }

  std::set<std::string> seen_;
  std::map<std::string, std::string> digests_;
  std::string loader_;
};

// Where interpreters keep the modules that they load later.
std::vector<std::string> trees_of(const Listing& listing) {
  std::vector<std::string> trees;
  for (const auto& [path, digest] : listing.digests()) {
    const std::string name = base_name(std::filesystem::weakly_canonical(path).string());
    if (name.starts_with("python3.")) trees.push_back("/usr/lib/" + name);
    if (name.starts_with("perl")) trees.push_back("/usr/share/perl");
  }
  std::erase_if(trees, [](const std::string& tree) { return !std::filesystem::is_directory(tree); });
  return trees;
}

struct Tree {
  std::string path, manifest;
};

// The manifest goes where `run --policy` looks for it; modules in machine code bring their libraries along.
Result<Tree> list_tree(const std::string& path, const StateDirectory& state, Listing& listing) {
  keeper::ManifestSummary summary;
  const std::string manifest = CASEMATE_TRY(keeper::make_manifest(path, &summary, [](std::uint64_t) {}));
  const std::string digest = keeper::manifest_digest(manifest);
  if (auto written = session_tool::write_file(state.manifests() + "/" + digest + ".manifest", manifest); !written) {
    return written.error();
  }
  Listing modules;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
    if (!entry.is_regular_file() || entry.path().extension() != ".so" || listing.loader().empty()) continue;
    if (auto added = modules.add_code(entry.path().string(), listing.loader()); !added) return added.error();
  }
  for (const auto& [library, sha256] : modules.digests()) {
    if (library.starts_with(path + "/")) continue;
    if (auto added = listing.add_file(library); !added) return added.error();
  }
  return Tree{path, digest};
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char letter : text) {
    if (letter == '"' || letter == '\\') out += '\\';
    out += letter;
  }
  return out + "\"";
}

struct Policy {
  std::string name, measurement, las_key, salt, directory;
  std::vector<std::string> command;
  std::map<std::string, std::string> digests;
  std::vector<Tree> trees;
};

std::string write(const Policy& policy) {
  std::string text =
      "# Written by `casemate session init`. Run it with `casemate run --policy`; docs/formats/session.md\n";
  text += "name: " + quoted(policy.name) + "\nversion: casemate-1\ncommitment_salt: " + policy.salt + "\n";
  text += "# Simulation protects against nobody who is root here: see docs/security/threat-model.md.\n";
  text += "security: {attestation: {tolerate: [simulation]}}\n";
  text += "services:\n  - name: main\n    image_name: main\n    command:\n";
  for (const std::string& word : policy.command) text += "      - " + quoted(word) + "\n";
  text += "    attestation: [{mrenclave: [" + policy.measurement + "]}]\n";
  text += "    platforms: [" + policy.las_key + "]\n    tee: [sgx]\n    pwd: " + quoted(policy.directory) + "\n";
  text += "    environment:\n      PATH: /usr/local/bin:/usr/bin:/bin\n";
  for (const char* name : {"LANG", "TERM", "TZ"}) text += std::string("      \"@@") + name + "\": \"\"\n";
  text +=
      "    # A secret: add  TOKEN: $$CASEMATE::token$$  above, and  secrets: [{name: token, kind: ascii, size: 32}]\n";
  text += "images:\n  - name: main\n    volumes: [{name: data, path: /data}]\n    regions:\n";
  text += "      - {path: /dev, protection: host}\n      - {path: /proc, protection: host}\n";
  text += "      - {path: /tmp, protection: ephemeral}\n";
  for (const Tree& tree : policy.trees) {
    text += "      - {path: " + quoted(tree.path) + ", protection: authenticated, manifest: " + tree.manifest +
            ", executable: true}\n";
  }
  text += "    files:\n";
  for (const auto& [path, digest] : policy.digests) text += "      " + quoted(path) + ": " + digest + "\n";
  return text + "volumes: [{name: data, freshness: strict}]\n";
}

Result<std::string> measure_keeper() {
  const UniqueFd file = CASEMATE_TRY(open_own_program("casemate-keeper"));
  const std::string contents = CASEMATE_TRY(read_file("/proc/self/fd/" + std::to_string(file.get())));
  const evidence::Digest32 measurement = CASEMATE_TRY(las::measure_runtime(crypto::as_byte_view(contents)));
  return crypto::to_hex(measurement);
}

Result<std::string> write_policy(const Options& options) {
  Policy policy;
  const char* path = getenv("PATH");
  const Program program =
      CASEMATE_TRY(find_program(options.words.front(), path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin"));
  for (const std::string& word : options.words) {
    if (word.find("$$") == std::string::npos && word.find("@@") == std::string::npos) continue;
    return Error(ErrorCategory::kUsage, "'" + word + "': $$ and @@ mean something in a policy; write it by hand");
  }
  policy.command = options.words;
  policy.command.front() = absolute(program.path);
  policy.name = options.name.empty() ? base_name(program.path) : options.name;
  policy.directory = std::filesystem::current_path().string();
  Listing listing;
  if (auto added = listing.add_code(policy.command.front(), ""); !added) return added.error();
  for (std::size_t i = 1; i < options.words.size(); ++i) {
    if (!is_regular(options.words[i])) continue;
    if (auto added = listing.add_code(absolute(options.words[i]), ""); !added) return added.error();
  }
  for (const std::string& file : options.files) {
    if (auto added = listing.add_code(absolute(file), ""); !added) return added.error();
  }
  const StateDirectory state = CASEMATE_TRY(open_state(options.state));
  std::vector<std::string> trees = trees_of(listing);
  for (const std::string& tree : options.trees) trees.push_back(absolute(tree));
  for (const std::string& tree : trees) policy.trees.push_back(CASEMATE_TRY(list_tree(tree, state, listing)));
  policy.digests = listing.digests();
  std::erase_if(policy.digests, [&](const auto& item) {
    return std::ranges::any_of(trees, [&](const std::string& tree) { return item.first.starts_with(tree + "/"); });
  });
  policy.measurement = CASEMATE_TRY(measure_keeper());
  const std::string keys = CASEMATE_TRY(ask_embedded(state, "status\n"));
  policy.las_key = keys.substr(0, 64);
  std::array<std::byte, 32> salt{};
  if (auto filled = crypto::random_bytes(salt); !filled) return filled.error();
  policy.salt = crypto::to_hex(salt);
  const std::string output = options.output.empty() ? policy.name + ".yml" : options.output;
  if (access(output.c_str(), F_OK) == 0)
    return Error(ErrorCategory::kUsage, output + " exists; choose another with -o");
  if (auto written = session_tool::write_file(output, write(policy)); !written) return written.error();
  return output;
}

}  // namespace

CommandText describe_session_init() {
  CommandText text{"init", "write the first policy of a program", kHelp, {{{"--help"}, false, ""}}, {}, true};
  for (const OptionRow& row : kOptions) text.options.push_back({{row.name}, true, ""});
  return text;
}

int init_session(const std::vector<std::string>& words) {
  if (std::ranges::find(words, "--help") != words.end()) {
    std::fputs(kHelp, stdout);
    return 0;
  }
  const auto options = parse(words);
  const Result<std::string> output = options ? write_policy(options.value()) : Result<std::string>(options.error());
  if (!output) {
    std::fprintf(stderr, "casemate session init: %s\n", output.error().message().c_str());
    return output.error().category() == ErrorCategory::kUsage ? 2 : 1;
  }
  std::printf("%s: written. Start the program with: casemate run --policy %s\n", output.value().c_str(),
              output.value().c_str());
  return 0;
}

}  // namespace casemate::cli
