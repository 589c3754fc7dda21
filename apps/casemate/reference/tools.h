// What each tool says of its words.
#pragma once

#include "casemate/reference/command_text.h"

namespace casemate::cli {

// The words of each, for man pages and completion; `summary` of the outermost is main.cc's.
CommandText describe_run();
CommandText describe_volume();
CommandText describe_quote();
CommandText describe_quote_collateral();
CommandText describe_quote_get();
CommandText describe_measure();
CommandText describe_sign();
CommandText describe_log();
CommandText describe_las();
CommandText describe_net();
CommandText describe_session();
CommandText describe_session_init();
CommandText describe_cas();
CommandText describe_identity();

}  // namespace casemate::cli
