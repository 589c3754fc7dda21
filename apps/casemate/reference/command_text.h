// What a command's words are, for man pages and shell completion. It is read from the very tables that parse the words
// (CLI11's, or a tool's own), and from the text that `--help` prints, so that no page can say anything else than the
// program does. One `describe_...` function per tool (casemate/subcommands.h).
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace casemate::cli {

struct OptionText {
  std::vector<std::string> names;  // with their dashes, short ones first
  bool takes_value = false;        // as a word of its own
  std::string help;                // may be empty where CommandText::help explains it
};

struct CommandText {
  std::string name;     // the last word: "sign" for `casemate session sign`
  std::string summary;  // half a sentence
  std::string help;     // exactly what `--help` prints
  std::vector<OptionText> options;
  std::vector<CommandText> commands;
  // Words behind it are a program's, from the first that is no option: they complete as a shell completes them.
  bool runs_program = false;
};

// `help`: the tool's own text; empty: CLI11's, for it and its commands.
CommandText read_words(const CLI::App& app, const std::string& name, const std::string& help = "");

// A page in the man macro language, without anything that changes between builds of one version. `path`: the words in
// front of the command's own name, "casemate".
std::string manual_page(const CommandText& command, const std::string& path, const std::string& version);
// Scripts that complete the words of `root` and everything below.
std::string bash_completion(const CommandText& root);
std::string zsh_completion(const CommandText& root);

CommandText describe_completion();
CommandText describe_manual();
// `casemate completion SHELL` and `casemate manual [COMMAND | --directory DIR]`: exit code.
int completion_command(const CommandText& root, const std::vector<std::string>& words);
int manual_command(const CommandText& root, const std::vector<std::string>& words);

}  // namespace casemate::cli
