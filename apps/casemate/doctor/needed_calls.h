// System calls that Casemate itself makes and that a container's seccomp profile may refuse.
#pragma once

#include "casemate/doctor/report.h"

namespace casemate::cli {

// Makes each of them in a way that does nothing, and tells a refusal from the kernel's own answer.
Finding examine_needed_calls();

}  // namespace casemate::cli
