// The runtime that this keeper belongs to.
//
// What a hostile host can do here -> what we answer
//   hand over another runtime, or change it meanwhile -> it is read once; only the bytes whose SHA-256 was compiled
//   into
//                                                        this (measured) executable run, from a sealed memory file
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

namespace casemate::keeper_app {

// A sealed memory file, ready for execveat. Errors are lines for the user.
Result<UniqueFd> verified_runtime(int file);

}  // namespace casemate::keeper_app
