// Man pages: what `--help` prints of a command and of everything below it, in the man macro language.
#include <unistd.h>

#include <cstdio>

#include "casemate/reference/command_text.h"
#include "casemate/subcommands.h"

namespace casemate::cli {
namespace {

// Text that the formatter must leave as it is: dashes are what one types, and no line is a request.
std::string literal(std::string_view text) {
  std::string out;
  bool at_start = true;
  for (const char letter : text) {
    if (at_start && (letter == '.' || letter == '\'')) out += "\\&";
    at_start = letter == '\n';
    if (letter == '\\')
      out += "\\e";
    else if (letter == '-')
      out += "\\-";
    else
      out += letter;
  }
  return out;
}

std::string upper(std::string text) {
  for (char& letter : text) letter = letter >= 'a' && letter <= 'z' ? static_cast<char>(letter - 'a' + 'A') : letter;
  return text;
}

std::string dashed(std::string text) {
  for (char& letter : text) letter = letter == ' ' ? '-' : letter;
  return text;
}

std::string example(const std::string& text) {
  const std::size_t begin = text.find_first_not_of('\n'), end = text.find_last_not_of('\n');
  if (begin == std::string::npos) return "";
  return ".EX\n" + literal(std::string_view(text).substr(begin, end + 1 - begin)) + "\n.EE\n";
}

// Commands whose help is their parent's own text are explained there.
void add_commands(std::string& page, const CommandText& command, const std::string& path) {
  for (const CommandText& below : command.commands) {
    const std::string name = path + " " + below.name;
    if (below.help != command.help) page += ".SS \"" + literal(name) + "\"\n" + example(below.help);
    add_commands(page, below, name);
  }
}

int complain(const std::string& text, int exit_code) {
  std::fprintf(stderr, "casemate manual: %s\n", text.c_str());
  return exit_code;
}

bool write_file(const std::string& path, const std::string& text) {
  std::FILE* const file = std::fopen(path.c_str(), "we");
  if (file == nullptr) return false;
  const bool is_whole = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  return std::fclose(file) == 0 && is_whole;
}

int write_pages(const CommandText& root, const std::string& directory) {
  std::vector<std::pair<std::string, std::string>> files = {{root.name + ".1", manual_page(root, "", CASEMATE_VERSION)},
                                                            {"casemate.bash", bash_completion(root)},
                                                            {"_casemate", zsh_completion(root)}};
  for (const CommandText& command : root.commands) {
    files.emplace_back(root.name + "-" + command.name + ".1", manual_page(command, root.name, CASEMATE_VERSION));
  }
  for (const auto& [name, text] : files) {
    if (!write_file(directory + "/" + name, text)) return complain("cannot write " + directory + "/" + name, 1);
  }
  return 0;
}

constexpr const char* kManualHelp = R"(Prints man pages, made from what the commands' own --help says.

Usage: casemate manual [COMMAND]           | man -l -
       casemate manual --directory DIR     every page, and the completion scripts, as `make install` wants them
)";

}  // namespace

std::string manual_page(const CommandText& command, const std::string& path, const std::string& version) {
  const std::string name = path.empty() ? command.name : path + " " + command.name;
  std::string page = ".TH " + upper(dashed(name)) + " 1 \"\" \"casemate " + version + "\" Casemate\n";
  page += ".SH NAME\n" + literal(dashed(name)) + " \\- " + literal(command.summary) + "\n";
  page += ".SH SYNOPSIS\n.B " + literal(name) + "\n" +
          (command.commands.empty() ? ".RI [ OPTIONS ]\n.IR ...\n" : ".I COMMAND\n.IR ...\n");
  page += ".SH DESCRIPTION\n" + example(command.help);
  const bool is_root = path.empty();  // whose commands have pages of their own
  if (!command.commands.empty() && !is_root) {
    std::string commands;
    add_commands(commands, command, name);
    if (!commands.empty()) page += ".SH COMMANDS\n" + commands;
  }
  page += ".SH SEE ALSO\n";
  if (!is_root) return page + ".BR casemate (1)\n";
  for (std::size_t i = 0; i < command.commands.size(); ++i) {
    page += ".BR " + literal(name + "-" + command.commands[i].name) + " (1)" +
            (i + 1 < command.commands.size() ? ",\n" : "\n");
  }
  return page;
}

CommandText describe_manual() {
  return {"manual", "", kManualHelp, {{{"--help"}, false, ""}, {{"--directory"}, true, ""}}, {}};
}

int manual_command(const CommandText& root, const std::vector<std::string>& words) {
  if (words.size() == 2 && words[0] == "--directory") return write_pages(root, words[1]);
  if (words.size() == 1 && words[0] == "--help") {
    std::fputs(kManualHelp, stdout);
    return 0;
  }
  if (words.size() > 1) return complain("wrong words; see `casemate manual --help`", kExitUsage);
  std::string page;
  if (words.empty()) page = manual_page(root, "", CASEMATE_VERSION);
  for (const CommandText& command : root.commands) {
    if (!words.empty() && command.name == words[0]) page = manual_page(command, root.name, CASEMATE_VERSION);
  }
  if (page.empty()) return complain("there is no command '" + words[0] + "'; see `casemate --help`", kExitUsage);
  std::fputs(page.c_str(), stdout);
  return std::fflush(stdout) == 0 ? 0 : 125;
}

}  // namespace casemate::cli
