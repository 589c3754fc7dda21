#include "casemate/volume/options.h"

#include "casemate/volume/describe.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <limits>
#include <string_view>
#include <variant>

namespace casemate::volume_tool {
namespace {

// Where an option's value goes; its type says what is accepted. A bool takes no value.
using Target = std::variant<bool Options::*, std::string Options::*, std::optional<std::uint64_t> Options::*,
                            std::optional<int> Options::*>;

struct OptionRow {
  const char* name;
  char letter;  // 0: none
  const char* value;
  const char* help;
  Target target;
};

constexpr OptionRow kOptions[] = {
    {"key-file", 0, "FILE", "file with the volume's key; mode 0600 or stricter", &Options::key_file},
    {"key-fd", 0, "N", "read the key from this open descriptor instead", &Options::key_fd},
    {"new-key-file", 0, "FILE", "file of the new key; made with a fresh key where it is missing",
     &Options::new_key_file},
    {"new-key-fd", 0, "N", "read the new key from this open descriptor instead", &Options::new_key_fd},
    {"other-key-file", 0, "FILE", "key of the second volume, when it is another one", &Options::other_key_file},
    {"other-key-fd", 0, "N", "read the second volume's key from this open descriptor", &Options::other_key_fd},
    {"anchor", 0, "FILE", "file that remembers the newest state; an older volume is refused", &Options::anchor},
    {"other-anchor", 0, "FILE", "anchor of the second volume", &Options::other_anchor},
    {"size", 0, "SIZE", "largest size of the volume's file (64G); it starts small", &Options::size},
    {"journal", 0, "SIZE", "size of the journal (16M)", &Options::journal},
    {"label", 0, "TEXT", "a name of at most 64 bytes, encrypted", &Options::label},
    {"into", 0, "PATH", "directory in the volume that receives the files (/)", &Options::into},
    {"output", 'o', "FILE", "where the result goes", &Options::output},
    {"position", 0, "X", "the position to accept, as this command prints it", &Options::position},
    {"root-tag", 0, "X", "the root tag to accept, of a sealed volume", &Options::root_tag},
    {"json", 0, nullptr, "output for programs", &Options::json},
    {"progress", 0, nullptr, "tell how far the work is, also when no terminal is there", &Options::progress},
    {"quiet", 'q', nullptr, "no notices and no progress; errors are still told", &Options::quiet},
    {"long", 'l', nullptr, "mode, links, owner, size and time of each entry", &Options::long_form},
    {"recursive", 'R', nullptr, "directories below, too", &Options::recursive},
    {"show", 0, nullptr, "print what the anchor and the volume say", &Options::show},
    {"set", 0, nullptr, "let the anchor remember the volume's state of now", &Options::set},
    {"overwrite", 0, nullptr, "replace files that exist", &Options::overwrite},
    {"one-file-system", 0, nullptr, "do not enter other mounted file systems", &Options::one_file_system},
    {"help", 'h', nullptr, "this text", &Options::help},
};

Error mistake(const Command& command, const std::string& text) {
  return Error(ErrorCategory::kUsage,
               fmt::format("{}: {}; see `casemate volume {} --help`", command.name, text, command.name));
}

bool takes_option(const Command& command, std::string_view name) {
  return name == "help" || name == "quiet" ||
         std::find(command.options.begin(), command.options.end(), name) != command.options.end();
}

const OptionRow* find_row(const Command& command, std::string_view name, char letter) {
  const auto* row = std::find_if(std::begin(kOptions), std::end(kOptions), [&](const OptionRow& candidate) {
    return letter != 0 ? candidate.letter == letter : candidate.name == name;
  });
  return row != std::end(kOptions) && takes_option(command, row->name) ? row : nullptr;
}

Result<int> parse_descriptor(const std::string& text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0) {
    return Error(ErrorCategory::kUsage, "'" + text + "' is no number of a descriptor");
  }
  return number;
}

// Puts `value` where the row says.
struct Assign {
  Options& options;
  const std::string& value;

  Result<void> operator()(bool Options::*member) const {
    options.*member = true;
    return {};
  }
  Result<void> operator()(std::string Options::*member) const {
    if (value.empty()) return Error(ErrorCategory::kUsage, "its value is empty");
    options.*member = value;
    return {};
  }
  Result<void> operator()(std::optional<std::uint64_t> Options::*member) const {
    options.*member = CASEMATE_TRY(parse_size(value));
    return {};
  }
  Result<void> operator()(std::optional<int> Options::*member) const {
    options.*member = CASEMATE_TRY(parse_descriptor(value));
    return {};
  }
};

// Goes through the words once; `next` is the word to look at.
class Parser {
 public:
  Parser(const Command& command, const std::vector<std::string>& words) : command_(command), words_(words) {}

  Result<Options> parse() {
    for (; next_ < words_.size(); ++next_) {
      const std::string& word = words_[next_];
      if (word == "--") {
        options_.operands.insert(options_.operands.end(), words_.begin() + static_cast<std::ptrdiff_t>(next_) + 1,
                                 words_.end());
        break;
      }
      if (auto taken = take(word); !taken.has_value()) return taken.error();
      if (options_.help) return std::move(options_);
    }
    const std::size_t count = options_.operands.size();
    if (count < command_.least_operands) return mistake(command_, fmt::format("needs {}", command_.operands));
    if (count > command_.most_operands) {
      return mistake(command_, fmt::format("takes no '{}'", options_.operands[command_.most_operands]));
    }
    return std::move(options_);
  }

