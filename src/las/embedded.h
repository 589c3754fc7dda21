// The LAS of a single run, where no service of the node is named: a child process with a key of its own that serves
// exactly the process which started it, once, and ends. It is a simulation always, because the user who starts the run
// could take its key.
#pragma once

#include <string>

#include "base/result.h"
#include "las/measured_files.h"

namespace casemate::las {

// Returns the sun_path of its socket (an abstract name). The calling process is the one that will be served, also
// behind an exec. The service is no child of the caller (it would surprise the program's wait()), keeps none of its
// descriptors, and ends after half a minute at the latest. Requires: no other threads. Errors: kSystem.
Result<std::string> start_embedded(const Measure& measure);

}  // namespace casemate::las
