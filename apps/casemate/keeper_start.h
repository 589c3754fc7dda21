// Starts the keeper of a run with volumes, before this process becomes the runtime.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace casemate::cli {

// Returns the members' end of the hello socket once the keeper has mounted everything. Errors: what the keeper
// reported, for the user. The keeper is no child of this process and of no terminal; it ends when all copies of the
// returned descriptor are closed.
Result<UniqueFd> start_keeper(const std::string& description_path);

}  // namespace casemate::cli