 private:
  Result<void> take(const std::string& word) {
    if (word.starts_with("--")) return take_long(word);
    if (word.size() > 1 && word.front() == '-') return take_letters(word);
    options_.operands.push_back(word);
    return {};
  }

  Result<void> take_long(const std::string& word) {
    const std::size_t equals = word.find('=');
    const std::string name = word.substr(2, equals == std::string::npos ? equals : equals - 2);
    const OptionRow* row = find_row(command_, name, 0);
    if (row == nullptr) return mistake(command_, "has no option --" + name);
    if (equals == std::string::npos) return assign(*row, "--" + name, std::nullopt);
    return assign(*row, "--" + name, word.substr(equals + 1));
  }

  Result<void> take_letters(const std::string& word) {
    for (std::size_t i = 1; i < word.size(); ++i) {
      const std::string shown = std::string("-") + word[i];
      const OptionRow* row = find_row(command_, "", word[i]);
      if (row == nullptr) return mistake(command_, "has no option " + shown);
      if (row->value != nullptr && i + 1 < word.size()) return assign(*row, shown, word.substr(i + 1));
      if (auto taken = assign(*row, shown, std::nullopt); !taken.has_value()) return taken.error();
    }
    return {};
  }

  Result<void> assign(const OptionRow& row, const std::string& shown, std::optional<std::string> value) {
    if (row.value == nullptr && value.has_value()) return mistake(command_, shown + " takes no value");
    if (row.value != nullptr && !value.has_value()) {
      if (next_ + 1 == words_.size()) return mistake(command_, shown + " needs " + row.value);
      value = words_[++next_];
    }
    auto assigned = std::visit(Assign{options_, value.has_value() ? *value : shown}, row.target);
    if (!assigned.has_value()) return mistake(command_, shown + ": " + assigned.error().message());
    return {};
  }

  const Command& command_;
  const std::vector<std::string>& words_;
  Options options_;
  std::size_t next_ = 0;
};

std::string described(const OptionRow& row) {
  const std::string letter = row.letter != 0 ? fmt::format("-{}, ", row.letter) : "";
  const std::string value = row.value != nullptr ? fmt::format(" {}", row.value) : "";
  return fmt::format("  {:<26}{}\n", letter + "--" + row.name + value, row.help);
}

}  // namespace

Result<Options> parse_options(const Command& command, const std::vector<std::string>& words) {
  return Parser(command, words).parse();
}

cli::CommandText describe(const Command& command) {
  cli::CommandText text{command.name, command.summary, help_of(command), {}, {}};
  for (const OptionRow& row : kOptions) {
    if (!takes_option(command, row.name)) continue;
    cli::OptionText& option = text.options.emplace_back();
    if (row.letter != 0) option.names.push_back(std::string("-") + row.letter);
    option.names.push_back(std::string("--") + row.name);
    option.takes_value = row.value != nullptr;
    option.help = row.help;
  }
  return text;
}

std::string help_of(const Command& command) {
  std::string text = fmt::format("Usage: casemate volume {} [OPTIONS]{}{}\n\n{}\n\n", command.name,
                                 *command.operands != '\0' ? " " : "", command.operands, command.details);
  for (const OptionRow& row : kOptions) {
    if (takes_option(command, row.name)) text += described(row);
  }
  return text;
}

std::string help_of_all(std::span<const Command> commands) {
  std::string text = "Encrypted volumes: each is one file on the host that holds a whole tree of files.\n\n";
  for (const Command& command : commands) text += fmt::format("  {:<10}{}\n", command.name, command.summary);
  return text +
         "\nUsage: casemate volume COMMAND [OPTIONS] ...; `casemate volume COMMAND --help` explains one.\n"
         "Exit codes: 0 done; 1 the answer is no (damaged, refused, different, incomplete); 2 wrong words;\n"
         "125 the host or Casemate failed.\n";
}

Result<std::uint64_t> parse_size(const std::string& text) {
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error == std::errc::result_out_of_range) return Error(ErrorCategory::kUsage, "'" + text + "' is too large");
  if (error != std::errc()) {
    return Error(ErrorCategory::kUsage, "'" + text + "' is no size; write bytes, or a number with K, M, G or T");
  }
  constexpr std::string_view kUnits = "KMGT";
  std::string_view unit(rest, static_cast<std::size_t>(end - rest));
  if (unit.empty()) return number;
  const std::size_t power = kUnits.find(unit.front());
  unit.remove_prefix(1);
  if (power == std::string_view::npos || (!unit.empty() && unit != "iB")) {
    return Error(ErrorCategory::kUsage, "'" + text + "' is no size; write bytes, or a number with K, M, G or T");
  }
  const unsigned shift = 10 * (static_cast<unsigned>(power) + 1);
  if (number > std::numeric_limits<std::uint64_t>::max() >> shift) {
    return Error(ErrorCategory::kUsage, "'" + text + "' is too large");
  }
  return number << shift;
}

}  // namespace casemate::volume_tool
