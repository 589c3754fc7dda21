// The words of one command of `casemate volume`, for man pages and completion.
#pragma once

#include "casemate/reference/command_text.h"
#include "casemate/volume/options.h"

namespace casemate::volume_tool {

cli::CommandText describe(const Command& command);

}  // namespace casemate::volume_tool
