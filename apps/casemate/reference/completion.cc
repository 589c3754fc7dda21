// Completion scripts: one function that walks the words as the program's parsers do, over lists of commands and
// options.
#include <algorithm>
#include <cstdio>

#include "casemate/reference/command_text.h"
#include "casemate/subcommands.h"

namespace casemate::cli {
namespace {

// In single quotes for a shell.
std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char letter : text) out += letter == '\'' ? std::string("'\\''") : std::string(1, letter);
  return out + "'";
}

// One command, with all the words in front of it.
struct Place {
  std::string path;
  const CommandText* command;
};

void add_places(std::vector<Place>& places, const CommandText& command, const std::string& path) {
  places.push_back({path, &command});
  for (const CommandText& below : command.commands) add_places(places, below, path + " " + below.name);
}

std::vector<Place> places_of(const CommandText& root) {
  std::vector<Place> places;
  add_places(places, root, root.name);
  return places;
}

// The patterns of a `case` that begin a command; "-none-" where there is none, which no path is.
std::string patterns(const std::vector<Place>& places, bool (*belongs)(const Place& place)) {
  std::string text;
  for (const Place& place : places) {
    if (belongs(place)) text += (text.empty() ? "" : "|") + quoted(place.path);
  }
  return text.empty() ? "-none-" : text;
}

bool is_command(const Place& place) { return place.path.find(' ') != std::string::npos; }
bool runs_program(const Place& place) { return place.command->runs_program; }

enum class Valued { kAll, kOnly };

std::string option_names(const CommandText& command, Valued which) {
  std::string text;
  for (const OptionText& option : command.options) {
    if (which == Valued::kOnly && !option.takes_value) continue;
    for (const std::string& name : option.names) text += (text.empty() ? "" : " ") + name;
  }
  return text;
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

// "name:description" for zsh; a colon inside is escaped.
std::string described(const std::string& name, const std::string& help) {
  std::string text;
  for (const char letter : name) text += letter == ':' ? std::string("\\:") : std::string(1, letter);
  return quoted(help.empty() ? text : text + ":" + first_line(help));
}

constexpr const char* kBashHead = R"(# Completion of casemate for bash; made by `casemate completion bash`.
_casemate() {
  local current=${COMP_WORDS[COMP_CWORD]} path=casemate at options='' valued='' commands=''
  for ((at = 1; at < COMP_CWORD; ++at)); do
    case "$path ${COMP_WORDS[at]}" in
      @COMMANDS@) path+=" ${COMP_WORDS[at]}" ;;
      *) break ;;
    esac
  done
  case $path in
)";

constexpr const char* kBashTail = R"(  esac
  case $path in
    @PROGRAMS@)
      while ((at < COMP_CWORD)) && [[ ${COMP_WORDS[at]} == -* && ${COMP_WORDS[at]} != -- ]]; do
        [[ " $valued " == *" ${COMP_WORDS[at]} "* ]] && ((++at))
        ((++at))
      done
      [[ ${COMP_WORDS[at]} == -- ]] && ((at < COMP_CWORD)) && ((++at))
      if ((at < COMP_CWORD)); then
        if declare -F _command_offset >/dev/null; then _command_offset "$at"; fi
        return
      fi
      if ((at == COMP_CWORD)) && [[ $current != -* ]]; then
        COMPREPLY=($(compgen -c -- "$current") $(compgen -f -- "$current"))
        return
      fi
      ;;
  esac
  if [[ " $valued " == *" ${COMP_WORDS[COMP_CWORD - 1]} "* ]]; then
    COMPREPLY=($(compgen -f -- "$current"))
  elif [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$current"))
  elif [[ -n $commands ]]; then
    COMPREPLY=($(compgen -W "$commands" -- "$current"))
  else
    COMPREPLY=($(compgen -f -- "$current"))
  fi
}
complete -o default -F _casemate casemate
)";

constexpr const char* kZshHead = R"(#compdef casemate
# Completion of casemate for zsh; made by `casemate completion zsh`.
_casemate() {
  local current=${words[CURRENT]} place=casemate at
  local -a options valued commands
  for ((at = 2; at < CURRENT; ++at)); do
    case "$place ${words[at]}" in
      (@COMMANDS@) place+=" ${words[at]}" ;;
      (*) break ;;
    esac
  done
  case $place in
)";

