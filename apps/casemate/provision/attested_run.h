// `casemate run --policy FILE` and `casemate run --cas ADDR --session S/SVC`: writes what the host chooses into a start
// request and becomes casemate-keeper, which attests and starts the program.
#pragma once

#include "base/result.h"
#include "casemate/run_options.h"

namespace casemate::cli {

// Returns only on failure.
Error run_attested(const RunProgram& request);

}  // namespace casemate::cli
