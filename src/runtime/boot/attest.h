// Asks the local attestation service for evidence about this image: once, before anything of the program is mapped,
// over a connection that is closed before the program starts. protocol/las.h has the messages, docs/las.md the
// argument.
//
// What a hostile host can do here -> what we answer
//  - name a LAS of its own, or answer anything -> the answer is opaque bytes for a verifier elsewhere; we check sizes
//  - never answer -> time limit, one line, exit code 125: no program runs without the evidence that was asked for
//  - start us without the request -> no evidence exists; a later image of the same process cannot ask any more
#pragma once

#include <cstdint>

#include "runtime/boot/launch_state.h"
#include "runtime/boot/program.h"

namespace casemate::runtime {

// Obtains the evidence that `state` asks for, then gives up what the start lent this image: the group of a set-group-id
// casemate-runtime (the kernel's proof of identity for the LAS) and, unless the run is sealed, the protection against
// tracing that came with it. In sealed runs no other process of the user may trace this one. Edits the auxiliary
// vector, so that the program sees the credentials it would have natively. Does not return on failure. Blocks for at
// most half a minute per message of the LAS.
void prove_identity(const LaunchState& state, const InitialStack& stack);

}  // namespace casemate::runtime