constexpr const char* kZshTail = R"(  esac
  case $place in
    (@PROGRAMS@)
      while ((at < CURRENT)) && [[ ${words[at]} == -* && ${words[at]} != -- ]]; do
        ((${valued[(Ie)${words[at]}]})) && ((++at))
        ((++at))
      done
      ((at < CURRENT)) && [[ ${words[at]} == -- ]] && ((++at))
      if ((at <= CURRENT)) && { ((at < CURRENT)) || [[ $current != -* ]]; }; then
        shift $((at - 1)) words
        ((CURRENT -= at - 1))
        _normal
        return
      fi
      ;;
  esac
  if ((${valued[(Ie)${words[CURRENT - 1]}]})); then
    _files
  elif [[ $current == -* ]]; then
    _describe -o option options
  elif (($#commands)); then
    _describe command commands
  else
    _files
  fi
}
_casemate "$@"
)";

std::string with(std::string text, const std::vector<Place>& places) {
  const std::pair<std::string, std::string> parts[] = {{"@COMMANDS@", patterns(places, is_command)},
                                                       {"@PROGRAMS@", patterns(places, runs_program)}};
  for (const auto& [mark, value] : parts) {
    const std::size_t at = text.find(mark);
    if (at != std::string::npos) text.replace(at, mark.size(), value);
  }
  return text;
}

constexpr const char* kCompletionHelp =
    "Prints a script that completes the words of casemate.\n\n"
    "Usage: casemate completion bash > /usr/share/bash-completion/completions/casemate\n"
    "       casemate completion zsh > /usr/share/zsh/vendor-completions/_casemate\n\n"
    "`make install` does this.\n";

}  // namespace

CommandText describe_completion() {
  return {"completion",
          "",
          kCompletionHelp,
          {{{"--help"}, false, ""}},
          {{"bash", "", kCompletionHelp, {}, {}}, {"zsh", "", kCompletionHelp, {}, {}}}};
}

std::string bash_completion(const CommandText& root) {
  const std::vector<Place> places = places_of(root);
  std::string text = with(kBashHead, places);
  for (const auto& [path, command] : places) {
    std::string commands;
    for (const CommandText& below : command->commands) commands += (commands.empty() ? "" : " ") + below.name;
    text += "    " + quoted(path) + ")\n      options=" + quoted(option_names(*command, Valued::kAll)) +
            "\n      valued=" + quoted(option_names(*command, Valued::kOnly)) + "\n      commands=" + quoted(commands) +
            "\n      ;;\n";
  }
  return text + with(kBashTail, places);
}

std::string zsh_completion(const CommandText& root) {
  const std::vector<Place> places = places_of(root);
  std::string text = with(kZshHead, places);
  for (const auto& [path, command] : places) {
    text += "    (" + quoted(path) + ")\n      options=(";
    for (const OptionText& option : command->options) {
      for (const std::string& name : option.names) text += "\n        " + described(name, option.help);
    }
    text += ")\n      valued=(" + option_names(*command, Valued::kOnly) + ")\n      commands=(";
    for (const CommandText& below : command->commands) text += "\n        " + described(below.name, below.summary);
    text += ")\n      ;;\n";
  }
  return text + with(kZshTail, places);
}

int completion_command(const CommandText& root, const std::vector<std::string>& words) {
  const std::string shell = words.size() == 1 ? words.front() : "";
  if (std::ranges::find(words, "--help") != words.end()) {
    std::fputs(kCompletionHelp, stdout);
    return 0;
  }
  if (shell != "bash" && shell != "zsh") {
    std::fputs("casemate completion: give bash or zsh; see `casemate completion --help`\n", stderr);
    return kExitUsage;
  }
  std::fputs((shell == "bash" ? bash_completion(root) : zsh_completion(root)).c_str(), stdout);
  return std::fflush(stdout) == 0 ? 0 : 125;
}

}  // namespace casemate::cli
