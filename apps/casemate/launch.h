// Turns this process into casemate-runtime with the program's own argv and environment. What is handed over, and at
// which descriptors, is described in src/runtime/boot/launch_state.h.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "casemate/keeper_start.h"
#include "casemate/program_search.h"
#include "casemate/run_options.h"

namespace casemate::cli {

// Runtime, state, program, trace: neighbours, high, where programs rarely look.
inline constexpr int kHandedDescriptors = 4;

// The first of kHandedDescriptors free neighbouring descriptors: as high as `soft_limit` (RLIMIT_NOFILE) and the usual
// 1024 allow, below that otherwise; -1 when there are none.
int choose_descriptors(std::uint64_t soft_limit, const std::function<bool(int)>& is_free);

// What the machine refused us, with its errno: `what: text of errno`.
Error own_failure(const std::string& what, int code);

// Finds an executable of Casemate beside this one or in ../libexec/casemate. No environment variable can point
// elsewhere.
Result<UniqueFd> open_own_program(const std::string& name);
// casemate-runtime.
Result<UniqueFd> open_runtime();

// Fails when this kernel cannot run programs under the runtime.
Result<void> check_kernel();

// Returns only on failure; nothing is left behind then. `shield`: the ends of a keeper (protocol/shield.h,
// netshield/shared/arena.h), or not open. With a file shield, `program.file` may be not open: the runtime then looks
// for `program.path`, the word that the user gave, along PATH among the shielded files.
Error launch(const RunProgram& request, const Program& program, const KeeperEnds& shield, char** environment);

}  // namespace casemate::cli
