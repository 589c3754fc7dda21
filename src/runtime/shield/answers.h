// Answers that the keeper left in shared memory (protocol/shield_answers.h): calls that need no round trip.
#pragma once

#include "runtime/shield/calls.h"

namespace casemate::runtime {

// True: `result` is the reply's, as exchange() would have returned it, and `state.memory.reply` holds what goes with
// it.
bool find_answer(CallState& state, long& result);

}  // namespace casemate::runtime
