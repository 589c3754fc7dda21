// `casemate quote get`: evidence of this machine, for whoever will verify it.
#pragma once

#include <string>
#include <vector>

namespace casemate::cli {

// `words`: everything behind `get`. Exit codes as in subcommands.h; 125 when the runtime got no evidence.
int quote_get_command(const std::vector<std::string>& words);

}  // namespace casemate::cli
