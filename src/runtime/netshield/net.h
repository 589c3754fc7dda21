// The network shield in the core: what boot, clone, exec and dispatch need of it. docs/runtime/network.md explains it;
// everything here is for runs with `--net` (g_process.net_active) only.
//
// What a hostile network or peer can do here -> what we answer
//   netshield/record/stream.h and keeper/handshakes.h say what of records and handshakes; the program sees the errno of
//   a native network fault, the log names the rule
#pragma once

#include "runtime/boot/launch_state.h"
#include "runtime/intercept/process.h"
#include "runtime/intercept/thread.h"
#include "runtime/table/table.h"

namespace casemate::runtime {

inline constexpr std::uint32_t kNoMember = ~std::uint32_t{0};

// At boot of an image: maps the arena, joins it or takes over what exec left. Ends the process with a message when it
// cannot.
void net_boot(Thread& thread, const LaunchState& state);

// The handler of this call in runs with the network shield; null: the one it has without.
SyscallHandler net_handler_of(std::uint64_t number);

// A table for a copy of `parent`'s descriptors, which will be somebody else's: a member whose words refer to the same
// connections. kNoMember: none is free.
std::uint32_t net_copy_member(const Thread& parent);
// Gives back a member that no process used.
void net_drop_member(Thread& thread, std::uint32_t member);
// Tells the keeper that this process uses its table's member. In the new process.
void net_join(const Thread& thread);

// Before the kernel's exec: connections whose descriptor closes with it end here.
void net_before_exec(Thread& thread);
void net_fill_launch(const Thread& thread, LaunchState& state);
// The process ends: its descriptors are closed.
void net_before_end(Thread& thread);

}  // namespace casemate::runtime
