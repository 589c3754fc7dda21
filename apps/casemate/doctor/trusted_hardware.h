// The doctor's rows about trusted hardware and about what the local attestation service would build on here.
#pragma once

#include <vector>

#include "casemate/doctor/report.h"
#include "las/backend.h"

namespace casemate::cli {

// `paths`: where drivers and services have their files. Makes and removes a request in the tree of configfs-tsm.
std::vector<Finding> examine_trusted_hardware(const las::HostPaths& paths);

}  // namespace casemate::cli
