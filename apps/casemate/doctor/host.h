// Single questions to the host, each answered as one Finding. They change nothing on it.
#pragma once

#include <string>
#include <string_view>

#include "casemate/doctor/dispatch_probe.h"
#include "casemate/doctor/report.h"

namespace casemate::cli {

// A rough reading of uname's release ("6.1.0-18-amd64"): whether it is at least major.minor.
bool release_is_at_least(std::string_view release, int major, int minor);

// What stands behind "<key>:" in a file like /proc/self/status, without surrounding blanks; empty when absent.
std::string status_field(std::string_view text, std::string_view key);

// The word in brackets of a kernel choice such as "always [madvise] never"; empty when there is none.
std::string chosen_word(std::string_view text);

// What the probe's answer means.
Finding judge_dispatch(const DispatchProbe& probe);

}  // namespace casemate::cli
