// `casemate session init`.
#pragma once

#include <string>
#include <vector>

namespace casemate::cli {

// `words`: everything behind `init`. Returns the exit code.
int init_session(const std::vector<std::string>& words);

}  // namespace casemate::cli
