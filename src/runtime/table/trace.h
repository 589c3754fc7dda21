// `casemate run --trace`: one decoded line per system call, or counters per call (`--trace=summary`).
//
//   [4711] 12:34:56.123456 openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC) = 3 <0.000012>
//
// The time of day is UTC. A line is printed when its call has returned, so lines of different threads never mix; a call
// that does not return (exit_group, a successful execve) is printed when it is entered. Each line is one write() of at
// most 4096 bytes, which a pipe and an append-mode file take in one piece.
//
// What a hostile program can do here -> what we answer
//  - make the tracer read bad or changing memory -> decode.h
//  - fill the trace with escape sequences        -> strings are escaped
//  - write to the trace's descriptor             -> not prevented: close and dup2 spare it (files/), write does not, so
//    a trace is a diagnosis of a program that cooperates, not evidence about one that does not
#pragma once

#include <atomic>
#include <cstdint>

#include "runtime/abi/signal_abi.h"
#include "runtime/boot/launch_state.h"
#include "runtime/intercept/thread.h"
#include "runtime/table/table.h"

namespace casemate::runtime {

struct TraceCounter {
  std::atomic<std::uint64_t> calls, errors, nanoseconds;
};

// Shared by all processes of a run: lies in MAP_SHARED memory that begins as zeros.
struct TraceSummary {
  TraceCounter counters[kSyscallLimit + 1];  // the last one: unknown numbers
};

inline constexpr std::uint32_t kDefaultStringLimit = 32;

struct TraceTarget {
  std::int32_t fd = -1;  // lines go here
  TraceMode mode = TraceMode::kOff;
  TraceSummary* summary = nullptr;                   // required by TraceMode::kSummary
  std::uint32_t string_limit = kDefaultStringLimit;  // bytes of strings and buffers that lines show
};

// Nanoseconds since 1970, the clock of start_ns and end_ns.
std::uint64_t trace_now();

// The call `number` has returned `result` (also kRestartCall, which summaries do not count).
void trace_call(const TraceTarget& target, const Thread& thread, const SyscallEntry& entry, std::uint64_t number,
                const std::uint64_t (&arguments)[6], long result, std::uint64_t start_ns, std::uint64_t end_ns);

// The call `number` will not return: printed now, counted now.
void trace_unfinished(const TraceTarget& target, const Thread& thread, const SyscallEntry& entry, std::uint64_t number,
                      const std::uint64_t (&arguments)[6], std::uint64_t start_ns);

// A signal is about to be delivered to the program. Summaries ignore it.
void trace_signal(const TraceTarget& target, const Thread& thread, const SigInfo& info);

// In the child of fork: lines that other threads of the parent were composing belong to nobody here.
void trace_reset_after_fork();

// The table of `--trace=summary`, sorted by time. Allocates: no.
void trace_summary_print(const TraceSummary& summary, std::int32_t fd);

}  // namespace casemate::runtime
