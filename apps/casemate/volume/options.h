// The words behind `casemate volume COMMAND`: one table of options for all commands, one row per command.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace casemate::volume_tool {

// What was asked for. Keys themselves are never among the words: other users read those in /proc.
struct Options {
  std::string key_file, new_key_file, other_key_file;
  std::optional<int> key_fd, new_key_fd, other_key_fd;
  std::string anchor, other_anchor;
  std::string label, into, output;
  std::string position, root_tag;
  std::optional<std::uint64_t> size, journal;  // bytes
  bool json = false, progress = false, quiet = false, help = false;
  bool long_form = false, recursive = false;
  bool show = false, set = false;
  bool overwrite = false, one_file_system = false;
  std::vector<std::string> operands;
};

struct Command {
  const char* name;
  const char* operands;  // as the help shows them
  std::size_t least_operands, most_operands;
  const char* summary;
  const char* details;                         // of the command's own help
  std::initializer_list<const char*> options;  // long names; --help and --quiet go without saying
  // The exit code, or an error that the caller prints.
  Result<int> (*run)(const Options& options);
};

// `words`: what follows the command's name. Errors: kUsage, with the command named.
Result<Options> parse_options(const Command& command, const std::vector<std::string>& words);

std::string help_of(const Command& command);
std::string help_of_all(std::span<const Command> commands);

// "4096", "16M", "64GiB": units are powers of 1024. Errors: kUsage.
Result<std::uint64_t> parse_size(const std::string& text);

}  // namespace casemate::volume_tool
