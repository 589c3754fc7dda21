// The words behind `casemate log COMMAND`.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace casemate::log_tool {

struct Options {
  std::string output;    // -o; empty: standard output
  std::string key_file;  // of a store directory
  std::string passphrase_file;
  std::string log_id;  // trusted, in hex; empty: whatever the file says, which is told
  std::string since;   // a file with an older head
  std::vector<std::string> sessions;
  bool hashes_only = false, entries = false, help = false;
  std::vector<std::string> operands;
};

// A kUsage error that also says where help is.
Error misuse(const std::string& what);

// Errors: kUsage.
Result<Options> parse_options(const std::vector<std::string>& words);

}  // namespace casemate::log_tool
