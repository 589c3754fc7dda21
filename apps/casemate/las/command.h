// `casemate las serve` and `casemate las status`.
#pragma once

#include <string>
#include <vector>

namespace casemate::cli {

// `words`: everything behind `casemate las`. Exit codes as in subcommands.h.
int las_command(const std::vector<std::string>& words);

}  // namespace casemate::cli
