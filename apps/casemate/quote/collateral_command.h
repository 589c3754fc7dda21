// `casemate quote collateral`: the cache of collateral, for verification without a network.
#pragma once

#include <string>
#include <vector>

namespace casemate::cli {

// `words`: everything behind `collateral`. Exit codes as in subcommands.h.
int quote_collateral_command(const std::vector<std::string>& words);

}  // namespace casemate::cli
