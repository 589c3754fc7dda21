// Serves one system call of the program.
#pragma once

#include "runtime/intercept/thread.h"
#include "runtime/table/table.h"

namespace casemate::runtime {

// Handler of `pass` rows: the kernel serves the program's registers as they are. May block; abortable.
long pass_through(Thread& thread, Regs& regs);
// The same with other arguments than the registers hold.
long pass_arguments(std::uint64_t number, const std::uint64_t (&arguments)[6]);
// Fills the table by which patched sites make passed calls without entering C++. At boot; leaves it empty (everything
// enters) in traced runs.
void fill_fast_calls();
// What serves the row in this run: shielded rows are passed when the run has no volumes; in runs with the network
// shield its handlers stand in front.
SyscallHandler handler_of(const SyscallEntry& entry);
// What stands behind the network shield's.
SyscallHandler handler_without_net(const SyscallEntry& entry);
// Handler of `refused` rows: the row's errno, and one warning per call number and process.
long refuse(Thread& thread, Regs& regs);

}  // namespace casemate::runtime
