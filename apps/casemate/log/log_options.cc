#include "casemate/log/log_options.h"

#include "casemate/log/describe.h"

namespace casemate::log_tool {

Error misuse(const std::string& what) { return Error(ErrorCategory::kUsage, what + "; see `casemate log --help`"); }
namespace {

struct ValueOption {
  const char* name;
  std::string Options::*target;
};

constexpr ValueOption kValueOptions[] = {
    {"--output", &Options::output},     {"-o", &Options::output},
    {"--key-file", &Options::key_file}, {"--passphrase-file", &Options::passphrase_file},
    {"--log-id", &Options::log_id},     {"--since", &Options::since},
};

constexpr const char* kSessionOption = "--session";  // may be repeated

struct Flag {
  const char* name;
  bool Options::*target;
};

constexpr Flag kFlags[] = {
    {"--hashes-only", &Options::hashes_only},
    {"--entries", &Options::entries},
    {"--help", &Options::help},
    {"-h", &Options::help},
};

// Whether `word` is a flag, which is then set.
bool take_flag(const std::string& word, Options& options) {
  for (const Flag& flag : kFlags) {
    if (word != flag.name) continue;
    options.*flag.target = true;
    return true;
  }
  return false;
}

// Where the value of the option `word` belongs; null when it is no such option.
std::string* target_of(const std::string& word, Options& options) {
  if (word == kSessionOption) return &options.sessions.emplace_back();
  for (const ValueOption& option : kValueOptions) {
    if (word == option.name) return &(options.*option.target);
  }
  return nullptr;
}

}  // namespace

std::vector<cli::OptionText> option_texts() {
  std::vector<cli::OptionText> texts;
  for (const ValueOption& option : kValueOptions) texts.push_back({{option.name}, true, ""});
  texts.push_back({{kSessionOption}, true, ""});
  for (const Flag& flag : kFlags) texts.push_back({{flag.name}, false, ""});
  return texts;
}

Result<Options> parse_options(const std::vector<std::string>& words) {
  Options options;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word.size() < 2 || word.front() != '-') {
      options.operands.push_back(word);
      continue;
    }
    if (take_flag(word, options)) continue;
    const std::size_t equals = word.starts_with("--") ? word.find('=') : std::string::npos;
    std::string* target = target_of(word.substr(0, equals), options);
    if (target == nullptr) return misuse("there is no option " + word);
    if (equals != std::string::npos) {
      *target = word.substr(equals + 1);
    } else if (++i < words.size()) {
      *target = words[i];
    } else {
      return misuse(word + " needs a value");
    }
  }
  return options;
}

}  // namespace casemate::log_tool
