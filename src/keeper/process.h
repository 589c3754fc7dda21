// What a keeper does as a process: started by `casemate run`, it reports readiness, cannot be looked into by others of
// the same user, and ends by itself.
//
// Handed over: descriptor 3 is the keeper's end of the hello socket, 4 the pipe for the report. The report is "ready"
// or one line for the user; then the pipe is closed.
#pragma once

#include <string>

#include "base/unique_fd.h"
#include "keeper/description.h"

namespace casemate::keeper {

inline constexpr int kHelloDescriptor = 3;
inline constexpr int kReportDescriptor = 4;
inline constexpr const char* kReadyReport = "ready";

// Runs the whole life of a keeper. Returns the exit code: 0, or 1 after a failure that was reported.
int run_keeper(const std::string& description_path);

// The same for a process that was forked for it and has `description` already (a service's configuration, or why there
// is none): reports through `report`, serves `hello`. Descriptors that it needs besides 0 to 2 must be close-on-exec.
enum class Warnings { kTold, kLeftOut };
int run_keeper_with(Result<RunDescription> description, Warnings warnings, UniqueFd hello, UniqueFd report);

}  // namespace casemate::keeper
