#include "casemate/reference/command_text.h"

#include <CLI/CLI.hpp>

namespace casemate::cli {
namespace {

OptionText read_option(const CLI::Option& option) {
  OptionText text;
  for (const std::string& letter : option.get_snames()) text.names.push_back("-" + letter);
  for (const std::string& name : option.get_lnames()) text.names.push_back("--" + name);
  text.takes_value = option.get_items_expected_min() > 0;
  text.help = option.get_description();
  return text;
}

}  // namespace

CommandText read_words(const CLI::App& app, const std::string& name, const std::string& help) {
  CommandText text;
  text.name = name;
  text.summary = app.get_description();
  text.help = help.empty() ? app.help() : help;
  for (const CLI::Option* option : app.get_options()) {
    if (option->nonpositional()) text.options.push_back(read_option(*option));
  }
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    text.commands.push_back(read_words(*command, command->get_name(), help));
  }
  if (app.get_help_ptr() == nullptr) text.options.push_back({{"--help"}, false, ""});
  return text;
}

}  // namespace casemate::cli
