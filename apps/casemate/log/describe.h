// The options of `casemate log`, for man pages and completion.
#pragma once

#include <vector>

#include "casemate/reference/command_text.h"

namespace casemate::log_tool {

std::vector<cli::OptionText> option_texts();  // of every command

}  // namespace casemate::log_tool
